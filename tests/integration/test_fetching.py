"""The fetcher on the real broker: it is the one that our consumers get, gives records whole, and asks in two ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.fetching import BUSY_WAIT_MS, WAIT_MS, KeenFetcher, keen
from pipeline.stack.launch import Stack

pytestmark = pytest.mark.kafka

#: Longest wait for the broker, seconds.
_PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    """Lets the fetcher's own tasks run until a condition holds."""
    async with asyncio.timeout(_PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (aiokafka has no event to wait for)
            await asyncio.sleep(0)


@pytest.fixture
async def topic(stack: Stack, topic_prefix: str) -> str:
    """A topic of two partitions with three records in the first and none in the second."""
    name = f"{topic_prefix}fetched"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap)
    await producer.start()
    for number in range(3):
        value = b"v%d" % number
        await producer.send_and_wait(name, value, b"k", partition=0, headers=[("kind", b"h")])
    await producer.send_and_wait(name, None, b"gone", partition=0)
    await producer.stop()
    return name


@pytest.fixture
async def consumer(stack: Stack, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    made = keen(
        AIOKafkaConsumer(bootstrap_servers=stack.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=WAIT_MS)
    )
    await made.start()
    made.assign([TopicPartition(topic, part) for part in range(2)])
    yield made
    await made.stop()


async def test_records_come_with_everything_that_a_slice_needs(consumer: AIOKafkaConsumer, topic: str) -> None:
    found = await consumer.getmany(timeout_ms=int(_PATIENCE_S * 1000))
    records = found[TopicPartition(topic, 0)]
    assert isinstance(consumer._fetcher, KeenFetcher)
    assert [record.offset for record in records] == [0, 1, 2, 3]
    assert [record.value for record in records] == [b"v0", b"v1", b"v2", None]
    assert [record.key for record in records] == [b"k", b"k", b"k", b"gone"]
    assert [tuple(record.headers) for record in records] == [(("kind", b"h"),)] * 3 + [()]
    assert all(record.timestamp > 1_700_000_000_000 for record in records), "milliseconds"
    assert await consumer.position(TopicPartition(topic, 0)) == 4, "what was taken is behind us"


async def test_part_of_a_fetch_can_be_taken_and_the_rest_follows(consumer: AIOKafkaConsumer, topic: str) -> None:
    here = TopicPartition(topic, 0)
    first = await consumer.getmany(here, timeout_ms=int(_PATIENCE_S * 1000), max_records=2)
    assert [record.offset for record in first[here]] == [0, 1]
    assert await consumer.position(here) == 2
    rest = await consumer.getmany(here, timeout_ms=int(_PATIENCE_S * 1000))
    assert [record.offset for record in rest[here]] == [2, 3]


async def test_quiet_partitions_are_asked_briefly_while_records_wait(consumer: AIOKafkaConsumer, topic: str) -> None:
    fetcher = consumer._fetcher
    assignment = consumer._subscription.subscription.assignment

    def patience() -> list[int]:
        return [request._max_wait_ms for _, request in fetcher._get_actions_per_node(assignment)[0]]

    await until(lambda: TopicPartition(topic, 0) in fetcher._records)
    await until(lambda: not fetcher._in_flight)
    fetcher._asked_s = time.monotonic()
    assert patience() == [], "only the quiet partition could be asked, and it was just now"
    fetcher._asked_s -= WAIT_MS / 1000
    assert patience() == [BUSY_WAIT_MS], "but it is not forgotten"
    await consumer.getmany(timeout_ms=0)
    await until(lambda: not fetcher._in_flight)
    assert patience() == [WAIT_MS]


async def test_a_busy_partition_is_asked_again_while_records_of_another_wait(
    stack: Stack, consumer: AIOKafkaConsumer, topic: str
) -> None:
    fetcher, other = consumer._fetcher, TopicPartition(topic, 1)
    assignment = consumer._subscription.subscription.assignment
    await until(lambda: TopicPartition(topic, 0) in fetcher._records)
    await until(lambda: not fetcher._in_flight)
    fetcher._asked_s = time.monotonic()
    assignment.state_value(other).highwater = 1  # as if the last answer had told of one more record
    fetches = fetcher._get_actions_per_node(assignment)[0]
    assert [request.topics for _, request in fetches] == [[(topic, [(1, 0, consumer._max_partition_fetch_bytes)])]]


async def test_other_consumers_of_the_process_are_left_as_they_are(stack: Stack, topic: str) -> None:
    other = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap, auto_offset_reset="earliest")
    await other.start()
    other.assign([TopicPartition(topic, 0)])
    record = await other.getone()
    assert (record.topic, record.partition, record.offset) == (topic, 0, 0)
    await other.stop()
