"""How the consumer fetches [I/O]: Faust's consumer thread and aiokafka's fetcher, with what has no setting in either.

aiokafka has one fetch under way at a time and begins none while records of another partition wait to be taken, so a
worker with a backlog stood idle for a third of its time, measured. Here a partition is fetched again as soon as its
records are taken, and a fetch that may find quiet partitions only comes back at once.
"""

from __future__ import annotations

import logging
from typing import Any

from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

#: The broker holds a fetch back until there is so much (as packed by the producer), or for so long. The flow costs
#: some milliseconds a slice, however small: a fetch for each handful of records would fill a worker at a few hundred
#: events a second.
LEAST_BYTES = 64 * 1024
WAIT_MS = 200
#: The same while records wait to be taken: such a fetch may ask quiet partitions only, and busy ones wait for its end.
#: The polls in the stream last for longer than this at full speed.
BUSY_WAIT_MS = 50


class PlainRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka has no types
    """Records as they were unpacked: the object that aiokafka makes around each costs more than decoding its JSON."""

    def __iter__(self) -> Any:
        return self._records_iterator

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class KeenFetcher(aiokafka_fetcher.Fetcher):  # type: ignore[misc] # aiokafka has no types
    """Fetches a partition whose records are taken while those of others still wait."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, prefetch_backoff=0, **named)
        self._patience_ms: int = self._fetch_max_wait_ms

    def _get_actions_per_node(self, assignment: Any) -> Any:
        self._fetch_max_wait_ms = min(self._patience_ms, BUSY_WAIT_MS) if self._records else self._patience_ms
        return super()._get_actions_per_node(assignment)


# aiokafka looks both up by these names when a consumer starts and when a fetch comes back.
aiokafka_consumer.Fetcher = KeenFetcher
aiokafka_fetcher.PartitionRecords = PlainRecords


class PatientThread(AIOKafkaConsumerThread):
    """The thread in which the consumer runs."""

    logger = logging.getLogger("faust.consumer.thread")

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._fetch_min_bytes = LEAST_BYTES
        consumer._fetch_max_wait_ms = WAIT_MS
        return consumer


class PatientConsumer(Consumer):
    """Faust's consumer with such a thread: `app.transport.Consumer = PatientConsumer`."""

    logger = logging.getLogger("faust.consumer")

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return PatientThread(self, loop=self.loop, beacon=self.beacon)
