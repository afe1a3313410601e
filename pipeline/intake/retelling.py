"""A past span told anew: its events in order of their own time, at a pace that slows down towards the end. Pure.

Event times stay what they are; only the waits between them are shorter. The telling ends when the clock on the wall
reaches the span's end, so what is live afterwards follows without a gap; later where it had to wait for its audience.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.intake.simulator import Batch

#: How much faster than the clock on the wall the telling goes on while it waits: a stream that stands still would say
#: that nothing more is to come.
WAITING_PACE = 10


@dataclass(frozen=True, slots=True)
class Tempo:
    """Tells the span from `start_ms` to `end_ms`: up to `slow_from_ms` in `quick_s` seconds, the rest in `slow_s`.

    From `watch_ms` on it waits until what has been told by then is seen, if anybody says whether it is.
    """

    start_ms: int
    slow_from_ms: int
    end_ms: int
    quick_s: float
    slow_s: float
    watch_ms: int = 0

    @property
    def begins_ms(self) -> int:
        """When to begin, so that the end is reached at its own time."""
        return self.end_ms - int(1000 * (self.quick_s + self.slow_s))

    def reached(self, passed_s: float) -> int:
        """The event time (ms) up to which is told after so many seconds."""
        if passed_s < self.quick_s:
            return self.start_ms + int((self.slow_from_ms - self.start_ms) * passed_s / self.quick_s)
        share = min((passed_s - self.quick_s) / self.slow_s, 1.0)
        return self.slow_from_ms + int((self.end_ms - self.slow_from_ms) * share)

    def counts(self, told_s: float, seen: bool) -> float:
        """What a second on the wall adds to `told_s`, the argument of `reached`: 1, or less while it waits."""
        if seen or told_s < self.quick_s or self.reached(told_s) < self.watch_ms:
            return 1.0
        return min(1.0, WAITING_PACE * 1000 * self.slow_s / (self.end_ms - self.slow_from_ms))


@dataclass(slots=True)
class Told:
    """The events of one topic, and how many of them are told."""

    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    done: int = 0

    def until(self, moment_ms: int) -> tuple[list[bytes], list[bytes]]:
        """Keys and values of what comes before that moment and was not told yet."""
        first, self.done = self.done, bisect_left(self.times, moment_ms, lo=self.done)
        return self.keys[first : self.done], self.values[first : self.done]


def by_topic(batches: Iterable[Batch]) -> dict[str, Told]:
    """All batches by topic; each topic's must be in order of time, as a simulated history gives them."""
    found: dict[str, Told] = {}
    for batch in batches:
        told = found.setdefault(batch.topic, Told())
        told.keys += batch.keys
        told.values += batch.values
        told.times += batch.times
    return found
