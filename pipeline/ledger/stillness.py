"""Whether a worker that has something to do gets it done: the watchdog's judgement.

Pure: what is looked at and the time are arguments. A partition stands still when records wait for it and neither its
ledger nor its windows moved since it was first seen so. Whatever else explains the pause (a rebalance, an outage, an
operator) begins the count anew, so that only a fault of our own is left: a slice that got lost, an agent that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.slices import Partition

#: One partition may wait this many times longer than all together: while others go on it may only have to queue.
ALONE = 5


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a partition is: the last offset in the ledger, the last in the windows, and what the log holds."""

    position: int
    folded: int
    log_end: int

    @property
    def behind(self) -> bool:
        """Whether records wait, for the ledger or for the windows. Trailing markers look like records here."""
        return self.position + 1 < self.log_end or self.folded < self.position


class Stillness:
    """Since when which partition stands still. Asked at every look; `limit_s` is how long all may stand still."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[Partition, tuple[Stand, float]] = {}
        self._moved_s: float | None = None

    def excuse(self) -> None:
        """Something else explains that nothing moves: what was seen so far does not count."""
        self._since.clear()
        self._moved_s = None

    def look(self, now_s: float, stands: Mapping[Partition, Stand]) -> dict[Partition, float]:
        """Partitions that stand still for too long, each with its seconds; nothing when all is well."""
        moved = self._moved_s is None
        since: dict[Partition, tuple[Stand, float]] = {}
        for partition, stand in stands.items():
            if not stand.behind:
                continue
            before = self._since.get(partition)
            if before is not None and _same(before[0], stand):
                since[partition] = before
            else:
                moved = moved or before is not None
                since[partition] = (stand, now_s)
        if moved or self._since.keys() - since.keys():
            self._moved_s = now_s
        self._since = since
        still = {partition: now_s - seen for partition, (_, seen) in since.items()}
        nothing_moves = self._moved_s is not None and now_s - self._moved_s >= self._limit_s
        limit_s = self._limit_s if nothing_moves else ALONE * self._limit_s
        return {partition: seconds for partition, seconds in still.items() if seconds >= limit_s}


def _same(before: Stand, stand: Stand) -> bool:
    """The log may grow meanwhile: that is no progress of ours."""
    return (before.position, before.folded) == (stand.position, stand.folded)
