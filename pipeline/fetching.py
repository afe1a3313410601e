"""How the consumer waits for records [I/O]: Faust's own, with the two waits for which Faust has no setting."""

from __future__ import annotations

import logging
from typing import Any

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

#: The broker holds a fetch back until there is so much (as packed by the producer), or for so long. The flow costs
#: some milliseconds a slice, however small: a fetch for each handful of records would fill a worker at a few hundred
#: events a second.
LEAST_BYTES = 64 * 1024
#: Also: one fetch is under way at a time, so one for quiet topics alone keeps the busy ones waiting. The polls in the
#: stream last for about this long at full speed; Faust's own 1.5 s left a worker with a backlog idle for a second.
WAIT_MS = 200


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
