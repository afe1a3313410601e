"""What is there, read with plain clients [I/O]: the log from Kafka, the tables over ClickHouse's HTTP interface."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.chaos.oracle import Bounds, Logged

#: The topics that have a ledger, plain names.
TOPICS = ("touchpoints", "feedback", "history")


def rows(url: str, database: str, sql: str) -> list[dict[str, Any]]:
    """Rows of a SELECT as dictionaries; 64-bit integers are numbers."""
    query = urllib.parse.urlencode(
        {
            "database": database,
            "output_format_json_quote_64bit_integers": 0,
            "do_not_merge_across_partitions_select_final": 1,
        }
    )
    request = urllib.request.Request(f"{url}/?{query}", data=f"{sql} FORMAT JSONEachRow".encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [json.loads(line) for line in answer.read().splitlines() if line.strip()]


def command(url: str, sql: str) -> None:
    """A statement without rows."""
    with urllib.request.urlopen(urllib.request.Request(url + "/", data=sql.encode()), timeout=60) as answer:
        answer.read()


def read_log(bootstrap: str, prefix: str, topics: Iterable[str] = TOPICS) -> list[Logged]:
    """Every record that the broker holds of these topics (plain names)."""
    return asyncio.run(_read_log(bootstrap, prefix, tuple(topics)))


def log_bounds(bootstrap: str, prefix: str, topics: Iterable[str] = TOPICS) -> dict[tuple[str, int], Bounds]:
    """First and last offset of each partition; an empty one has hi = lo - 1."""
    return asyncio.run(_log_bounds(bootstrap, prefix, tuple(topics)))


async def _consumer(bootstrap: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, check_crcs=False)
    await consumer.start()
    return consumer


async def _partitions(consumer: AIOKafkaConsumer, names: Iterable[str]) -> list[TopicPartition]:
    await consumer._client.force_metadata_update()
    return [TopicPartition(name, part) for name in names for part in sorted(consumer.partitions_for_topic(name) or ())]


async def _log_bounds(bootstrap: str, prefix: str, topics: tuple[str, ...]) -> dict[tuple[str, int], Bounds]:
    consumer = await _consumer(bootstrap)
    try:
        parts = await _partitions(consumer, (prefix + topic for topic in topics))
        firsts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        return {(tp.topic.removeprefix(prefix), tp.partition): Bounds(firsts[tp], ends[tp] - 1) for tp in parts}
    finally:
        await consumer.stop()


async def _read_log(bootstrap: str, prefix: str, topics: tuple[str, ...]) -> list[Logged]:
    consumer = await _consumer(bootstrap)
    found: list[Logged] = []
    try:
        parts = await _partitions(consumer, (prefix + topic for topic in topics))
        ends = await consumer.end_offsets(parts)
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        while any([await consumer.position(tp) < ends[tp] for tp in parts]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                topic = tp.topic.removeprefix(prefix)
                found.extend(
                    Logged(topic, tp.partition, r.offset, r.timestamp, r.key, r.value)
                    for r in records
                    if r.offset < ends[tp]
                )
        return found
    finally:
        await consumer.stop()
