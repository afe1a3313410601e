"""A worker that has something to do and gets nothing done says so and ends itself [I/O]: its next start reads anew.

Never during an outage, a rebalance, a freeze or an operator's pause: ClickHouse and Kafka are asked themselves, and
whatever was tried again since the last look, or has long waited for an answer, excuses the pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.errors import Unavailable
from pipeline.ledger.custody import Custody, Holding
from pipeline.ledger.stillness import Stand, Stillness
from pipeline.settings import Settings
from pipeline.slices import Partition
from schemas.topics import LEDGER_TOPICS

#: How often it is looked, in shares of the time that standing still is allowed to take.
LOOKS = 24
#: A look that had to wait for more than this share of it, or a call that waits for so long, explains the pause.
_SHARE = 4
#: Partitions of which a record is looked for at one look: a reader of its own each, and one that is found is enough.
_ASKED = 3
#: An engine that does not say 1 within this many seconds is not one that answers.
_ASK_S = 5.0
#: What is assigned and was never taken over: behind, whatever the log holds.
_NOT_HELD = Stand(position=-2, folded=-2, log_end=0)


class Broker(Protocol):
    """The group and the log, as far as the watchdog needs them."""

    def generation(self) -> int:
        """The group's present generation."""

    def rebalancing(self) -> bool:
        """Whether the group is changing hands."""

    def assigned(self) -> set[Partition]:
        """What is ours."""

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The offset after the newest record of each partition."""

    async def first_record(self, partition: Partition, offset: int) -> int:
        """The smallest offset at or above `offset` that holds a record; raises Unavailable when none is shown."""


class Watchdog:
    """Looks every few seconds. `tried` counts what was sent to Kafka in vain; of ClickHouse the pool knows."""

    def __init__(
        self, settings: Settings, broker: Callable[[], Broker], custody: Callable[[], Custody], tried: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._custody = custody
        self._tried = tried
        self._stillness = Stillness(settings.stuck_after_s)
        self._generation = -1
        self._failures = -1
        self._looked_s = 0.0
        self._markers: dict[Partition, tuple[int, float]] = {}
        #: What is wrong, in words; empty while all is well.
        self.trouble = ""
        self.partitions = 0

    async def look(self, pool: Pool, now_s: float) -> str:
        """What is wrong at `now_s` (monotonic seconds), or nothing."""
        broker, clock = self._broker(), asyncio.get_running_loop().time
        last, began, long_s = self._looked_s, clock(), self._settings.stuck_after_s / _SHARE
        self._looked_s = now_s
        try:
            if self._excused(broker, pool, now_s) or now_s - last > long_s:
                raise Unavailable("something else explains it")
            stands = await self._stands(broker)
            if clock() - began > long_s:
                raise Unavailable("Kafka took its time")
            still = self._stillness.look(now_s, stands)
            if still:
                await asyncio.to_thread(self._ask)
        except Unavailable:
            self._stillness.excuse()
            return self._say({})
        said = self._say(still if await self._confirmed(broker, still, stands, now_s) else {})
        self._looked_s = now_s + clock() - began  # what was asked to be sure is no gap between two looks
        return said

    def _excused(self, broker: Broker, pool: Pool, now_s: float) -> bool:
        """Whether the group changed, the loop stood, a call was in vain since the last look or waits for long."""
        before = self._generation, self._failures
        self._generation, self._failures = broker.generation(), pool.failures + self._tried()
        oldest = pool.oldest()
        waiting = oldest is not None and now_s - oldest > self._settings.stuck_after_s / _SHARE
        changed = before != (self._generation, self._failures)
        return changed or waiting or broker.rebalancing() or not self._custody().alive()

    async def _stands(self, broker: Broker) -> dict[Partition, Stand]:
        """How far each partition of the flow is that nobody has paused. Raises Unavailable."""
        held = self._custody().holdings()
        mine = {partition for partition in broker.assigned() if partition.topic in LEDGER_TOPICS}
        ends = await broker.log_ends(mine)
        return {p: _stand(held.get(p), ends[p]) for p in mine if not (p in held and held[p].paused)}

    async def _confirmed(
        self, broker: Broker, still: Mapping[Partition, float], stands: Mapping[Partition, Stand], now_s: float
    ) -> bool:
        """Whether a record really waits: at the end of a log may lie markers of transactions only."""
        if any(stands[p] == _NOT_HELD or stands[p].folded < stands[p].position for p in still):
            return True
        fresh = [p for p in sorted(still) if not self._only_markers(p, stands[p].log_end, now_s)]
        for partition in fresh[:_ASKED]:
            try:
                await broker.first_record(partition, stands[partition].position + 1)
            except Unavailable:
                self._markers[partition] = stands[partition].log_end, now_s
            else:
                return True
        return False

    def _only_markers(self, partition: Partition, log_end: int, now_s: float) -> bool:
        """Whether no record was shown below this log end lately; a slow answer is asked for again."""
        end, asked_s = self._markers.get(partition, (-1, 0.0))
        return end == log_end and now_s - asked_s < self._settings.stuck_after_s

    def _ask(self) -> None:
        """Raises Unavailable when ClickHouse does not answer: over a connection of its own, since others may hang."""
        client = ClickHouse(self._settings, timeout_s=_ASK_S)
        try:
            client.query("SELECT 1 AS one")
        finally:
            client.close()

    def _say(self, still: dict[Partition, float]) -> str:
        self.partitions = len(still)
        names = ", ".join(f"{p.topic}[{p.part}]" for p in sorted(still)[:5])
        self.trouble = f"records wait and nothing moves for {max(still.values()):.0f} s: {names}" if still else ""
        return self.trouble


def _stand(holding: Holding | None, log_end: int) -> Stand:
    if holding is None:
        return _NOT_HELD
    return Stand(holding.position, max(holding.folded, holding.loaded), log_end)
