"""A gateway with topics, tables and keys of its own on the shared stack, for the tests that send to it [I/O]."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.intake.serving import Server, started
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from pipeline.topics import Topics
from tests.integration.test_intake import arrived
from tests.tables import make_tables

WRITE = frozenset({Right.WRITE})

T = TypeVar("T")


@dataclass
class Place:
    """One gateway with topics and keys of its own."""

    settings: Settings
    server: Server
    tables: ClickHouse
    client: aiohttp.ClientSession
    token: str

    async def key(self, name: str, rights: frozenset[Right] = WRITE, **scope: frozenset[str]) -> str:
        """A new key's token, known to the gateway."""
        grant = Grant("", name, rights, **scope)
        token = (await asyncio.to_thread(store.create, self.tables, grant, 0))[1]
        await eventually(lambda: self.server.verifier.grant(token))
        return token

    async def post(self, body: Any, token: str | None = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, document and headers of a POST; `headers` with underlines for dashes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {token or self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.post(f"{self.server.url}/v1/events", data=io.BytesIO(data), headers=sent) as answer:
            return answer.status, await answer.json(), answer.headers

    async def sent(self, *topics: str) -> list[Any]:
        """All records of the topics."""
        return [record for topic in topics for record in await arrived(self.settings, topic)]

    async def runs(self) -> int:
        """How many runs of events Kafka has acknowledged."""
        async with self.client.get(f"{self.server.health_url}/metrics") as answer:
            text = await answer.text()
        (family,) = (
            each for each in text_string_to_metric_families(text) if each.name == "touchline_gateway_kafka_seconds"
        )
        return int(next(sample.value for sample in family.samples if sample.name.endswith("_count")))

    async def counted(self) -> dict[str, Counter[str]]:
        """The gateway's counters: name without frame -> label that matters -> number."""
        async with self.client.get(f"{self.server.health_url}/metrics") as answer:
            text = await answer.text()
        found: dict[str, Counter[str]] = {name: Counter() for name in ("received", "accepted", "rejected", "shed")}
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix("touchline_gateway_")
            if name in found:
                for sample in family.samples:
                    if sample.name.endswith("_total"):
                        word = sample.labels.get("reason") or sample.labels.get("cause") or ""
                        found[name][word] += int(sample.value)
        return found


def placed(stack: Stack, topic_prefix: str, database: str, **more: Any) -> Any:
    """A gateway for a block."""

    @asynccontextmanager
    async def go() -> AsyncIterator[Place]:
        settings = load_settings(
            bootstrap_servers=stack.bootstrap,
            clickhouse_url=stack.clickhouse_url,
            clickhouse_database=database,
            topic_prefix=topic_prefix,
            topic_partitions=4,
            insecure_keys=True,
            gateway_port=0,
            gateway_health_port=0,
            **more,
        )
        async with Topics(settings) as topics:
            await topics.apply()
        tables = ClickHouse(settings)
        await asyncio.to_thread(make_tables, tables, settings)
        async with started(settings) as server, aiohttp.ClientSession() as client:
            await eventually(lambda: ready(client, server))
            made = Place(settings, server, tables, client, "")
            made.token = await made.key("shop")
            yield made
        tables.close()

    return go()


async def ready(client: aiohttp.ClientSession, server: Server) -> bool:
    async with client.get(f"{server.url}/readyz") as answer:
        return answer.status == 200


async def eventually(condition: Callable[[], Awaitable[T]], deadline_s: float = 30.0) -> T:
    """The first true answer of `condition`; TimeoutError after the deadline."""
    async with asyncio.timeout(deadline_s):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.02)


async def raw(server: Server, *parts: bytes) -> bytes:
    """What comes back for these bytes, sent as they are; empty when the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def event(number: int = 0, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    full = {"event_id": f"e{number}", "occurred_at": now, "channel": "web", "metric": "nps", "score": number % 11}
    return {name: value for name, value in (full | {"customer_id": f"c{number}"} | fields).items() if value is not None}


def reasons(document: dict[str, Any]) -> dict[int, tuple[str, str]]:
    return {
        item["index"]: (item["reason"], item["path"]) for item in document["items"] if item["verdict"] == "rejected"
    }
