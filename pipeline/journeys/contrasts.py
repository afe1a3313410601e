"""Two groups side by side: lift and leave-one-out impact of a touchpoint, risk and odds, gaps of shares. Pure.

Fractions everywhere (points are 100 times that); every figure with its 95 % interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.journeys.refusing import ENOUGH_OUTCOMES, Refusal
from pipeline.scores.intervals import Counts, Floats, Interval, Sample, Z, difference, wilson
from pipeline.scores.meters import ENOUGH


@dataclass(frozen=True, slots=True)
class Lift:
    """Those who met something against the others, as columns; in the unit of the values.

    `lift` is the difference of the means. `impact` is what the whole would lose without those who met it: the mean of
    all less the mean of the others, which equals share x lift. `enough` is False where a side has under ten answers.
    """

    met: Sample
    others: Sample
    lift: Floats
    lift_low: Floats
    lift_high: Floats
    impact: Floats
    impact_low: Floats
    impact_high: Floats
    enough: np.ndarray


def lifts(met: Counts, others: Counts, values: ArrayLike) -> Lift:
    """Lift and leave-one-out impact from histograms [rows, bins]; `values` gives each bin's worth, such as -1, 0, +1.

    The interval of the lift is the two-sample one, that of the impact the delta method's: the share is random too.
    """
    worth = np.asarray(values, dtype=np.float64)
    one, two = _sample(met, worth), _sample(others, worth)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = difference(two, one)
        lift, half = change.difference, Z * change.error
        total = one.n + two.n
        whole = (one.n * one.mean + two.n * two.mean) / total
        impact = one.n / total * lift
        # Influence of one answer on (mean of all - mean of the others), squared and summed per bin.
        inside = worth - whole[:, None]
        outside = inside - (worth - two.mean[:, None]) * (total / two.n)[:, None]
        spread = (met * inside**2 + others * outside**2).sum(axis=1) / total
        reach = Z * np.sqrt(spread / total)
    enough = (one.n >= ENOUGH) & (two.n >= ENOUGH)
    return Lift(one, two, lift, lift - half, lift + half, impact, impact - reach, impact + reach, enough)


def _sample(counts: Counts, worth: Floats) -> Sample:
    n = counts.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = counts @ worth / n
        return Sample(mean, np.maximum(counts @ (worth * worth) / n - mean * mean, 0.0), n)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with its 95 % interval on the logarithm; `padded` when an empty cell got half a case (Haldane)."""

    value: float
    low: float
    high: float
    padded: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """How much more often something happens in one group than in another."""

    ratio: Ratio
    odds: Ratio
    n: int
    outcomes: int


def risk(hits: tuple[int, int], totals: tuple[int, int]) -> Risk | Refusal:
    """Risk ratio and odds ratio of the first group against the second, or a Refusal under ten outcomes or ten cases."""
    outcomes, n = sum(hits), sum(totals)
    if outcomes < ENOUGH_OUTCOMES or n - outcomes < ENOUGH_OUTCOMES:
        known = min(outcomes, n - outcomes)
        return Refusal(f"{known} outcomes of the rarer kind are too few", known, ENOUGH_OUTCOMES)
    if min(totals) < ENOUGH:
        return Refusal(f"one of the groups has {min(totals)} customers", min(totals), ENOUGH)
    cells = [float(x) for x in (hits[0], totals[0] - hits[0], hits[1], totals[1] - hits[1])]
    padded = min(cells) == 0
    a, b, c, d = (x + 0.5 for x in cells) if padded else cells
    risks = _ratio((a / (a + b)) / (c / (c + d)), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d), padded)
    return Risk(risks, _ratio(a * d / (b * c), 1 / a + 1 / b + 1 / c + 1 / d, padded), n, outcomes)


def _ratio(value: float, variance: float, padded: bool) -> Ratio:
    half = math.exp(Z * math.sqrt(variance))
    return Ratio(value, value / half, value * half, padded)


@dataclass(frozen=True, slots=True)
class Gap:
    """The first share less the second, with Newcombe's 95 % interval."""

    difference: float
    low: float
    high: float
    n: tuple[int, int]


def gap(hits: tuple[int, int], totals: tuple[int, int]) -> Gap | Refusal:
    """A difference of shares by Newcombe's method 10, such as what the staff believes less what customers say."""
    if min(totals) < ENOUGH:
        return Refusal(f"one of the two shares stands on {min(totals)} answers", min(totals), ENOUGH)
    one, two = (hit / total for hit, total in zip(hits, totals, strict=True))
    bounds: Interval = wilson(np.array(hits), np.array(totals))
    low, high = bounds.low, bounds.high
    below = math.hypot(one - low[0], high[1] - two)
    above = math.hypot(high[0] - one, two - low[1])
    return Gap(one - two, one - two - below, one - two + above, totals)
