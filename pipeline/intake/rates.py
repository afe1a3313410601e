"""How much a key, and all together, may send: token buckets that refill with time. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds of its rate that a bucket holds: a batch after a pause is no offence.
BURST_S = 2.0


@dataclass(slots=True)
class Bucket:
    """Events that may come now. `rate` a second, never more than `most` at once; a rate of 0 takes everything."""

    rate: float
    most: float
    held: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.held = self.most

    def wait(self, count: int, now: float) -> float:
        """Seconds until `count` events may come; 0 means now. Takes nothing."""
        if self.rate <= 0:
            return 0.0
        self.held = min(self.most, self.held + max(0.0, now - self.at) * self.rate)
        self.at = max(self.at, now)
        return max(0.0, (min(count, self.most) - self.held) / self.rate)

    def take(self, count: int) -> None:
        """They have come."""
        if self.rate > 0:
            self.held -= count


class Rates:
    """One bucket a key and one for all; `burst` is the least that a bucket holds (the largest request)."""

    def __init__(self, key_rate: float, rate: float, burst: int) -> None:
        self._key_rate = key_rate
        self._burst = burst
        self._all = self._bucket(rate)
        self._keys: dict[str, Bucket] = {}

    def admit(self, key_id: str, count: int, now: float) -> float:
        """Takes `count` events of a key, and gives 0; or takes none and gives the seconds until it would."""
        bucket = self._keys.get(key_id)
        if bucket is None:
            bucket = self._keys[key_id] = self._bucket(self._key_rate)
        wait = max(bucket.wait(count, now), self._all.wait(count, now))
        if wait <= 0:
            bucket.take(count)
            self._all.take(count)
        return wait

    def _bucket(self, rate: float) -> Bucket:
        return Bucket(rate, max(rate * BURST_S, self._burst))
