"""Estimates and their 95 % intervals: three-class scores, shares, means, differences. Pure, over numpy columns.

These know no metric; pipeline/scores/meters.py says which answers make which score.
Fractions everywhere; counts come as floats that hold integers, so that SQL and Python round alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: 97.5 % quantile of the normal distribution: two-sided 95 %.
Z = 1.959963984540054
#: Pseudo-answers of the adjusted Wald interval for each outer class, twice that for the middle one (Rocks 2016).
_OUTER = 0.75
#: p is stored in 1/10,000.
P_UNIT = 10_000


class Interval(NamedTuple):
    """Lower and upper bound."""

    low: Floats
    high: Floats


class Net(NamedTuple):
    """Answers of a three-class score: detractors or negative ones, promoters or positive ones, all."""

    negative: Floats
    positive: Floats
    n: Floats


class Moments(NamedTuple):
    """Count, sum and sum of squares of answers: integers, so merging is exact."""

    n: Counts
    total: Counts
    squares: Counts


class Sample(NamedTuple):
    """Mean, population variance and size of a sample, all that a comparison needs."""

    mean: Floats
    variance: Floats
    n: Floats


@dataclass(frozen=True, slots=True)
class Difference:
    """Second sample minus first: with its standard error, z, and p for a drop and for any change."""

    difference: Floats
    error: Floats
    z: Floats
    p_drop: Floats
    p_change: Floats


# Three classes: NPS and net sentiment (published in points, times 100).


def net_score(net: Net) -> Floats:
    """(positive - negative) / n."""
    return (net.positive - net.negative) / net.n


def net_variance(net: Net) -> Floats:
    """Population variance of -1, 0, +1; at most 1."""
    mean = net_score(net)
    return (net.negative + net.positive) / net.n - mean * mean


def wald(net: Net) -> Interval:
    """The plain interval; covers only 79-91 % at n = 10, so it is never published."""
    half = Z * np.sqrt(net_variance(net) / net.n)
    return Interval(net_score(net) - half, net_score(net) + half)


def adjusted_wald(net: Net) -> Interval:
    """Wald with pseudo-answers 3/4, 3/2, 3/4 (Rocks 2016); about the shrunk centre, not clipped."""
    padded = Net(net.negative + _OUTER, net.positive + _OUTER, net.n + 4 * _OUTER)
    return wald(padded)


def tango_statistic(net: Net, t: ArrayLike) -> Floats:
    """T(t) of Tango 1998 for a difference of paired shares; falls from +inf to -inf over -1 < t < 1."""
    at = np.asarray(t, dtype=np.float64)
    a = 2.0 * net.n
    b = (2.0 * net.n - net.positive + net.negative) * at - net.negative - net.positive
    c = -net.negative * at * (1.0 - at)
    q = (np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    above = net.positive - net.negative - net.n * at
    # Without a detractor or promoter T(0) is 0 / 0; T passes through 0 there.
    return np.where(above == 0.0, 0.0, above / np.sqrt(net.n * (2.0 * q + at * (1.0 - at))))


def tango(net: Net) -> Interval:
    """The score interval (Tango 1998), by bisection: the yardstick for the adjusted Wald interval."""

    def root(level: float) -> Floats:
        low, high = -np.ones_like(net.n), np.ones_like(net.n)
        for _ in range(60):  # 2 / 2^60 is below the distance of neighbouring floats
            middle = (low + high) / 2.0
            with np.errstate(divide="ignore", invalid="ignore"):
                above = tango_statistic(net, middle) > level
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return low

    return Interval(root(Z), root(-Z))


def soft_net(s1: ArrayLike, n: ArrayLike) -> Floats:
    """Mean of P(positive) - P(negative) from the sum of p, a fraction."""
    return np.asarray(np.asarray(s1, dtype=np.float64) / P_UNIT / np.asarray(n, dtype=np.float64))


def label_noise(polar: ArrayLike, squares: ArrayLike, n: ArrayLike) -> Floats:
    """Variance that the labels' uncertainty adds to the soft mean.

    `polar` is the sum of P(positive) + P(negative), `squares` that of (P(positive) - P(negative))^2.
    """
    texts = np.asarray(n, dtype=np.float64)
    spread = np.asarray(polar, dtype=np.float64) - np.asarray(squares, dtype=np.float64)
    return np.asarray(spread / (texts * texts))


# Shares.


def wilson(hits: ArrayLike, n: ArrayLike) -> Interval:
    """Wilson's score interval of a share."""
    all_ = np.asarray(n, dtype=np.float64)
    p = np.asarray(hits, dtype=np.float64) / all_
    zz = Z * Z
    centre = (p + zz / (2.0 * all_)) / (1.0 + zz / all_)
    half = Z * np.sqrt(p * (1.0 - p) / all_ + zz / (4.0 * all_ * all_)) / (1.0 + zz / all_)
    return Interval(np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0))


# Means.


def mean_and_variance(of: Moments) -> Sample:
    """Mean and population variance from exact integers."""
    n = of.n.astype(np.float64)
    mean = of.total / n
    return Sample(mean, np.maximum(of.squares / n - mean * mean, 0.0), n)


def sample_variance(of: Moments) -> Floats:
    """Variance with n - 1 below: the unbiased one."""
    return np.asarray((of.squares - of.total * of.total / of.n) / (of.n - 1))


def normal(sample: Sample) -> Interval:
    """Interval of a mean by the central limit theorem, mean +- z sqrt(variance / n), the form of the Wald interval.

    No width when all answers are the same: n and the histogram stand beside it.
    """
    half = Z * np.sqrt(sample.variance / sample.n)
    return Interval(sample.mean - half, sample.mean + half)


def bayesian_mean(of: Moments, weight: float, prior: float) -> Floats:
    """For ranking: the mean with `weight` further answers of the value `prior`; few stars do not beat many."""
    return np.asarray((weight * prior + of.total) / (weight + of.n))


# Comparing and planning.


def sample_of(net: Net) -> Sample:
    """Three-class answers as a sample, fractions."""
    return Sample(net_score(net), net_variance(net), net.n)


def difference(first: Sample, second: Sample) -> Difference:
    """Second minus first, with unpooled standard error."""
    change = second.mean - first.mean
    error = np.sqrt(first.variance / first.n + second.variance / second.n)
    z = change / error
    tail = np.vectorize(math.erfc, otypes=[np.float64])
    root2: Any = math.sqrt(2.0)
    return Difference(change, error, z, tail(-z / root2) / 2.0, tail(np.abs(z) / root2))


def answers_needed(margin: float, variance: float) -> int:
    """How many answers give an interval of +- `margin` at this variance (same units: fractions)."""
    return math.ceil(Z * Z * variance / (margin * margin))
