"""What others use to notice a drop, as a comparison for the default detector (pure, numpy). None of them pages anybody.

EWMA chart, Page-Hinkley test (as the library river has it), z-test of a window, a fixed number of points; and of many
segments at once the procedures of Benjamini-Hochberg (p-values) and Wang-Ramdas (e-values, "e-BH").
Shapes: k segments; counts [k, 3] (negative, in between, positive); fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.alerts.baselines import Bools
from pipeline.alerts.classes import Counts, Floats, net

#: river's defaults of Page-Hinkley: what is ignored, and how fast the past fades.
_IGNORED, _FADES = 0.005, 0.9999


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
