"""A deployment with figures of the last hours and no worker, for tests of the page: tables, topic, server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import polars as pl
from aiokafka import AIOKafkaProducer

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.scores.publishing import Publisher
from pipeline.settings import Settings
from pipeline.slices import Partition
from pipeline.telemetry import Telemetry
from pipeline.views.page.server import Server, Verify

#: (metric, scale, bins) of the answers that are made.
MEASURES = (("nps", "0-10", 11), ("csat", "1-5", 5), ("csat", "0-1", 2), ("ces", "1-7", 7), ("sentiment", "minilm", 3))


def filled(client: ClickHouse, seed: int, hours: int = 3) -> None:
    """Windows of the last hours of two brands, three units, three channels, two touchpoints; some have few answers."""
    rng = random.Random(seed)
    now = int(time.time()) // 60 * 60
    rows: list[dict[str, Any]] = []
    for i in range(400):
        metric, scale, bins = rng.choice(MEASURES)
        counts = {f"b{b}": rng.choice((0, 0, 1, 2, 9)) if b < bins else 0 for b in range(11)}
        key = {"cut": "core", "metric": metric, "scale": scale, "brand": rng.choice(("aurora", "birch"))}
        place = {"unit": f"u{rng.randrange(3)}", "channel": rng.choice(("web", "app", "call"))}
        minute = now - rng.randrange(hours * 60) * 60
        rest = {"touchpoint": rng.choice(("checkout", "delivery")), "dim": "", "minute": minute, "topic": "feedback"}
        rows.append({**key, **place, **rest, "epoch": 1, "part": i % 2, "ver": 1, "seq": i, **counts, "s1": 0, "s2": 0})
    types: dict[str, Any] = {**dict.fromkeys(("ver", "seq"), pl.UInt64), **dict.fromkeys(("epoch", "part"), pl.UInt16)}
    client.insert("windows", pl.DataFrame(rows, schema_overrides={**types, "minute": pl.UInt32}))


async def published(settings: Settings) -> list[bytes]:
    """What the owner of `ticks` says of these tables, sent to the topic `scores`."""
    said: list[bytes] = []
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()

    async def send(topic: str, messages: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> int:
        for key, value, _ in messages:
            said.append(value)
            await producer.send(settings.topic(topic), value=value, key=key)
        await producer.flush()
        return len(messages)

    async def ends(partitions: set[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 1)

    pool = Pool(settings)
    try:
        await Publisher(pool, send, ends, settings.topic_partitions).step(int(time.time() * 1000), 1)
    finally:
        pool.close()
        await producer.stop()
    return said


@contextlib.asynccontextmanager
async def serving(settings: Settings, verify: Verify | None = None) -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server(settings, Telemetry(), verify)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.stop()


async def until(condition: Any, what: str, seconds: float = 30.0) -> Any:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)
