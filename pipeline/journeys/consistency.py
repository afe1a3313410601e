"""Is the experience the same everywhere? Spread between units or channels beyond chance, and who stands out. Pure.

The mean may stay while one store goes bad. What is measured is tau, the standard deviation of the true scores between
groups (DerSimonian and Laird 1986), with sampling noise taken out; few answers make noise, not inconsistency.
Index = 100 (1 - tau / the largest tau there can be): 100 where all are alike, 0 where half are at each end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Floats, Sample
from pipeline.scores.meters import ENOUGH

#: How rarely even groups may be called uneven.
_CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Consistency:
    """The index with its 95 % interval, and each group's score drawn towards the mean of all (`shrunk`).

    `uneven` is true when chance alone would hardly (under 1 %) spread the groups so far. `worst` are the places of the
    two groups farthest apart after shrinking, the lower first. `tau`, `mean` and `shrunk` are in the scores' unit.
    """

    index: float
    low: float
    high: float
    tau: float
    mean: float
    p: float
    uneven: bool
    shrunk: Floats
    worst: tuple[int, int]
    groups: int
    n: int


def shrunk_towards(score: Floats, n: Floats, mean: float, weight: float) -> Floats:
    """(n x score + weight x mean) / (n + weight); weight = variance of one answer / tau^2."""
    return np.asarray((n * score + weight * mean) / (n + weight))


def consistency(groups: Sample, half_range: float = 1.0) -> Consistency | Refusal:
    """How even groups are; `half_range` is half the distance between the highest and lowest score there can be.

    Groups under ten answers are left out; refused when fewer than two remain.
    """
    enough = groups.n >= ENOUGH
    kept = int(enough.sum())
    if kept < 2:
        return Refusal(f"{kept} groups have ten answers or more", kept, 2)
    mean, n = groups.mean[enough], groups.n[enough]
    one = _spread_of_one(groups.variance[enough], n, half_range)
    noise = one / n
    q = _q(mean, noise, 0.0)
    tau2 = _tau_squared(mean, noise, q)
    ends = [_where(mean, noise, _chi_quantile(share, kept - 1)) for share in (0.975, 0.025)]
    whole = _pooled(mean, noise, tau2)
    near = np.full(len(groups.n), np.nan)
    near[enough] = shrunk_towards(mean, n, whole, one / tau2) if tau2 > 0 else whole
    p = chi_above(q, kept - 1)
    tau, tau_low, tau_high = (math.sqrt(value) for value in (tau2, min(ends[0], tau2), max(ends[1], tau2)))
    index, low, high = (100.0 * max(0.0, 1.0 - value / half_range) for value in (tau, tau_high, tau_low))
    order = np.flatnonzero(enough)[np.lexsort((mean, near[enough]))]
    worst = (int(order[0]), int(order[-1]))
    return Consistency(index, low, high, tau, whole, p, p < _CHANCE, near, worst, kept, int(n.sum()))


def _spread_of_one(variance: Floats, n: Floats, half_range: float) -> float:
    """Variance of one answer, pooled within the groups.

    A group's own variance goes along with its score, so that few answers near an end would look sure (12 % false
    alarms at 20 answers, measured; pooled 1 %).
    """
    pooled = float((n * variance).sum() / (n - 1.0).sum())
    # Answers that are all the same are not known to be so for ever: at least as if one more had been at the far end.
    return max(pooled, half_range**2 / (float(n.sum()) + 1.0))


def _pooled(mean: Floats, noise: Floats, tau2: float) -> float:
    weight = 1.0 / (noise + tau2)
    return float((weight * mean).sum() / weight.sum())


def _q(mean: Floats, noise: Floats, tau2: float) -> float:
    """Cochran's Q at a given tau^2; falls as tau^2 rises."""
    return float((((mean - _pooled(mean, noise, tau2)) ** 2) / (noise + tau2)).sum())


def _tau_squared(mean: Floats, noise: Floats, q: float) -> float:
    weight = 1.0 / noise
    scale = float(weight.sum() - (weight * weight).sum() / weight.sum())
    return max(0.0, (q - (len(mean) - 1)) / scale)


def _where(mean: Floats, noise: Floats, level: float) -> float:
    """The tau^2 at which Q is `level` (Viechtbauer 2007: an end of the Q-profile interval); 0 when it never is."""
    if _q(mean, noise, 0.0) <= level:
        return 0.0
    low, high = 0.0, 1.0
    while _q(mean, noise, high) > level and high < 1e12:
        high *= 2.0
    for _ in range(100):  # halves an interval until neighbouring floats
        middle = (low + high) / 2.0
        low, high = (middle, high) if _q(mean, noise, middle) > level else (low, middle)
    return high


def chi_above(value: float, freedom: int) -> float:
    """Chance that chi-squared with `freedom` degrees exceeds `value`: a finite sum, exact for whole degrees."""
    half = value / 2.0
    if half <= 0:
        return 1.0
    odd = freedom % 2
    total = math.erfc(math.sqrt(half)) if odd else 0.0
    for k in range((freedom + odd) // 2 - odd):
        power = k + 0.5 if odd else float(k)
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1.0))
    return min(total, 1.0)


def _chi_quantile(share: float, freedom: int) -> float:
    low, high = 0.0, freedom + 20.0 * math.sqrt(2.0 * freedom) + 100.0
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if 1.0 - chi_above(middle, freedom) < share else (low, middle)
    return high
