"""The breaker of a partition: a bad deploy is stopped, not drained into the dead letters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.arrival.fingerprints import Flags
from pipeline.arrival.rules import ArrivalRules


class Breaker(NamedTuple):
    """What is known of the newest records: `recent` says of each whether it was invalid, oldest first.

    `recent` holds as many as the longest rule looks back, never more. `opened` is the reason once it is open.
    """

    recent: tuple[bool, ...] | Flags = ()
    opened: str | None = None


#: A breaker that has seen nothing.
NEW = Breaker()


def restored(invalid: Flags, rules: ArrivalRules) -> Breaker:
    """The breaker after these records (oldest first, the last `breaker_window` are enough), as if it had seen them."""
    _, breaker = judge(NEW, invalid, rules)
    return breaker


def judge(breaker: Breaker, invalid: Flags, rules: ArrivalRules) -> tuple[int, Breaker]:
    """How many of the next records may be consumed, and the breaker after them.

    The record that opens the breaker is still consumed, nothing after it is.
    """
    if breaker.opened is not None:
        return 0, breaker
    before = np.asarray(breaker.recent, dtype=bool)
    seen = np.concatenate((before, invalid))
    keep = max(rules.breaker_run, rules.breaker_window)
    if not seen.any():
        return len(invalid), Breaker(seen[-keep:])
    bad = np.concatenate(([0], np.cumsum(seen)))
    at = np.arange(len(before) + 1, len(seen) + 1)
    in_a_row = _full_of_invalid(bad, at, rules.breaker_run)
    share = _too_many(bad, at, rules)
    stops = np.flatnonzero(in_a_row | share)
    if not stops.size:
        return len(invalid), Breaker(seen[-keep:])
    last = int(stops[0])
    if in_a_row[last]:
        why = f"{rules.breaker_run} invalid events in a row"
    else:
        why = f"more than {rules.breaker_share:.0%} of the last {rules.breaker_window} events invalid"
    return last + 1, Breaker(seen[: len(before) + last + 1][-keep:], why)


def _full_of_invalid(bad: np.ndarray, at: np.ndarray, run: int) -> Flags:
    """Whether the `run` records up to each place were all invalid; `bad[k]` counts those among the first k."""
    full: Flags = (at >= run) & (bad[at] - bad[np.maximum(at - run, 0)] >= run)
    return full


def _too_many(bad: np.ndarray, at: np.ndarray, rules: ArrivalRules) -> Flags:
    window = rules.breaker_window
    many: Flags = (at >= window) & (bad[at] - bad[np.maximum(at - window, 0)] > rules.breaker_share * window)
    return many
