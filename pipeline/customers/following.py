"""The compacted topic `profiles` [I/O]: its records into the table `profiles` and into memory, by partition.

A worker holds only its own partitions. A partition is loaded with one query and then followed on the topic; its
position is the highest offset in the table, so a compacted topic that forgets earlier segments costs nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import polars as pl

from pipeline.clickhouse import Pool
from pipeline.customers.profile_rows import ProfileRecord, rows_of
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import Unavailable
from pipeline.slices import Partition, Poll
from pipeline.telemetry import log
from schemas.codec import Rejection, decode_profile

Result = TypeVar("Result")

_log = log("touchline.enrich")

#: Waits between two tries, seconds.
_BACKOFF_S = (0.2, 2.0)


class Broker(Protocol):
    """The group as far as following needs it."""

    def generation(self) -> int:
        """The group's present generation."""


class Following:
    """Profiles of the partitions that are ours in the present generation."""

    def __init__(self, pool: Pool, broker: Broker, pseudonyms: Pseudonyms, limit: int = 2**62) -> None:
        self._pool = pool
        self._broker = broker
        self._pseudonyms = pseudonyms
        self._loaded: dict[int, int] = {}
        self._lock = asyncio.Lock()
        self.profiles = Profiles(limit)
        self.rejected = 0

    async def ensure(self, part: int, generation: int) -> bool:
        """Loads a partition once a generation; False when the group changed meanwhile."""
        async with self._lock:
            if self._loaded.get(part) == generation:
                return True
            for other, since in list(self._loaded.items()):
                if since != generation:
                    self.profiles.forget(other)
                    del self._loaded[other]
            rows = await self._until(lambda: self._pool.query(_ROWS, {"part": part}), generation)
            if rows is None:
                return False
            self.profiles.load(part, rows)
            self._loaded[part] = generation
            return True

    async def follow(self, poll: Poll, ver: int) -> bool:
        """Stores and applies what a poll of `profiles` brought; False when the group changed meanwhile."""
        part = poll.partition.part
        if not await self.ensure(part, poll.generation):
            return False
        position = self.profiles.position(part)
        records = []
        for record in poll.records:
            if record.offset <= position:
                continue
            if record.value is None:
                records.append(ProfileRecord(record.offset, (record.key or b"").decode("utf-8", "replace"), None))
                continue
            decoded = decode_profile(record.value, tuple(record.headers))
            if isinstance(decoded, Rejection):
                # A profile is reference data, not an event: it has no ledger row. Counted, and the former one stays.
                self.rejected += 1
                _log.warning("profile rejected", part=part, offset=record.offset, reason=str(decoded.reason))
                continue
            records.append(ProfileRecord(record.offset, "", decoded))
        if not records:
            return True
        rows = rows_of(part, records, self._pseudonyms)
        stored = rows.with_columns(pl.lit(ver, pl.UInt64).alias("ver"))

        async def insert() -> bool:
            await self._pool.insert("profiles", stored)
            return True

        if not await self._until(insert, poll.generation):
            return False
        self.profiles.apply(part, rows)
        return True

    def positions(self) -> dict[Partition, int]:
        """Highest stored offset of each loaded partition."""
        return {
            Partition("profiles", part): self.profiles.position(part)
            for part in self._loaded
            if self.profiles.position(part) >= 0
        }

    async def _until(self, ask: Callable[[], Awaitable[Result]], generation: int) -> Result | None:
        wait = _BACKOFF_S[0]
        while self._broker.generation() == generation:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, _BACKOFF_S[1])
        return None


_ROWS = """SELECT part, off, key_id, customer, valid_from_ms, segments, unit, attributes
FROM profiles FINAL WHERE part = {part:UInt16}"""
