"""The places of names, shared by all workers and kept over restarts: the table `names` [I/O].

No score depends on how fast it follows (see names.py): two workers that each give the last place away at the same
moment make one name too many, no more.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

import polars as pl

from pipeline.clickhouse import Pool
from pipeline.customers.names import FORGET_DAYS, NAMED, Names
from pipeline.errors import Unavailable
from pipeline.telemetry import log

#: Waits between two tries, seconds.
_BACKOFF_S: Final = (0.2, 2.0)
#: Rows may show this much after the time that they bear, ms: an insert takes a while.
_BEHIND_MS: Final = 60_000

_log = log("touchline.enrich")


class Naming:
    """The names that this worker knows, with what it takes to know those of the others."""

    def __init__(self, pool: Pool, most: int) -> None:
        self.names = Names(most)
        self._pool = pool
        self._lock = asyncio.Lock()
        self._since_ms = -1
        self._told: set[str] = set()

    async def ensure(self) -> None:
        """Knows, from the first event on, who has a place; waits for ClickHouse, without which nothing flows anyway."""
        if self._since_ms >= 0:
            return
        async with self._lock:
            wait = _BACKOFF_S[0]
            while self._since_ms < 0:
                try:
                    await self._learn()
                except Unavailable:
                    await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                    wait = min(wait * 2, _BACKOFF_S[1])

    async def exchange(self) -> None:
        """Writes the names that came here, learns those of other workers; says once when a dimension is full."""
        await self.ensure()
        news = self.names.news()
        if news:
            rows = [(dimension, name, day) for (dimension, name), day in news.items()]
            schema = {"dimension": pl.String, "name": pl.String, "day": pl.Int32}
            told = pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("day").cast(pl.Date))
            try:
                await self._pool.insert("names", told)
            except Unavailable:
                self.names.unsaid(news)
                raise
        await self._learn()
        for dimension in NAMED:
            if self.names.others[dimension] and dimension not in self._told:
                self._told.add(dimension)
                _log.warning(
                    "too many names: from here on more of them count under `other`, see docs/scores.md",
                    dimension=dimension,
                    names=self.names.most,
                )

    async def _learn(self) -> None:
        rows = await self._pool.query(_NAMES, {"since": self._since_ms - _BEHIND_MS, "kept": FORGET_DAYS})
        columns = [rows[name].to_list() for name in ("dimension", "name", "day")] if rows.height else [[], [], []]
        self.names.learn(zip(*columns, strict=True))
        self._since_ms = max([self._since_ms, 0, *(rows["written"].to_list() if rows.height else ())])


_NAMES: Final = """SELECT dimension, name, toInt64(toUInt16(max(names.day))) AS day,
    max(names.written_ms) AS written
FROM names
WHERE names.day >= (SELECT max(day) FROM names) - {kept:UInt16} AND names.written_ms >= {since:Int64}
GROUP BY dimension, name"""
