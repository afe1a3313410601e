"""Slices into the tables `windows` and `progress` [I/O]: hot minutes from memory, cold ones from the ledger.

Only the owner of a partition writes its windows. On assignment everything between the settled offset and the
ledger's position is recomputed, so a crash at any point leaves nothing uncounted and nothing counted twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.errors import Unavailable
from pipeline.scores import recompute, takeover
from pipeline.scores.kept import by_width
from pipeline.scores.packing import MOST_AT_ONCE, Keys
from pipeline.scores.recompute import ROW, Part
from pipeline.scores.takeover import MANY_MINUTES, Portion, floor_of
from pipeline.scores.windows import COUNTS, Hot, contributions, fold, load, rows_of, stacked
from pipeline.slices import Partition, Slice
from schemas.vocabulary import Reason

Result = TypeVar("Result")

#: Slices folded at once: what a fold makes meanwhile is several times what they hold.
_AT_ONCE = 8
#: Waits between two tries, seconds.
_BACKOFF_S = (0.2, 2.0)
#: Of what came after its minute had passed, or replaced an answer, this is noted in the table `changes`.
_TOLD = ("off", "reason", "part", "occurred_ms", "ingest_ms")
_LATER = (str(Reason.DELAYED), str(Reason.REVISED))


@dataclass(frozen=True, slots=True)
class Ours:
    """A partition as the folder took it over."""

    epoch: int
    ver: int
    generation: int
    attempt: int


class Taking(NamedTuple):
    """A partition to be taken over: the ledger's position that it came with, and the partition's clock."""

    partition: Partition
    ours: Ours
    loaded: int
    clock_ms: int


class Folder:
    """The windows of one worker. `holds` says whether a partition is still ours."""

    def __init__(self, pool: Pool, hot_rows: int, holds: Callable[[Partition, Ours], bool]) -> None:
        self._pool = pool
        self._holds = holds
        self._limit = hot_rows
        self._hot: dict[str, Hot] = {}
        self._ours: dict[Partition, Ours] = {}
        self._folded: dict[Partition, int] = {}
        self._rolled: dict[Partition, frozenset[int]] = {}
        self._seq = 0
        self.cold_minutes = 0

    @property
    def hot_rows(self) -> int:
        """Window rows in memory."""
        return sum(hot.rows for hot in self._hot.values())

    @property
    def evicted(self) -> int:
        """Minutes that left the memory because of its limit."""
        return sum(hot.evicted for hot in self._hot.values())

    def ours(self, partition: Partition) -> Ours | None:
        """How the partition was taken over, None when it was not."""
        return self._ours.get(partition)

    def rolled(self, partition: Partition) -> frozenset[int]:
        """Days of the partition that are kept by the hour, as this worker knows."""
        return self._rolled.get(partition, frozenset())

    def cool(self, partition: Partition, days: Collection[int]) -> None:
        """These days are kept by the hour from now on: what touches them is rewritten from the ledger."""
        self._rolled[partition] = self.rolled(partition) | frozenset(days)
        self._hot[partition.topic].cool(partition.part, floor_of(0, days))

    def drop(self, partition: Partition) -> None:
        """The partition is no longer ours."""
        self._ours.pop(partition, None)
        hot = self._hot.get(partition.topic)
        if hot is not None:
            hot.drop(partition.part)

    async def rebuild(self, partition: Partition, ours: Ours, clock_ms: int) -> None:
        """Recomputes all windows of a partition that is ours, up to what is folded."""
        if partition in self._folded:
            await self.begin([Taking(partition, ours, self._folded[partition], clock_ms)], everything=True)

    async def begin(self, takings: Sequence[Taking], *, everything: bool = False) -> None:
        """Takes partitions over: what the ledger holds beyond the settled offset is recomputed and written.

        Those of a topic and epoch together. Raises NoLongerOurs, and then none of them is taken over.
        """
        together: dict[tuple[str, int], list[Taking]] = {}
        for taking in takings:
            self.drop(taking.partition)
            if taking.loaded < 0:
                # Nothing was ever recorded: nothing to ask, nothing to say.
                hot = self._hot.setdefault(taking.partition.topic, Hot(self._limit))
                hot.begin(taking.partition.part, 0)
                self._ours[taking.partition] = taking.ours
            else:
                together.setdefault((taking.partition.topic, taking.ours.epoch), []).append(taking)
        for some in together.values():
            await self._begin(some, everything)

    async def _begin(self, takings: Sequence[Taking], everything: bool) -> None:
        """Takes partitions of one topic and epoch over."""
        held = {taking.partition: taking.ours for taking in takings}
        topic = takings[0].partition.topic
        parts = [Part(topic, each.ours.epoch, each.partition.part, each.loaded) for each in takings]
        plans = await self._ask(lambda client: takeover.plans(client, parts), held)
        hot = self._hot.setdefault(topic, Hot(self._limit))
        for plan in plans:
            self._rolled[Partition(topic, plan.where.part)] = plan.where.rolled
            hot.begin(plan.where.part, plan.floor)
        for portion in takeover.portions(plans, everything=everything):
            fresh = await self._ask(partial(self._recover, portion, held), held)
            for plan in portion.plans:
                taken_over(hot, plan.where.part, fresh.filter(pl.col("part") == plan.where.part))
        self._ours |= held
        await self._progress({each.partition: (each.ours, each.loaded, each.clock_ms) for each in takings})

    def _recover(self, portion: Portion, held: Mapping[Partition, Ours], client: ClickHouse) -> pl.DataFrame:
        """Window rows of a portion from the ledger, written where the table differs."""
        fresh, there = takeover.compared(client, portion)
        changed = recompute.rewritten(
            fresh.join(there, on=[*ROW, *COUNTS], how="anti"), there.join(fresh, on=list(ROW), how="anti")
        )
        for plan in portion.plans:
            rows = changed.filter(pl.col("part") == plan.where.part)
            if not rows.is_empty():
                here = Partition(plan.where.topic, plan.where.part)
                # The fence stands where the next owner looks for it before any window bears it.
                client.insert("progress", self._progress_rows({here: (held[here], plan.settled, plan.clock_ms)}))
                self._write(client, rows, plan.where, held[here].ver)
        return fresh

    async def restated(self, partition: Partition, minutes: Sequence[int], up_to: int) -> None:
        """Rewrites minutes whose ledger rows were changed before the partition was taken over; hot ones are right."""
        floor = self._hot[partition.topic].floor(partition.part)
        cold = [minute for minute in minutes if minute <= floor]
        if cold:
            await self.rewrite(partition, cold, up_to)

    async def fold(self, slices: Sequence[Slice]) -> None:
        """Folds slices that stand in the ledger, writes what changed, then says how far it came."""
        for topic in dict.fromkeys(piece.partition.topic for piece in slices):
            await self._fold_topic(topic, [piece for piece in slices if piece.partition.topic == topic])

    async def _fold_topic(self, topic: str, slices: Sequence[Slice]) -> None:
        # In a thread: most of it is polars, which lets the loop decode the next slices meanwhile.
        told, changed, cold = await asyncio.to_thread(self._counted, self._hot[topic], slices)
        ends = {piece.partition: (self._ours[piece.partition], piece.hi, piece.clock_ms) for piece in slices}
        if not changed.is_empty():
            await self._upsert(topic, changed, ends)
        for (part,), marked in cold.group_by("part"):
            partition = Partition(topic, int(str(part)))
            await self.rewrite(partition, marked["minute"].sort().to_list(), ends[partition][1])
        await self._changes(topic, told, ends)
        await self._progress(ends)

    def _counted(self, hot: Hot, slices: Sequence[Slice]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Adds slices to the hot minutes: what they say of changes, the window rows that changed, (part, minute) of
        cold ones."""
        told: list[pl.DataFrame] = []
        cold: list[pl.DataFrame] = []
        touched: dict[int, Keys] = {}
        for first in range(0, len(slices), _AT_ONCE):
            rows = stacked(
                [
                    piece.rows.with_columns(pl.lit(piece.partition.part, pl.UInt16).alias("part"))
                    for piece in slices[first : first + _AT_ONCE]
                ]
            )
            told.append(rows.select(_TOLD).filter(pl.col("reason").is_in(_LATER)))
            found = contributions(rows)
            cold.append(hot.cold(found))
            if not cold[-1].is_empty():
                found = found.join(cold[-1], on=["part", "minute"], how="anti")
            for minute, (keys, _) in hot.add(fold(found, hot.names)).items():
                touched[minute] = np.union1d(touched[minute], keys) if minute in touched else keys
        changed = rows_of(hot.names, hot.read(touched))
        hot.shrink()
        return pl.concat(told), changed, pl.concat(cold).unique()

    async def _upsert(self, topic: str, changed: pl.DataFrame, ends: dict[Partition, tuple[Ours, int, int]]) -> None:
        vers = pl.DataFrame(
            {
                "part": [partition.part for partition in ends],
                "epoch": [ours.epoch for ours, _, _ in ends.values()],
                "ver": [ours.ver for ours, _, _ in ends.values()],
            },
            schema={"part": pl.UInt16, "epoch": pl.UInt16, "ver": pl.UInt64},
        )
        self._seq += 1
        rows = changed.join(vers, on="part", how="left").with_columns(
            pl.lit(topic).alias("topic"), pl.lit(self._seq, pl.UInt64).alias("seq")
        )
        await self._send("windows", rows, ends)

    async def rewrite(self, partition: Partition, minutes: list[int], up_to: int | None = None) -> None:
        """Cold minutes, or their hours: one GROUP BY over the ledger up to what is folded, zero rows included."""
        ours = self._ours[partition]
        reach = self._folded[partition] if up_to is None else up_to
        where = Part(partition.topic, ours.epoch, partition.part, reach, self.rolled(partition))

        def work(client: ClickHouse) -> None:
            for first in range(0, len(minutes), MANY_MINUTES):
                chosen = minutes[first : first + MANY_MINUTES]
                fresh = recompute.recompute(client, where, chosen)
                rows = recompute.rewritten(fresh, recompute.stored(client, where, chosen))
                self._write(client, rows, where, ours.ver)

        await self.ask(work, partition, ours)
        self.cold_minutes += len(minutes)

    def _write(self, client: ClickHouse, rows: pl.DataFrame, where: Part, ver: int) -> None:
        for table, some in zip(("windows", "windows_1h"), by_width(rows, where.rolled), strict=True):
            client.insert(table, self._versioned(some, ver))

    def next_seq(self) -> int:
        """The number of the next write: of two rows under one fence the higher wins."""
        self._seq += 1
        return self._seq

    def _versioned(self, rows: pl.DataFrame, ver: int) -> pl.DataFrame:
        seq = self.next_seq()
        return rows.with_columns(pl.lit(ver, pl.UInt64).alias("ver"), pl.lit(seq, pl.UInt64).alias("seq"))

    async def _changes(self, topic: str, told: pl.DataFrame, ends: dict[Partition, tuple[Ours, int, int]]) -> None:
        """What came after its minute had passed, or replaced an answer, in writing: "as known then" needs it."""
        if told.is_empty():
            return
        epochs = {partition.part: ours for partition, (ours, _, _) in ends.items()}
        noted = told.select(
            pl.lit(topic).alias("topic"),
            pl.col("part")
            .replace_strict({p: o.epoch for p, o in epochs.items()}, return_dtype=pl.UInt16)
            .alias("epoch"),
            "part",
            "off",
            (pl.col("occurred_ms") // 60_000 * 60).cast(pl.UInt32).alias("minute"),
            "reason",
            pl.col("ingest_ms").alias("known_ms"),
            pl.col("part").replace_strict({p: o.ver for p, o in epochs.items()}, return_dtype=pl.UInt64).alias("ver"),
        )
        await self._send("changes", noted, ends)

    async def _progress(self, ends: dict[Partition, tuple[Ours, int, int]]) -> None:
        await self._send("progress", self._progress_rows(ends), ends)
        self._folded |= {partition: hi for partition, (_, hi, _) in ends.items()}

    def _progress_rows(self, ends: dict[Partition, tuple[Ours, int, int]]) -> pl.DataFrame:
        self._seq += 1
        return pl.DataFrame(
            {
                "topic": [partition.topic for partition in ends],
                "epoch": pl.Series([ours.epoch for ours, _, _ in ends.values()], dtype=pl.UInt16),
                "part": pl.Series([partition.part for partition in ends], dtype=pl.UInt16),
                "ver": pl.Series([ours.ver for ours, _, _ in ends.values()], dtype=pl.UInt64),
                "seq": pl.Series([self._seq] * len(ends), dtype=pl.UInt64),
                "position": [hi for _, hi, _ in ends.values()],
                "settled": [hi for _, hi, _ in ends.values()],
                "clock_ms": [clock for _, _, clock in ends.values()],
            }
        )

    async def _send(self, table: str, rows: pl.DataFrame, ends: dict[Partition, tuple[Ours, int, int]]) -> None:
        async def insert() -> None:
            await self._pool.insert(table, rows)

        await self._until(insert, {partition: ours for partition, (ours, _, _) in ends.items()})

    async def ask(self, work: Callable[[ClickHouse], Result], partition: Partition, ours: Ours) -> Result:
        """Runs `work` until ClickHouse answers; raises NoLongerOurs once the partition is not ours any more."""
        return await self._ask(work, {partition: ours})

    async def _ask(self, work: Callable[[ClickHouse], Result], held: Mapping[Partition, Ours]) -> Result:
        return await self._until(lambda: self._pool.call(work), held)

    async def _until(self, attempt: Callable[[], Awaitable[Result]], held: Mapping[Partition, Ours]) -> Result:
        wait = _BACKOFF_S[0]
        while True:
            lost = [partition for partition, ours in held.items() if not self._holds(partition, ours)]
            if lost:
                for partition in held:
                    self.drop(partition)
                raise NoLongerOurs(f"{len(lost)} partitions were taken from us while folding")
            try:
                return await attempt()
            except Unavailable:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, _BACKOFF_S[1])


class NoLongerOurs(Exception):
    """The fold was given up: the next owner recomputes it from the ledger."""


def taken_over(hot: Hot, part: int, fresh: pl.DataFrame) -> None:
    """Recomputed window rows of a partition into memory, a portion at a time: the limit holds there as well.

    Where they are more than the limit, the oldest minutes leave again, and the floor says so.
    """
    for rows in fresh.iter_slices(MOST_AT_ONCE):
        hot.add(load(rows.filter(pl.col("minute") > hot.floor(part)), hot.names))
        hot.shrink()
