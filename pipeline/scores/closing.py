"""When a window is closed: every partition has passed its end (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Published windows are five minutes long.
WINDOW_S = 300
#: A partition without news has passed an end when it stood at its log end this long after it.
GRACE_MS = 60_000
#: And when nothing has come for so long: between two batches of a back-fill (a producer that was cut off, a day told
#: anew) it stands at its log end for a moment, although what belongs into the window is still to come.
QUIET_MS = 10_000
#: Closing begins so long before the first events, seconds.
BEFORE_S = 3_600
#: Windows closed in one look, a day: after a long outage the other windows follow with the next looks.
MOST = 288


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition is: settled offset, clock, and the broker's log end as of broker time `now_ms`.

    `moved_ms` is the broker's time at which the log end was last seen to move.
    """

    topic: str
    epoch: int
    part: int
    settled: int
    clock_ms: int
    log_end: int
    moved_ms: int = 0

    def passed(self, end_ms: int, now_ms: int) -> bool:
        """Whether no further event on time can fall before `end_ms`. A lagging partition is never idle."""
        if self.clock_ms >= end_ms:
            return True
        return self.settled + 1 >= self.log_end and now_ms >= max(end_ms + GRACE_MS, self.moved_ms + QUIET_MS)


def closed_through(partitions: Iterable[Progress], after_s: int, now_ms: int) -> list[int]:
    """Ends (seconds) of the windows after `after_s` that every partition has passed, oldest first, at most MOST."""
    parts = list(partitions)
    ends: list[int] = []
    end = after_s + WINDOW_S
    while (
        parts and len(ends) < MOST and end * 1000 <= now_ms and all(part.passed(end * 1000, now_ms) for part in parts)
    ):
        ends.append(end)
        end += WINDOW_S
    return ends


def begin(partitions: Iterable[Progress]) -> int | None:
    """Where closing begins where nothing was closed yet: an hour before the first event's window; None without any.

    A topic on which nothing ever came has no empty windows: a first back-fill would find them closed. The hour is for
    what comes delayed behind the first events: it revises a window that was closed, and says so.
    """
    clocks = [part.clock_ms for part in partitions if part.clock_ms > 0]
    return window_of(min(clocks)) - BEFORE_S if clocks else None


def window_of(moment_ms: int) -> int:
    """Start (seconds) of the window a moment lies in: 3599 s -> 3300, 3600 s -> 3600."""
    return moment_ms // 1000 // WINDOW_S * WINDOW_S
