"""A new epoch of a topic [I/O]: written where positions are read, before the workers start again."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline.clickhouse import ClickHouse
from pipeline.customers.following import PROFILES
from pipeline.errors import UsageError
from pipeline.ledger import positions
from pipeline.settings import Settings
from pipeline.slices import Partition
from pipeline.topics import partitions_of, stopped, unreachable
from schemas.topics import LEDGER_TOPICS


def begin_next(client: ClickHouse, settings: Settings, topic: str) -> int:
    """Writes the next epoch of every partition of a topic and returns its number."""
    if topic not in (*LEDGER_TOPICS, PROFILES):
        raise UsageError(f"no topic {topic!r} with positions; one of {', '.join((*LEDGER_TOPICS, PROFILES))}")
    firsts = {part: bounds[0] for part, bounds in asyncio.run(bounds_of(settings, topic)).items()}
    if topic == PROFILES:
        # What is written later wins by its offset: the table goes on counting where it is.
        tops = dict(client.query("SELECT part, max(off) AS top FROM profiles GROUP BY part").iter_rows())
        firsts = {part: tops.get(part, -1) + 1 for part in firsts}
    epoch = positions.epoch_of(client, topic) + 1
    for part, first in sorted(firsts.items()):
        positions.begin_epoch(client, Partition(topic, part), epoch, first, 0, "recreated")
    return epoch


async def bounds_of(settings: Settings, topic: str) -> dict[int, tuple[int, int]]:
    """First offset and log end of each partition of a topic (plain name). Raises Unavailable."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False, **settings.kafka_security()
    )
    try:
        await consumer.start()
        parts = await partitions_of(consumer, settings.topic(topic))
        firsts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        return {part.partition: (firsts[part], ends[part]) for part in parts}
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    finally:
        await stopped(consumer)
