"""The owner of a partition keeps its old days by the hour [I/O]: when, in which order, and what a late one wrote.

Live topics take no event that old any more (it is `late`), so their days are rolled as soon as they are old enough.
The topic `history` may be in the middle of an import: a partition of it is rolled once it stood still between two
looks. What comes later all the same finds the day rolled, and its hours are rewritten from the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import polars as pl

from pipeline.clickhouse import Pool
from pipeline.scores.folding import Folder, NoLongerOurs
from pipeline.scores.kept import DAY_S, HOUR_S
from pipeline.scores.rolling import Days, clear, due, mark, write_hours
from pipeline.slices import Partition
from pipeline.telemetry import log

#: Days summed at once: a month of a busy partition fits the memory of ClickHouse many times over.
_AT_ONCE = 31

_log = log("touchline.score")


class Roller:
    """Rolls the partitions of one worker. `folder` writes their windows, `folding` is held while it does."""

    def __init__(self, pool: Pool, folder: Folder, folding: asyncio.Lock) -> None:
        self._pool = pool
        self._folder = folder
        self._folding = folding
        self._stood: dict[Partition, int] = {}
        self.days = 0

    async def look(self, folded: Mapping[Partition, int], before: int) -> None:
        """Rolls what is older than the day `before` (since 1970) of the partitions in `folded`, the last offset in the
        windows of each. Raises Unavailable."""
        found = await self._pool.call(lambda client: due(client, before))
        moving = {part for part, off in folded.items() if part.topic == "history" and self._stood.get(part) != off}
        self._stood = dict(folded)
        try:
            for partition in folded:
                await self._adopt(partition, found.rolled)
            for days in found.unrolled:
                if (partition := Partition(days.topic, days.part)) in folded and partition not in moving:
                    for some in _chunks(days):
                        await self._roll(partition, some)
            for days in found.uncleared:
                if (partition := Partition(days.topic, days.part)) in folded:
                    await self._clear(partition, days)
        except NoLongerOurs:
            return  # the next owner finds in the tables how far this came

    async def _roll(self, partition: Partition, days: Days) -> None:
        async with self._folding:
            ours = self._folder.ours(partition)
            if ours is None:
                return
            write = partial(write_hours, days=days, ver=ours.ver, seq=self._folder.next_seq())
            if not await self._folder.ask(write, partition, ours):
                _log.error("hours are not the sums of their minutes, kept by the minute", partition=str(partition))
                return
            await self._folder.ask(partial(mark, days=days, ver=ours.ver, cleared=False), partition, ours)
            if days.epoch == ours.epoch:
                self._folder.cool(partition, days.days)
        self.days += len(days.days)
        await self._clear(partition, days)

    async def _clear(self, partition: Partition, days: Days) -> None:
        """Not under the lock of folding: nobody writes minutes of these days any more."""
        ours = self._folder.ours(partition)
        if ours is not None:
            await self._folder.ask(partial(clear, days=days, ver=ours.ver), partition, ours)

    async def _adopt(self, partition: Partition, rolled: pl.DataFrame) -> None:
        """Days that a former owner rolled after we had taken over: their hours may lack what we wrote meanwhile."""
        ours = self._folder.ours(partition)
        if ours is None or not rolled.width:
            return
        mine = rolled.filter(
            (pl.col("topic") == partition.topic) & (pl.col("part") == partition.part) & (pl.col("epoch") == ours.epoch)
        )
        strange = sorted(set(mine["day"].to_list()) - self._folder.rolled(partition))
        if not strange:
            return
        _log.warning("a former owner rolled days after it had lost them", partition=str(partition), days=strange)
        async with self._folding:
            if self._folder.ours(partition) == ours:
                self._folder.cool(partition, strange)
                hours = [hour for day in strange for hour in range(day * DAY_S, (day + 1) * DAY_S, HOUR_S)]
                await self._folder.rewrite(partition, hours)


def _chunks(days: Days) -> Iterator[Days]:
    for first in range(0, len(days.days), _AT_ONCE):
        yield replace(days, days=days.days[first : first + _AT_ONCE])
