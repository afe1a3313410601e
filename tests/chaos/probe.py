"""Single events to a known partition, and topics read to their end [I/O]."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.chaos import evidence
from tests.chaos.generator import Event, moment
from tests.chaos.harness import Case

#: Sizes that only a test sends: the producer must not refuse them before the broker sees them.
LARGEST = 8_000_000


def feedback(event_id: str, at_ms: int, customer: str = "customer-1", **fields: Any) -> Event:
    """A valid NPS answer of 9; `fields` change or add to it, None takes a field away."""
    body: dict[str, Any] = {
        "event_id": event_id,
        "occurred_at": moment(at_ms),
        "channel": "web",
        "touchpoint": "checkout",
        "metric": "nps",
        "score": 9,
        "customer_id": customer,
    }
    body = {name: value for name, value in (body | fields).items() if value is not None}
    return Event("feedback", customer.encode(), json.dumps(body).encode())


def unique(word: str) -> str:
    """An id that nothing else has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def send(case: Case, events: Sequence[Event], part: int | None = None) -> list[tuple[str, int, int]]:
    """Produces events one after the other, of any size, to one partition if asked; where each lies."""
    return asyncio.run(_send(case, events, part))


async def _send(case: Case, events: Sequence[Event], part: int | None) -> list[tuple[str, int, int]]:
    producer = AIOKafkaProducer(
        bootstrap_servers=case.direct_bootstrap, acks="all", enable_idempotence=True, max_request_size=LARGEST
    )
    await producer.start()
    try:
        futures = [
            await producer.send(case.prefix + event.topic, value=event.value, key=event.key, partition=part)
            for event in events
        ]
        done = await asyncio.gather(*futures)
        return [(event.topic, each.partition, each.offset) for event, each in zip(events, done, strict=True)]
    finally:
        await producer.stop()


def allow(case: Case, topic: str, largest: int) -> None:
    """Lets a topic take larger values than the broker's default of a megabyte."""
    asyncio.run(_allow(case, case.prefix + topic, str(largest)))


async def _allow(case: Case, name: str, largest: str) -> None:
    configs = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "max.message.bytes": largest}
    async with _Admin(case) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=configs)])


def committed(case: Case) -> dict[tuple[str, int], int]:
    """Offsets that the group has committed to Kafka, by plain topic and partition."""
    return asyncio.run(_committed(case))


async def _committed(case: Case) -> dict[tuple[str, int], int]:
    async with _Admin(case) as admin:
        found: Mapping[Any, Any] = await admin.list_consumer_group_offsets(case.group)
    return {(tp.topic.removeprefix(case.prefix), tp.partition): each.offset for tp, each in found.items()}


class _Admin:
    """An admin connection of a case."""

    def __init__(self, case: Case) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=case.direct_bootstrap)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._admin.start()
        return self._admin

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()


def ledger(case: Case, columns: str = "topic, part, off, disposition, reason, failed_at") -> dict[Any, dict[str, Any]]:
    """Ledger rows by (topic, partition, offset)."""
    rows = case.rows(f"SELECT topic, part, off, {columns} FROM ledger FINAL")
    return {(row["topic"], row["part"], row["off"]): row for row in rows}


def records(case: Case, *topics: str) -> list[tuple[bytes, bytes]]:
    """Key and value of every record of these topics (plain names)."""
    found = evidence.read_log(case.direct_bootstrap, case.prefix, topics)
    return [(record.key or b"", record.value or b"") for record in found]
