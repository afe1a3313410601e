"""How long something takes when some have not come yet: Kaplan-Meier with open cases censored. Pure, over columns.

Times are in one unit of the caller's choice. The median of closed cases alone is too short: those that still wait, wait
longest. Intervals are Wilson's at the effective sample size (Rothman 1978): they hold at shares of 0 and 1, and without
censoring they are Wilson's interval itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import UsageError
from pipeline.scores.intervals import Counts, Floats, wilson


@dataclass(frozen=True, slots=True)
class Waits:
    """A survival curve: just after `times` (each a time at which something came) the share that `still` waits.

    `at_risk` waited just before, `came` came then; `variance` is Greenwood's. `n` are all, `open` never came so far.
    """

    times: Floats
    still: Floats
    variance: Floats
    at_risk: Counts
    came: Counts
    n: int
    open: int


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval, as fractions; `n` cases stand behind it."""

    value: float
    low: float
    high: float
    n: int


def waits(durations: ArrayLike, came: ArrayLike) -> Waits:
    """The curve of cases that waited `durations` until it `came` (True) or until now (False: open, censored).

    A case censored at the time of an event was still at risk then. Raises UsageError for a negative or unknown time.
    """
    took, closed = np.asarray(durations, dtype=np.float64), np.asarray(came, dtype=np.bool_)
    if took.shape != closed.shape or not np.all(took >= 0):
        raise UsageError("each case needs a time that is not negative, and whether it is closed")
    times, counts = np.unique(took[closed], return_counts=True)
    at_risk = len(took) - np.searchsorted(np.sort(took), times, side="left")
    still: Floats = np.cumprod(1.0 - counts / at_risk).astype(np.float64)
    with np.errstate(divide="ignore"):
        steps = counts / (at_risk * (at_risk - counts).astype(np.float64))
    with np.errstate(invalid="ignore"):
        variance: Floats = np.where(still > 0, still * still * np.cumsum(steps), 0.0)
    return Waits(
        times, still, variance, at_risk.astype(np.int64), counts.astype(np.int64), len(took), int((~closed).sum())
    )


def quantile(curve: Waits, share: float = 0.5) -> float | None:
    """The time by which `share` of the cases have come; None while so many are open that it is not known."""
    # A share of 1 - 1/2 may come out as 0.4999...: the rounding of a product of a few thousand factors.
    reached = np.flatnonzero(curve.still <= 1.0 - share + 1e-12)
    return float(curve.times[reached[0]]) if len(reached) else None


def come_by(curve: Waits, time: float) -> Share:
    """The share that has come by `time` (inclusive); raises UsageError when there is no case at all."""
    if curve.n == 0:
        raise UsageError("there is no case: nothing began in this time")
    place = int(np.searchsorted(curve.times, time, side="right")) - 1
    still = float(curve.still[place]) if place >= 0 else 1.0
    if place < 0:
        effective = float(curve.n)
    elif curve.variance[place] > 0:
        effective = still * (1.0 - still) / float(curve.variance[place])
    else:
        effective = float(curve.n if still > 0 else curve.at_risk[place])
    low, high = (float(bound) for bound in wilson((1.0 - still) * effective, effective))
    return Share(1.0 - still, low, high, curve.n)


def within(durations: ArrayLike, came: ArrayLike, limit: float) -> Share:
    """Answered within `limit` of the cases that are decided: those answered in time and those older than `limit`."""
    took, closed = np.asarray(durations, dtype=np.float64), np.asarray(came, dtype=np.bool_)
    hits = int((closed & (took <= limit)).sum())
    decided = hits + int((took > limit).sum())
    if decided == 0:
        raise UsageError(f"no case is decided: none was answered, none is older than {limit:g}")
    low, high = (float(bound) for bound in wilson(hits, decided))
    return Share(hits / decided, low, high, decided)


def median_of_closed(durations: ArrayLike, came: ArrayLike) -> float:
    """The misleading figure, for showing beside the true one; NaN when none is closed."""
    closed = np.asarray(durations, dtype=np.float64)[np.asarray(came, dtype=np.bool_)]
    return float(np.median(closed)) if len(closed) else math.nan
