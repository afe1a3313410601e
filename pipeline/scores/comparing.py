"""What stands beside a score to judge it: change and its interval, trend, ranking, what could be seen (pure).

All in the fractions of `Definition.sample`: a net score of 30 points is 0.3. Formulas: scores.md 1.1, 3.5 and 3.6.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.scores.intervals import Floats, Sample, Z, difference

#: False alarms wanted per month, and the drop a detector is made for, as a part of the score's whole range.
_FALSE_ALARMS: Final = 0.1
_DESIGN: Final = 0.1
#: Below this threshold a detector would fire on a handful of answers.
_LEAST_THRESHOLD: Final = 2.0
_MONTH_S: Final = 30 * 86_400
#: A line through fewer points has no slope worth the name.
_LEAST_POINTS: Final = 3


class Change(NamedTuple):
    """Second sample less first, its 95 % interval, and p of a difference this large when there is none."""

    change: Floats
    low: Floats
    high: Floats
    p: Floats


class Trend(NamedTuple):
    """Change per window along a straight line, with its 95 % interval; None when there are too few windows."""

    slope: float
    low: float
    high: float
    windows: int


def change(before: Sample, now: Sample) -> Change:
    """From one window to the next, row for row (two-sample formula with unpooled error)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = difference(before, now)
    half = Z * found.error
    # Two windows of equal answers only: no error, and no evidence of a change without one.
    p = np.where(found.error > 0, found.p_change, np.where(found.difference == 0, 1.0, 0.0))
    return Change(found.difference, found.difference - half, found.difference + half, p)


def trend(at: NDArray[np.float64], sample: Sample) -> Trend | None:
    """The straight line through windows at the places `at` (in windows), each weighing as its answers.

    The variance of an answer is taken as the same in all windows, so that one with a single kind of answer does not
    pass for certain.
    """
    counts = sample.n > 0
    x, mean, n = at[counts], sample.mean[counts], sample.n[counts]
    if len(x) < _LEAST_POINTS:
        return None
    total = n.sum()
    centre = (n * x).sum() / total
    spread = (n * (x - centre) ** 2).sum()
    slope = float((n * (x - centre) * (mean - (n * mean).sum() / total)).sum() / spread)
    variance = float((n * sample.variance[counts]).sum() / total)
    half = Z * math.sqrt(variance / float(spread))
    return Trend(slope, slope - half, slope + half, len(x))


def between_variance(sample: Sample) -> float:
    """How much the true scores of groups differ, by moments: what their means vary beyond the chance of few answers."""
    n = sample.n
    total = n.sum()
    mean = (n * sample.mean).sum() / total
    within = (n * sample.variance).sum() / total
    around = (n * (sample.mean - mean) ** 2).sum()
    free = total - (n * n).sum() / total
    return float(max(0.0, (around - (len(n) - 1) * within) / free)) if free > 0 else 0.0


def shrunken(sample: Sample, parent: float, tau2: float, variance: float) -> Floats:
    """Means drawn towards their parent's, the more the fewer answers they rest on: what a ranking goes by.

    `tau2` is the variance between groups, `variance` that of an answer. Without any between, all are the parent's.
    """
    if tau2 <= 0.0:
        return np.full_like(sample.mean, parent)
    weight = variance / tau2
    return np.asarray((sample.n * sample.mean + weight * parent) / (sample.n + weight))


def ranked(sample: Sample) -> Floats:
    """The shrunken means of groups of one parent, with everything estimated from them."""
    total = sample.n.sum()
    parent = float((sample.n * sample.mean).sum() / total)
    variance = float((sample.n * sample.variance).sum() / total)
    return shrunken(sample, parent, between_variance(sample), variance)


def detectable(variance: Floats, n: Floats, seconds: Floats) -> Floats:
    """The smallest drop that a detector sees within a window of `n` answers and so many seconds.

    sqrt(2 v h / n) with h = ln(I N / FA): N answers in 30 days at this rate, 0.1 false alarms in that time, and
    I = d^2 / (2 v) the information of one answer about a drop of d = 0.1. NaN where nobody answered.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        information = _DESIGN**2 / (2.0 * variance)
        threshold = np.log(information * n * _MONTH_S / seconds / _FALSE_ALARMS)
        return np.asarray(np.sqrt(2.0 * variance * np.maximum(threshold, _LEAST_THRESHOLD) / n))
