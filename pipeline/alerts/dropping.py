"""The default detector as it runs: CUSUMs of several sizes (or the e-detector) against a baseline (pure, numpy).

One object holds what follows from baseline and parameters (weights by hour of the week, thresholds) for k scopes; the
state is apart, so that it can be kept and a new baseline can take the place of the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.alerts import detectors as d
from pipeline.alerts.bands import dead_bands
from pipeline.alerts.baselines import Baseline, hour_of_week, of_hours
from pipeline.alerts.classes import Counts, Floats, net, variance
from pipeline.alerts.detectors import Cusum, Weights

#: Closed windows of five minutes in 30 days: the most steps that the e-detector can make.
_STEPS_MONTH = 8_640.0


@dataclass(frozen=True, slots=True)
class Drops:
    """CUSUM parameters for k scopes. `false_alarms` is what is wanted of each scope in 30 days, over all sizes."""

    baseline: Baseline
    false_alarms: Floats | float = 0.1
    sizes: tuple[float, ...] = d.SIZES
    dead_band: float = d.DEAD_BAND
    bands: Floats = field(init=False)
    limit: Floats = field(init=False)
    _weights: Weights = field(init=False, repr=False)

    def __post_init__(self) -> None:
        baseline = self.baseline
        bands = dead_bands(baseline, self.sizes, self.false_alarms, self.dead_band)
        # Few days do not tell what days differ by, nor does what was learned of them alone.
        early = max(self.dead_band, d.dead_band(baseline.effects.of_month)) + baseline.unsure
        bands = np.where(baseline.learning, np.maximum(bands, early), bands)
        mean = [d.weights(baseline.mean, bands, size).information for size in self.sizes]
        limits = [d.threshold(one, baseline.answers, self.false_alarms) for one in mean]
        object.__setattr__(self, "bands", bands)
        object.__setattr__(self, "limit", np.stack(limits, axis=-1))
        object.__setattr__(self, "_weights", self._weighed(baseline.shares, bands[:, None]))

    def step(self, state: Cusum, counts: Counts, end: int, stronger: float = 0.0) -> None:
        """One window that ended at `end`, counts [k, 3]; `stronger`: by so much is the daily cycle of all scopes."""
        self.step_at(state, counts, end, hour_of_week(end - 1), stronger)

    def step_at(self, state: Cusum, counts: Counts, end: int, hours: Counts | int, stronger: float = 0.0) -> None:
        """The same with the hour of the week given, one for all or one for each scope."""
        if stronger:
            shares = self.baseline.beneath(hours, stronger)
            weighed = self._weighed(shares, self.bands)
        else:
            at = of_hours(hours, len(counts))
            shares, weighed = self.baseline.shares[at], Weights(*(part[at] for part in self._weights))
        state.step(counts, shares, weighed, self.limit, end)

    def _weighed(self, shares: Floats, bands: Floats) -> Weights:
        """The weights of all sizes, along a last axis."""
        each = [d.weights(shares, bands, size) for size in self.sizes]
        return Weights(*(np.stack(parts, axis=-1) for parts in zip(*each, strict=True)))

    def detectable(self) -> Floats:
        """The smallest drop that a day's answers of each scope can show [k], a fraction; inf without answers."""
        spread = variance(self.baseline.mean)
        return d.detectable(spread, self.limit.min(axis=1), self.baseline.answers / 30.0, self.bands)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The e-detector for k scopes: not more than `false_alarms` of each in 30 days whatever the shares, in the mean."""

    baseline: Baseline
    false_alarms: Floats | float = 0.1
    dead_band: float = d.DEAD_BAND
    limit: Floats = field(init=False)
    bands: Floats = field(init=False)

    def __post_init__(self) -> None:
        bands = max(self.dead_band, d.dead_band(self.baseline.effects.of_month)) + self.baseline.unsure
        steps = np.clip(self.baseline.answers, 1.0, _STEPS_MONTH)
        object.__setattr__(self, "bands", bands)
        object.__setattr__(self, "limit", np.log(np.maximum(steps / self.false_alarms, np.e)))

    def step(self, logs: Floats, counts: Counts, end: int) -> Floats:
        """The bets after one window that ended at `end`, counts [k, 3]."""
        return self.step_at(logs, counts, hour_of_week(end - 1))

    def step_at(self, logs: Floats, counts: Counts, hours: Counts | int) -> Floats:
        """The same with the hour of the week given, one for all or one for each scope."""
        mean = net(self.baseline.shares[of_hours(hours, len(counts))]) - self.bands
        return d.e_step(logs, counts, mean, self.limit + np.log(len(d.BETS)))
