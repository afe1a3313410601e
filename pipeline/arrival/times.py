"""Time rules: a partition's ingest time and clock, and what each event's own time makes of it.

Event time is the producer's `occurred_at`; everything is measured against the broker's append time, never a worker's
clock. All functions take and give columns in order of offset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.arrival.fingerprints import Flags, Ints
from pipeline.arrival.rules import HISTORY, ArrivalRules

_MINUTE_MS = 60_000


class Timing(NamedTuple):
    """Per row: beyond the lateness allowed, or its minute had already passed; `clock_ms`: the clock after the last."""

    late: Flags
    delayed: Flags
    clock_ms: int


def ingest_times(appended: Ints, before_ms: int) -> Ints:
    """Ingest time of each row: the running maximum of the broker's append times, which may step back."""
    if not len(appended):
        return appended
    times: Ints = np.maximum.accumulate(np.maximum(appended, before_ms))
    return times


def absurd(topic: str, occurred: Ints, ingest: Ints, rules: ArrivalRules) -> Flags:
    """Which event times no rule can accept: too far ahead, or too old (on `history`: before 1970)."""
    oldest = np.zeros_like(ingest) if topic == HISTORY else ingest - rules.max_age_ms
    bad: Flags = (occurred < oldest) | (occurred > ingest + rules.max_ahead_ms)
    return bad


def timing(topic: str, occurred: Ints, ingest: Ints, accepted: Flags, clock_ms: int, rules: ArrivalRules) -> Timing:
    """Judge each row against the clock as the rows before it left it; only `accepted` rows move it or are judged."""
    nothing = np.zeros(len(occurred), dtype=bool)
    if topic == HISTORY or not len(occurred):
        return Timing(nothing, nothing, 0 if topic == HISTORY else clock_ms)
    moves = np.where(accepted, np.minimum(occurred, ingest) - rules.lag_ms, 0)
    clock = np.maximum.accumulate(np.concatenate(([clock_ms], moves)))
    before = clock[:-1]
    late = accepted & (occurred < before - rules.lateness_ms)
    delayed = accepted & ~late & ((occurred // _MINUTE_MS + 1) * _MINUTE_MS <= before)
    return Timing(late, delayed, int(clock[-1]))
