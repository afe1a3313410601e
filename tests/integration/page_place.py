"""A deployment with figures of the last hours and no worker, for tests of the page: tables, topic, server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import polars as pl
from aiokafka import AIOKafkaProducer

from pipeline.alerts.calling import Caller
from pipeline.alerts.entries import Account, Notice
from pipeline.alerts.outbox import Answer
from pipeline.alerts.routes import Receiver
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.ledger.outbox import Outbox
from pipeline.scores.defined import definitions_of
from pipeline.scores.publishing import Publisher
from pipeline.settings import Settings
from pipeline.slices import Partition
from pipeline.telemetry import Telemetry
from pipeline.views.page.server import Server, Verify
from tests.integration.browsing import HOSTILE
from tests.rows import ledger_like
from tests.unit.alerts.findings import finding, routes_of, share

#: (metric, scale, bins) of the answers that are made.
MEASURES = (("nps", "0-10", 11), ("csat", "1-5", 5), ("csat", "0-1", 2), ("ces", "1-7", 7), ("sentiment", "minilm", 3))


def filled(
    client: ClickHouse, seed: int, hours: int = 3, touchpoints: Sequence[str] = ("checkout", "delivery")
) -> None:
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
        rest = {"touchpoint": rng.choice(touchpoints), "dim": "", "minute": minute, "topic": "feedback"}
        rows.append({**key, **place, **rest, "epoch": 1, "part": i % 2, "ver": 1, "seq": i, **counts, "s1": 0, "s2": 0})
    types: dict[str, Any] = {**dict.fromkeys(("ver", "seq"), pl.UInt64), **dict.fromkeys(("epoch", "part"), pl.UInt16)}
    client.insert("windows", pl.DataFrame(rows, schema_overrides={**types, "minute": pl.UInt32}))


def week(client: ClickHouse) -> None:
    """200,000 window rows of the last seven days, up to an hour ago."""
    now = int(time.time()) // 60 * 60
    count = 200_000
    index = pl.int_range(count, eager=True)
    names = {"cut": "core", "metric": "nps", "scale": "0-10", "dim": "", "topic": "feedback"}
    rows = pl.DataFrame({"i": index}).select(
        *(pl.lit(value).alias(name) for name, value in names.items()),
        pl.lit("aurora").alias("brand"),
        pl.format("u{}", pl.col("i") % 20).alias("unit"),
        pl.lit("web").alias("channel"),
        pl.format("step_{}", pl.col("i") % 12).alias("touchpoint"),
        (now - 3_600 - pl.col("i") % 9_900 * 60).cast(pl.UInt32).alias("minute"),
        *(pl.lit(1, kind).alias(name) for name, kind in (("epoch", pl.UInt16), ("part", pl.UInt16))),
        *(pl.lit(1, pl.UInt64).alias(name) for name in ("ver", "seq")),
        *(pl.lit(3 if b in (2, 9) else 0, pl.Int64).alias(f"b{b}") for b in range(11)),
        *(pl.lit(0, pl.Int64).alias(name) for name in ("s1", "s2")),
    )
    client.insert("windows", rows)


def texts_of(client: ClickHouse, text: str) -> None:
    """Three feedbacks that say this, by an hour ago, in ledger, texts and progress."""
    now_ms = int(time.time() * 1000)
    rows = ledger_like(3, seed=1).with_columns(
        pl.lit("feedback").alias("topic"),
        pl.lit(1, pl.UInt16).alias("epoch"),
        pl.lit(0, pl.UInt16).alias("part"),
        pl.lit(1, pl.UInt64).alias("ver"),
        pl.lit("aggregated").alias("disposition"),
        pl.lit(now_ms, pl.Int64).alias("ingest_ms"),
        pl.lit(now_ms - 60_000, pl.Int64).alias("occurred_ms"),
        pl.lit("negative").alias("label"),
        pl.lit(text).alias("touchpoint"),
    )
    known = _columns(client, "ledger")
    client.insert("ledger", rows.select(name for name in rows.columns if name in known))
    place = rows.select("topic", "epoch", "part", "off", "ver", "ingest_ms")
    said = {"text": text, "topics": "delivery,price", "taxonomy": "of-test", "truncated": 1}
    client.insert("texts", place.with_columns(pl.lit(value).alias(name) for name, value in said.items()))
    done = {"topic": "feedback", "epoch": 1, "part": 0, "ver": 1, "seq": 1, "position": 2, "settled": 2}
    types: dict[str, Any] = {**dict.fromkeys(("ver", "seq"), pl.UInt64), **dict.fromkeys(("epoch", "part"), pl.UInt16)}
    client.insert("progress", pl.DataFrame([{**done, "clock_ms": now_ms - 60_000}], schema_overrides=types))


def _columns(client: ClickHouse, table: str) -> list[str]:
    asked = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
    return [str(name) for name in client.query(asked, {"table": table})["name"]]


async def published(settings: Settings) -> list[bytes]:
    """What a new owner of `ticks` says of these tables, sent to the topic `scores`; it wins over an earlier one."""
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
        now_ms = int(time.time() * 1000)
        publisher = Publisher(pool, send, ends, settings.topic_partitions, definitions_of(settings))
        await publisher.step(now_ms, now_ms)
    finally:
        pool.close()
        await producer.stop()
    return said


class Spoken:
    """A transport that takes everything."""

    async def deliver(self, receiver: Receiver, notice: Notice, now_ms: int) -> Answer:
        """Taken."""
        return Answer("sent")

    async def refresh(self, receiver: Receiver, accounts: Sequence[Account], now_ms: int) -> None:
        """Nobody forgets."""


async def called(settings: Settings, **more: Any) -> str:
    """What a worker does that finds a drop now: the book's rows, the topic's steps. The id of the incident."""
    now = int(time.time())
    told: dict[str, Any] = {
        "scope": {"brand": "aurora", "touchpoint": "delivery"},
        "window_end": now // 300 * 300,
        "began": now // 300 * 300 - 1_200,
        "contributions": [share("channel", "email", 0.8)],
        "verbatims": [HOSTILE],
        **more,
    }
    pool, outbox = Pool(settings), Outbox(settings)
    caller = Caller(pool, outbox.send, routes_of("ops"), Spoken())
    await caller.step([finding(0, **told)], now * 1000, lambda highest: highest + 1)
    await caller.deliver(now * 1000)
    await outbox.close()
    pool.close()
    assert caller.book is not None
    return max(caller.book.incidents.values(), key=lambda incident: incident.opened_ms).id


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


async def asked(server: Server, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers of a GET."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{server.port}{path}", headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read(), answer.headers.copy()


def iso(second: int) -> str:
    """A moment as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
