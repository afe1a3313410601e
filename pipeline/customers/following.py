"""The compacted topic `profiles` [I/O]: its records into the table `profiles` and into memory, by partition.

A worker holds only its own partitions. A partition is loaded with one query and then followed on the topic; its
position is the highest offset in the table, so a compacted topic that forgets earlier segments costs nothing. Kafka's
committed offset is never believed: the next record is always sought from the table's position.

What is written later wins, so offsets may never fall. A topic that was made again begins at 0: an operator begins a new
epoch, and from then on the table's offsets are those of the log and a base, the epoch's `lo`. Until then the partition
stands still, and the worker says so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import polars as pl

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.customers.profile_rows import ProfileRecord, rows_of
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import Unavailable
from pipeline.slices import Partition, Poll
from pipeline.telemetry import log
from schemas.codec import Rejection, decode_profile

Result = TypeVar("Result")

_log = log("touchline.enrich")

#: The topic, and its name in the table `epochs`.
PROFILES: Final = "profiles"
#: Waits between two tries, seconds.
_BACKOFF_S = (0.2, 2.0)


class Broker(Protocol):
    """The group and the log as far as following needs them."""

    def generation(self) -> int:
        """The group's present generation."""

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of the partition begins at `offset`."""

    async def first_offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The oldest offset of each partition that the broker still has."""

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The offset after the newest record of each partition."""

    async def first_record(self, partition: Partition, offset: int) -> int:
        """The smallest offset at or above `offset` that holds a record, as a reader of its own finds it."""


@dataclass(slots=True)
class _Followed:
    """One loaded partition: `base` is what the table's offsets have above the log's.

    `joined` once a record came that is the next one behind the table's; `trouble` says why none is taken.
    """

    generation: int
    base: int
    joined: bool = False
    trouble: str = ""


class Following:
    """Profiles of the partitions that are ours in the present generation."""

    def __init__(self, pool: Pool, broker: Broker, pseudonyms: Pseudonyms, limit: int = 2**62) -> None:
        self._pool = pool
        self._broker = broker
        self._pseudonyms = pseudonyms
        self._loaded: dict[int, _Followed] = {}
        self._lock = asyncio.Lock()
        self.profiles = Profiles(limit)
        self.rejected = 0

    async def ensure(self, part: int, generation: int) -> bool:
        """Loads a partition once a generation; False when the group changed meanwhile."""
        async with self._lock:
            known = self._loaded.get(part)
            if known is not None and known.generation == generation:
                return True
            for other, held in list(self._loaded.items()):
                if held.generation != generation:
                    self.profiles.forget(other)
                    del self._loaded[other]
            rows = await self._until(lambda: self._pool.query(_ROWS, {"part": part}), generation)
            base = await self._until(lambda: self._base(part), generation)
            if rows is None or base is None:
                return False
            self.profiles.load(part, rows)
            followed = _Followed(generation, base)
            if not await self._sought(part, followed):
                return False
            self._loaded[part] = followed
            return True

    async def keep(self, parts: Iterable[int], generation: int) -> None:
        """Loads what is ours, with or without an event for it; looks whether an operator began a new epoch."""
        for part in sorted(parts):
            held = self._loaded.get(part)
            if held is not None and held.trouble and await self._base(part) != held.base:
                self._loaded.pop(part, None)  # maybe gone meanwhile, with its generation
            if not await self.ensure(part, generation):
                return

    async def follow(self, poll: Poll, ver: int) -> bool:
        """Stores and applies what a poll of `profiles` brought; False when the group changed meanwhile."""
        part = poll.partition.part
        if not await self.ensure(part, poll.generation):
            return False
        followed = self._loaded[part]
        if not await self._joins(poll, followed):
            return poll.generation == self._broker.generation()
        position = self._position(part, followed)
        records = []
        for record in poll.records:
            if record.offset <= position:
                continue
            if record.value is None:
                key = (record.key or b"").decode("utf-8", "replace")
                records.append(ProfileRecord(followed.base + record.offset, key, None))
                continue
            decoded = decode_profile(record.value, tuple(record.headers))
            if isinstance(decoded, Rejection):
                # A profile is reference data, not an event: it has no ledger row. Counted, and the former one stays.
                self.rejected += 1
                _log.warning("profile rejected", part=part, offset=record.offset, reason=str(decoded.reason))
                continue
            records.append(ProfileRecord(followed.base + record.offset, "", decoded))
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
        """Highest stored offset of each loaded partition, as the log counts."""
        found = {part: self._position(part, held) for part, held in self._loaded.items() if not held.trouble}
        return {Partition(PROFILES, part): position for part, position in found.items() if position >= 0}

    def troubles(self) -> dict[int, str]:
        """Loaded partitions that stand still, with the reason and what to do."""
        return {part: held.trouble for part, held in sorted(self._loaded.items()) if held.trouble}

    def _position(self, part: int, followed: _Followed) -> int:
        """The last offset of the log that the table has, -1 when it has none of this epoch."""
        return max(-1, self.profiles.position(part) - followed.base)

    async def _base(self, part: int) -> int:
        return await self._pool.call(partial(base_of, part=part))

    async def _sought(self, part: int, followed: _Followed) -> bool:
        """Goes to the first record that the table does not have; False when the group changed meanwhile."""
        partition, position = Partition(PROFILES, part), self._position(part, followed)
        ends = await self._until(lambda: self._broker.log_ends({partition}), followed.generation)
        firsts = await self._until(lambda: self._broker.first_offsets({partition}), followed.generation)
        if ends is None or firsts is None:
            return False
        end, first = ends[partition], firsts[partition]
        if position >= end:
            followed.trouble = (
                f"profiles[{part}]: the table holds offset {position}, but the log ends at {end}: the topic was "
                "deleted and made again. Its profiles are not taken until you begin a new epoch with "
                "`touchline offsets reset --topic profiles`"
            )
            _log.error("profiles are not followed", part=part, reason=followed.trouble)
            return True
        if first > position + 1 > 0:
            _log.warning("profiles left the log before they were stored", part=part, after=position, before=first)
        if position + 1 < end:
            await self._broker.seek(partition, max(position + 1, first))
        return True

    async def _joins(self, poll: Poll, followed: _Followed) -> bool:
        """Whether a poll may be applied: the first one must hold the record that follows the table's.

        A fetch that was on its way when the place was sought brings later ones; taken, they would hide those before.
        """
        following = self._position(poll.partition.part, followed) + 1
        # Made again while we follow it, maybe: asked for, since a poll from before a new leader may say too little.
        if poll.log_end < following and not await self._sought(poll.partition.part, followed):
            return False
        if followed.trouble:
            return False
        if not followed.joined and poll.records[0].offset > following:
            found = await self._until(lambda: self._broker.first_record(poll.partition, following), followed.generation)
            if found is None:
                return False
            if found < poll.records[0].offset:
                await self._broker.seek(poll.partition, found)
                return False
        followed.joined = True
        return True

    async def _until(self, ask: Callable[[], Awaitable[Result]], generation: int) -> Result | None:
        wait = _BACKOFF_S[0]
        while self._broker.generation() == generation:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, _BACKOFF_S[1])
        return None


def base_of(client: ClickHouse, part: int) -> int:
    """What the table's offsets of a partition have above those of the log: 0 until the topic was made again."""
    rows = client.query(
        """SELECT argMax(lo, epoch) AS base FROM epochs FINAL
        WHERE topic = {topic:String} AND part = {part:UInt16}""",
        {"topic": PROFILES, "part": part},
    )
    return int(rows["base"][0] or 0)


_ROWS = """SELECT part, off, key_id, customer, valid_from_ms, segments, unit, attributes
FROM profiles FINAL WHERE part = {part:UInt16}"""
