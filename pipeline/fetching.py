"""How the consumer fetches [I/O]: Faust's consumer thread and aiokafka's fetcher, with what has no setting in either.

aiokafka has one fetch under way at a time and begins none while records of another partition wait to be taken, so a
worker with a backlog stood idle for a third of its time, measured. Here a partition is fetched again as soon as its
records are taken, and a fetch that may find quiet partitions only comes back at once.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from weakref import WeakSet

from aiokafka import TopicPartition
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

#: The broker holds a fetch back until there is so much (as packed by the producer), or for so long. The flow costs
#: some milliseconds a slice, however small: a fetch for each handful of records would fill a worker at a few hundred
#: events a second.
LEAST_BYTES = 64 * 1024
WAIT_MS = 200
#: The same while records wait to be taken: busy partitions must not wait for the end of a fetch of quiet ones.
BUSY_WAIT_MS = 20


class PlainRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka has no types
    """Records as they were unpacked: the object that aiokafka makes around each costs more than decoding its JSON."""

    def __iter__(self) -> Any:
        return self._records_iterator

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class KeenFetcher(aiokafka_fetcher.Fetcher):  # type: ignore[misc] # aiokafka has no types
    """Fetches a partition whose records are taken while those of others still wait.

    Quiet partitions are asked along with a busy one. Alone, while records wait, they are asked only once in WAIT_MS:
    without that rule such fetches took a third of the broker's time.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, prefetch_backoff=0, **named)
        self._patience_ms: int = self._fetch_max_wait_ms
        self._asked_s = 0.0

    async def _proc_fetch_request(self, *arguments: Any) -> Any:
        woken = await super()._proc_fetch_request(*arguments)
        for result in self._records.values():
            records = getattr(result, "_partition_records", None)  # an error has none
            if type(records) is aiokafka_fetcher.PartitionRecords:
                records.__class__ = PlainRecords
        return woken

    def _get_actions_per_node(self, assignment: Any) -> Any:
        waiting = bool(self._records)
        self._fetch_max_wait_ms = min(self._patience_ms, BUSY_WAIT_MS) if waiting else self._patience_ms
        fetches, *others = super()._get_actions_per_node(assignment)
        now_s = time.monotonic()
        if waiting and (now_s - self._asked_s) * 1000 < WAIT_MS:
            fetches = [(node, request) for node, request in fetches if _promising(assignment, request)]
        if fetches:
            self._asked_s = now_s
        return fetches, *others


def _promising(assignment: Any, request: Any) -> bool:
    """Whether a partition of the request has records behind its position, as far as the last answer told."""
    for topic, partitions in request.topics:
        for part, position, _ in partitions:
            end = assignment.state_value(TopicPartition(topic, part)).highwater
            if end is None or end > position:
                return True
    return False


#: Clients of the consumers that fetch this way; all others of the process keep aiokafka's own fetcher.
_KEEN: WeakSet[Any] = WeakSet()


def keen(consumer: Any) -> Any:
    """The consumer, which from its start on fetches as above and gives plain records."""
    _KEEN.add(consumer._client)
    return consumer


def _fetcher(client: Any, *arguments: Any, **named: Any) -> Any:
    made = KeenFetcher if client in _KEEN else aiokafka_fetcher.Fetcher
    return made(client, *arguments, **named)


# A consumer looks its fetcher up by this name when it starts; there is no other place to put one in.
aiokafka_consumer.Fetcher = _fetcher


class PatientThread(AIOKafkaConsumerThread):
    """The thread in which the consumer runs."""

    logger = logging.getLogger("faust.consumer.thread")

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = keen(super()._create_worker_consumer(transport))
        consumer._fetch_min_bytes = LEAST_BYTES
        consumer._fetch_max_wait_ms = WAIT_MS
        return consumer


class PatientConsumer(Consumer):
    """Faust's consumer with such a thread: `app.transport.Consumer = PatientConsumer`."""

    logger = logging.getLogger("faust.consumer")

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return PatientThread(self, loop=self.loop, beacon=self.beacon)
