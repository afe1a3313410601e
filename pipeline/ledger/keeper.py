"""How partitions come into our hands and stay there [I/O]: loading, seeking, holes, letting go.

Every poll passes `admit`: it answers which of its records are next, or nothing. What is not next is dropped and
fetched again from the right place, so a hole is believed only when a fetch made after a seek still begins above it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.errors import TopicRecreated, Unavailable
from pipeline.ledger import positions
from pipeline.ledger.custody import Custody, Holding, fence, raised
from pipeline.ledger.writer import BACKOFF_S
from pipeline.slices import Partition, Poll, Record
from schemas.vocabulary import Reason

Result = TypeVar("Result")
#: What may rewrite a partition's rows between two attempts: its standing in the tables and the fence of the next one.
Between = Callable[[ClickHouse, positions.Standing, int], None]


class Broker(Protocol):
    """The group and the log, as far as the keeper needs them."""

    def generation(self) -> int:
        """The group's present generation."""

    def rebalancing(self) -> bool:
        """Whether the group is changing hands: the generation is still the old one, the partitions are not."""

    def now(self) -> float:
        """Monotonic seconds, the clock of `Poll.fetched_at`."""

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of the partition begins at `offset`."""

    async def first_offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The oldest offset of each partition that the broker still has."""

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The offset after the newest record of each partition."""

    async def first_record(self, partition: Partition, offset: int) -> int:
        """The smallest offset at or above `offset` that holds a record, as a reader of its own finds it."""


class Keeper:
    """Takes partitions over from the tables and decides what of a poll is next."""

    def __init__(self, pool: Pool, broker: Broker, custody: Custody) -> None:
        self._pool = pool
        self._broker = broker
        self._custody = custody
        self._loading = asyncio.Lock()
        #: Held while a batch is on its way to the ledger: a position read meanwhile could miss what is about to land.
        self.writing = asyncio.Lock()
        self.dropped = 0
        self.replayed = 0
        self.retries = 0

    async def admit(self, poll: Poll) -> tuple[Holding, Sequence[Record]] | None:
        """The holding and the records to take, or None when nothing of the poll is next."""
        if poll.generation != self._broker.generation() or self._broker.rebalancing() or not self._custody.alive():
            self.dropped += 1
            return None
        if self._custody.holding(poll.partition) is None:
            await self.load({poll.partition}, poll.generation)
        holding = self._custody.holding(poll.partition)
        if holding is None:
            return None
        holding.log_end = max(holding.log_end, poll.log_end)
        records = poll.records[first_at(poll.records, holding.next_off) :]
        self.replayed += len(poll.records) - len(records)
        if not records:
            return None
        if records[0].offset > holding.next_off and not await self._hole(poll, holding, records[0].offset):
            return None
        run = records[: run_length(records)]
        if len(run) < len(records):
            await self._seek(poll.partition, holding, run[-1].offset + 1)
        return holding, run

    async def anew(self, partition: Partition, generation: int, between: Between) -> bool:
        """Begins a partition anew; `between` may rewrite its rows under the new fence, since nothing is on its way.

        False when it was not done: the group changed, or another task took the partition over first.
        """
        await self.rewind([partition])
        done: list[bool] = []

        def work(client: ClickHouse, standing: positions.Standing, ver: int) -> None:
            between(client, standing, ver)
            done.append(True)

        await self.load({partition}, generation, work)
        return bool(done) and self._custody.holding(partition) is not None

    async def load(self, partitions: set[Partition], generation: int, between: Between | None = None) -> None:
        """Takes partitions over as the tables say; does nothing for those held already or once the group changed."""
        async with self._loading, self.writing:
            wanted = {partition for partition in partitions if self._custody.holding(partition) is None}
            if not wanted:
                return
            found = await self.until_answered(
                lambda: self._pool.call(lambda client: positions.standings(client, wanted)), generation
            )
            if found is None:
                return
            log_ends = await self.until_answered(lambda: self._broker.log_ends(wanted), generation)
            firsts = await self.until_answered(lambda: self._broker.first_offsets(wanted), generation)
            # Taken from us meanwhile, although no new generation has begun: a fence made now would be above the next
            # owner's.
            if log_ends is None or firsts is None or self._broker.rebalancing():
                return
            for partition in sorted(wanted):
                if between is not None and not await self._between(partition, found[partition], generation, between):
                    return
                await self._take(partition, found[partition], log_ends[partition], firsts[partition], generation)

    async def _between(
        self, partition: Partition, standing: positions.Standing, generation: int, work: Between
    ) -> bool:
        ver = fence(standing.ver, generation, self._custody.next_attempt(partition))

        def call(client: ClickHouse) -> bool:
            work(client, standing, ver)
            return True

        return await self.until_answered(lambda: self._pool.call(call), generation) is True

    async def _take(
        self, partition: Partition, standing: positions.Standing, log_end: int, first: int, generation: int
    ) -> None:
        ver = fence(standing.ver, generation, self._custody.next_attempt(partition))
        position, lo = standing.position, standing.lo
        if not standing.known:
            position, lo = first - 1, first
        if not standing.known or raised(ver, standing.ver):
            reason = "group" if standing.known else "first"
            begun = await self.until_answered(
                lambda: self._pool.call(
                    lambda client: positions.begin_epoch(client, partition, standing.epoch, lo, ver, reason)
                ),
                generation,
            )
            if begun is None:
                return
        if position >= log_end:
            raise TopicRecreated(
                f"{partition.topic}[{partition.part}]: the ledger holds offset {position}, but the log ends at "
                f"{log_end}: the topic was deleted and made again. Begin a new epoch with "
                f"`touchline offsets reset --topic {partition.topic}`"
            )
        holding = Holding(
            epoch=standing.epoch,
            generation=generation,
            attempt=self._custody.next_attempt(partition),
            ver=ver,
            loaded=position,
            position=position,
            next_off=position + 1,
            ingest_ms=standing.ingest_ms,
            clock_ms=standing.clock_ms,
            log_end=log_end,
        )
        self._custody.take(partition, holding)
        if position + 1 < log_end:
            await self._seek(partition, holding, position + 1)

    async def rewind(self, partitions: Sequence[Partition]) -> None:
        """Slices of these partitions were dropped: forget what is in flight and fetch again from the position."""
        for partition in partitions:
            holding = self._custody.holding(partition)
            self._custody.forget(partition)
            if holding is not None:
                await self._broker.seek(partition, holding.position + 1)

    async def until_answered(self, ask: Callable[[], Awaitable[Result]], generation: int) -> Result | None:
        """Asks with back-off while the generation stands; None when it changed."""
        wait = BACKOFF_S[0]
        while self._broker.generation() == generation:
            try:
                return await ask()
            except Unavailable:
                self.retries += 1
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, BACKOFF_S[1])
        return None

    async def _seek(self, partition: Partition, holding: Holding, offset: int) -> None:
        await self._broker.seek(partition, offset)
        holding.sought_off, holding.sought_at = offset, self._broker.now()

    async def _hole(self, poll: Poll, holding: Holding, first: int) -> bool:
        """Whether the hole before `first` is real; then it is written down, else the partition is sought again."""
        if not (holding.sought_off == holding.next_off and poll.fetched_at > holding.sought_at):
            await self._seek(poll.partition, holding, holding.next_off)
            return False
        # The seek may have overtaken a fetch on its way to us: only a reader of its own can tell.
        found = await self.until_answered(
            lambda: self._broker.first_record(poll.partition, holding.next_off), poll.generation
        )
        if found is None or self._custody.holding(poll.partition) is not holding:
            return False
        if found != first:
            await self._seek(poll.partition, holding, holding.next_off)
            if found == holding.next_off:
                return False
        firsts = await self.until_answered(lambda: self._broker.first_offsets({poll.partition}), poll.generation)
        if firsts is None:
            return False
        reason = Reason.RETENTION if holding.next_off < firsts[poll.partition] else Reason.MARKERS
        gap = (holding.next_off, found - 1, str(reason))
        written = await self.until_answered(
            lambda: self._pool.call(
                lambda client: (
                    positions.write_gap(
                        client, poll.partition, holding.epoch, gap, holding.ver, poll.records[0].timestamp
                    )
                    or True
                )
            ),
            poll.generation,
        )
        if not written or self._custody.holding(poll.partition) is not holding:
            return False
        holding.next_off = found
        return found == first


def first_at(records: Sequence[Record], offset: int) -> int:
    """Index of the first record at or above an offset; records are in order."""
    if not records or records[0].offset >= offset:
        return 0
    if records[-1].offset < offset:
        return len(records)
    low, high = 0, len(records) - 1
    while low < high:
        middle = (low + high) // 2
        if records[middle].offset < offset:
            low = middle + 1
        else:
            high = middle
    return low


def run_length(records: Sequence[Record]) -> int:
    """How many records from the first on have consecutive offsets."""
    first = records[0].offset
    if records[-1].offset - first == len(records) - 1:
        return len(records)
    low, high = 0, len(records) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if records[middle].offset - first == middle:
            low = middle
        else:
            high = middle - 1
    return low + 1
