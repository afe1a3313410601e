"""When a window is closed: every partition has passed its end (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Published windows are five minutes long.
WINDOW_S = 300
#: A partition without news has passed an end when it stood at its log end this long after it.
GRACE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition is: settled offset, clock, and the broker's log end as of broker time `now_ms`."""

    topic: str
    epoch: int
    part: int
    settled: int
    clock_ms: int
    log_end: int

    def passed(self, end_ms: int, now_ms: int) -> bool:
        """Whether no further event on time can fall before `end_ms`. A lagging partition is never idle."""
        if self.clock_ms >= end_ms:
            return True
        return self.settled + 1 >= self.log_end and now_ms >= end_ms + GRACE_MS


def closed_through(partitions: Iterable[Progress], after_s: int, now_ms: int) -> list[int]:
    """Ends (seconds) of the windows after `after_s` that every partition has passed, oldest first."""
    parts = list(partitions)
    ends = []
    end = after_s + WINDOW_S
    while parts and end * 1000 <= now_ms and all(part.passed(end * 1000, now_ms) for part in parts):
        ends.append(end)
        end += WINDOW_S
    return ends


def window_of(moment_ms: int) -> int:
    """Start (seconds) of the window a moment lies in: 3599 s -> 3300, 3600 s -> 3600."""
    return moment_ms // 1000 // WINDOW_S * WINDOW_S
