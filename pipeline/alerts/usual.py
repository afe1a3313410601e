"""What others use to notice a drop, as a comparison for the default detector (pure, numpy). None of them pages anybody.

EWMA chart, Page-Hinkley test (as the library river has it), z-test of a window, a fixed number of points (`Charts` runs
what people set up by hand in the worlds of `touchline rules simulate`); and of many segments at once the procedures of
Benjamini-Hochberg (p-values) and Wang-Ramdas (e-values, "e-BH").
Shapes: k segments; counts [k, 3] (negative, in between, positive); fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.alerts.baselines import Bools
from pipeline.alerts.classes import Counts, Floats, net, variance

#: river's defaults of Page-Hinkley: what is ignored, and how fast the past fades.
_IGNORED, _FADES = 0.005, 0.9999
#: The rules as they are set up most: looked at every five minutes, over the last hour, from thirty answers on.
_HOUR, _FEWEST = 12, 30
#: A fall of so much (a fraction: ten points), so many standard deviations, the chart's weight.
_FALL, _SIGMAS, _WEIGHT = 0.10, 3.0, 0.2


@dataclass(slots=True)
class Ewma:
    """Exponentially weighted mean of the residuals of k segments; one step an answer or a mean of several."""

    weight: float
    value: Floats
    spread: Floats

    @classmethod
    def fresh(cls, weight: float, segments: int) -> Ewma:
        """Nothing seen yet."""
        return cls(weight, np.zeros(segments), np.zeros(segments))

    def step(self, residual: Floats, variance: Floats) -> Floats:
        """The mean after one more residual, in its own standard deviations [k]; NaN changes nothing."""
        seen = ~np.isnan(residual)
        keep = 1.0 - self.weight
        self.value = np.where(seen, keep * self.value + self.weight * np.nan_to_num(residual), self.value)
        added = keep**2 * self.spread + self.weight**2 * np.nan_to_num(variance)
        self.spread = np.where(seen, added, self.spread)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.nan_to_num(self.value / np.sqrt(self.spread)))


@dataclass(slots=True)
class PageHinkley:
    """The test on values that rise when things get worse, [k]; its own running mean is its baseline."""

    count: Floats
    mean: Floats
    total: Floats
    least: Floats = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def fresh(cls, segments: int) -> PageHinkley:
        """Nothing seen yet."""
        return cls(np.zeros(segments), np.zeros(segments), np.zeros(segments), np.full(segments, np.inf))

    def step(self, value: Floats) -> Floats:
        """How far the sum of deviations stands above its lowest [k]; NaN changes nothing."""
        seen = ~np.isnan(value)
        value = np.nan_to_num(value)
        self.count = self.count + seen
        self.mean = self.mean + np.where(seen, (value - self.mean) / np.maximum(self.count, 1.0), 0.0)
        moved = _FADES * self.total + value - self.mean - _IGNORED
        self.total = np.where(seen, moved, self.total)
        self.least = np.where(seen, np.minimum(self.least, self.total), self.least)
        return np.where(np.isfinite(self.least), self.total - self.least, 0.0)


def window_z(counts: Counts, mean: Floats, variance: Floats, tau: float = 0.0) -> Floats:
    """How many standard deviations the score of a window lies from its baseline [k]; `tau`: days differ by so much."""
    n = counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num((net(counts) - mean) / np.sqrt(variance / n + tau * tau)))


@dataclass(slots=True)
class Charts:
    """The rules people set up by hand, side by side over k segments; each step is a window of five minutes.

    The points are below the plain mean of 28 days, as dashboards have it; the others know the hour of the week.
    """

    hour: Counts
    chart: Ewma
    NAMES = ("10 points below the mean of 28 days", "3 standard deviations below", "EWMA chart (0.2, 3 sigma)")

    @classmethod
    def fresh(cls, segments: int) -> Charts:
        """Nothing seen yet."""
        return cls(np.zeros((_HOUR, segments, 3), dtype=np.int64), Ewma.fresh(_WEIGHT, segments))

    def step(self, at: int, counts: Counts, month: Floats, usual: Floats) -> Bools:
        """Which rule cries for which segment after window number `at` [3, k].

        `month` [k] is the mean of the last 28 days, `usual` [k, 3] the shares of this hour of the week.
        """
        self.hour[at % _HOUR] = counts
        last = self.hour.sum(axis=0)
        enough = last.sum(axis=1) >= _FEWEST
        spread = variance(usual)
        with np.errstate(divide="ignore", invalid="ignore"):
            fallen = np.nan_to_num(net(last) - month) <= -_FALL
            residual, noise = net(counts) - net(usual), spread / counts.sum(axis=1)
        charted = self.chart.step(residual, np.where(np.isnan(residual), 0.0, noise)) < -_SIGMAS
        return np.stack([enough & fallen, enough & (window_z(last, net(usual), spread) < -_SIGMAS), charted])


def rejected_bh(p: Floats, rate: float) -> Bools:
    """Benjamini-Hochberg: which p-values [m] are found while at most `rate` of the finds are false in the mean."""
    order = np.argsort(p, kind="stable")
    below = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / max(len(p), 1))
    found = np.zeros(len(p), dtype=np.bool_)
    found[order[: below[-1] + 1 if len(below) else 0]] = True
    return found


def rejected_ebh(e: Floats, rate: float) -> Bools:
    """The same of e-values [m], however they depend on each other: the k largest, the k-th at least m / (rate k)."""
    order = np.argsort(-e, kind="stable")
    enough = np.flatnonzero(e[order] >= len(e) / (rate * np.arange(1, len(e) + 1)))
    found = np.zeros(len(e), dtype=np.bool_)
    found[order[: enough[-1] + 1 if len(enough) else 0]] = True
    return found
