"""Topics read without a group [I/O]: from some time ago, on and on, whatever happens to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline.settings import Settings
from pipeline.topics import partitions_of, stopped

#: Before another try, and between two questions whether a quiet broker still lives; seconds.
_AGAIN_S: Final = 2.0
#: A broker that does not answer for so long is gone.
_ANSWER_S: Final = 10.0
#: Records of one fetch: a small batch keeps the event loop free for the viewers.
_MOST: Final = 5_000

#: Takes the value of one record.
Take = Callable[[bytes | None], object]


class Following:
    """Reads each topic of `takers` (who takes a value, seconds back); `trouble["kafka"]` says what is wrong.

    `heard` is called after each batch.
    """

    def __init__(
        self,
        settings: Settings,
        takers: Mapping[str, tuple[Take, int]],
        trouble: dict[str, str],
        clock: Callable[[], float],
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._takers = {settings.topic(name): taker for name, taker in takers.items()}
        self._trouble = trouble
        self._clock = clock
        self._heard = heard
        #: Everything that was there when it began to read has been taken: what is known is not a part of it.
        self.caught_up = False

    async def run(self) -> None:
        """Never ends."""
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.bootstrap_servers,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                **self._settings.kafka_security(),
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                self._trouble["kafka"] = f"Kafka does not answer ({type(error).__name__})"
            finally:
                await stopped(consumer)
            await asyncio.sleep(_AGAIN_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        partitions = [partition for name in self._takers for partition in await partitions_of(consumer, name)]
        missing = set(self._takers) - {partition.topic for partition in partitions}
        if missing:
            self._trouble["kafka"] = f"there is no topic {' or '.join(sorted(missing))}: run `touchline topics apply`"
            return
        consumer.assign(partitions)
        now = self._clock()
        since = {partition: int((now - self._takers[partition.topic][1]) * 1000) for partition in partitions}
        found = await consumer.offsets_for_times(since)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            at = found.get(partition)
            consumer.seek(partition, ends[partition] if at is None else at.offset)
        checked = now
        while True:
            if not self.caught_up and all([await consumer.position(part) >= ends[part] for part in partitions]):
                self.caught_up = True
                self._heard()
            batches = await consumer.getmany(timeout_ms=500, max_records=_MOST)
            for partition, records in batches.items():
                take = self._takers[partition.topic][0]
                for record in records:
                    take(record.value)
            if batches:
                self._heard()
            if not batches and self._clock() - checked > _AGAIN_S:
                # A consumer whose broker is gone only goes quiet: asking for the ends says whether it is.
                checked = self._clock()
                await asyncio.wait_for(consumer.end_offsets(partitions), _ANSWER_S)
            self._trouble.pop("kafka", None)
