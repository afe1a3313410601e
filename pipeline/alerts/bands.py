"""How wide the dead-band of each scope must be for h = ln(I N / FA) to give FA, no more and hardly less (pure, numpy).

That threshold holds for answers whose shares are known and do not move. They do: days have effects that harm nobody,
and what is normal was learned from so many answers and no more. Both shift the score for as long as a statistic takes
to climb, hours in a busy scope, days in a quiet one, where the effects of several days cancel in part. The dead-band
makes up for it: the smallest with which the alarms expected of all sizes together come to what is wanted.
"""

from __future__ import annotations

import numpy as np

from pipeline.alerts.baselines import DAYS, Baseline
from pipeline.alerts.classes import Floats, variance
from pipeline.alerts.detectors import shifted, threshold, weights
from pipeline.alerts.effects import averaged

#: Dead-bands that are tried, fractions; in between is interpolated.
_TRIED = np.linspace(0.0, 0.10, 21)
#: A sum of steps overshoots its threshold by so many standard deviations of a step (Siegmund).
_OVERSHOOT = 1.166
#: Windows in a day.
_WINDOWS = 288.0
#: A shift that lasts raises one alarm a day at most: it is open that long.
_MOST = 30.0
#: Standard deviations of the shift over which is summed, and the weight of each.
_SHIFTS = np.linspace(-5.0, 5.0, 21)
_WEIGHTS = np.exp(-(_SHIFTS**2) / 2.0) / np.exp(-(_SHIFTS**2) / 2.0).sum()
#: Shortest time a climb can take, days; and what keeps a quotient finite.
_SHORT, _TINY = 1e-3, 1e-9
#: A drift below it makes no difference, and the formula would lose its digits.
_SLIGHT = 1e-5


def dead_bands(baseline: Baseline, sizes: tuple[float, ...], false_alarms: Floats | float, least: float) -> Floats:
    """The dead-band of each scope [k], a fraction, at least `least`; the widest tried where none is enough."""
    alarms = np.zeros((len(_TRIED), len(baseline.answers)))
    for size in sizes:
        alarms += _expected(baseline, size, false_alarms)
    # Log alarms fall with the band, nearly along a line: the first crossing, interpolated.
    over = np.log(np.maximum(alarms, _TINY) / false_alarms)
    after = np.clip((over > 0.0).sum(axis=0), 1, len(_TRIED) - 1)
    scopes = np.arange(over.shape[1])
    high, low = over[after - 1, scopes], over[after, scopes]
    part = np.clip(high / np.maximum(high - low, _TINY), 0.0, 1.0)
    found = _TRIED[after - 1] + part * (_TRIED[after] - _TRIED[after - 1])
    return np.asarray(np.maximum(found, least))


def _expected(baseline: Baseline, size: float, false_alarms: Floats | float) -> Floats:
    """Alarms in 30 days of a CUSUM of one size with each band tried [m, k], where nothing fell."""
    mean, bands = baseline.mean, _TRIED[:, None]
    weighed, calm = weights(mean, bands, size), shifted(mean, bands)
    information = weighed.information
    limit = threshold(weighed.information, baseline.answers, false_alarms)
    squares = np.stack([weighed.negative**2, weighed.between**2, weighed.positive**2], axis=-1)
    # At the end of the scale nothing can fall: no answer moves the statistic, and no band is needed.
    fixed = information <= _TINY
    information = np.where(fixed, 1.0, information)
    spread = np.where(fixed, 1.0, (calm * squares).sum(axis=-1) - weighed.information**2)
    slope = (weighed.negative - weighed.positive) / 2.0  # what a fall of the score adds to an answer's mean
    daily = np.maximum(baseline.answers / 30.0, _TINY)
    barrier = limit + _OVERSHOOT * np.sqrt(spread * np.maximum(daily / _WINDOWS, 1.0))
    # A path that reaches the threshold by chance climbs as fast as it falls on the whole.
    days = np.maximum(barrier / (information + slope * bands) / daily, _SHORT)
    sd = np.sqrt(_shift_variance(baseline, days))
    total = np.zeros_like(barrier)
    for shift, weight in zip(_SHIFTS, _WEIGHTS, strict=True):
        drift = -information - slope * (bands + shift * sd)
        total += weight * np.minimum(30.0 * daily / _answers_to_alarm(drift, spread, barrier), _MOST)
    return np.where(fixed, 0.0, total)


def _answers_to_alarm(drift: Floats, spread: Floats, barrier: Floats) -> Floats:
    """Mean number of answers until a walk that is held at 0 from below reaches the barrier (Brownian)."""
    drift = np.where(np.abs(drift) < _SLIGHT, _SLIGHT, drift)
    way = 2.0 * drift * barrier / spread
    return np.asarray(np.maximum((np.exp(np.minimum(-way, 700.0)) + way - 1.0) * spread / (2.0 * drift**2), _TINY))


def _shift_variance(baseline: Baseline, days: Floats) -> Floats:
    """Variance of a scope's mean over so many days [m, k] against its baseline, without the noise of those answers.

    Two numbers of few answers hold for all hours: the mean, and how strongly the profile is followed.
    """
    looked = np.clip(baseline.days, 1.0, float(DAYS))
    of_days = baseline.effects
    # What days differ by was measured around their own mean, which took a part of it.
    left = averaged(looked, of_days.stays)
    passing = of_days.tau**2 / np.maximum(1.0 - left, _TINY)
    own = variance(baseline.mean) / np.maximum(baseline.learned, 1)
    # A level that wanders is off its mean by a third of what it gained in the days learned; one that was found is not.
    mean = np.where(baseline.level > 0.0, baseline.level, passing * left + of_days.wander * looked / 3.0 + own)
    ahead = passing * averaged(days, of_days.stays) + of_days.wander * days / 3.0
    return np.asarray(ahead + mean + own)
