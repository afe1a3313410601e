"""What is normal: shares of three classes by hour of the week, learned from hourly counts (pure, numpy).

Segment mean + pooled profile (hour of day, day of week, hour of week) times the segment's slope + its own deviation.
Every part is shrunk by what its counts can bear: the spread beyond sampling noise is estimated by moments, so a profile
that is noise comes out as none. The hours that are given are all that is used: the caller leaves out what is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts.classes import Counts, Floats, net, variance
from pipeline.alerts.detectors import FLOOR

#: Hours of a week; hour 0 is Monday 00:00 UTC.
WEEK = 168
#: History that makes a baseline: four of each hour of the week.
DAYS = 28
#: 1 January 1970 was a Thursday.
_EPOCH_HOUR = 3 * 24
#: Answers of a scope before anything is said of it.
ENOUGH = 1_000
#: A day of a scope tells of day effects from this many answers on.
_DAY_ENOUGH = 30
#: Share of a day's effect that is left the day after, until a history tells; it weighs as much as so many pairs of
#: days that are known without noise.
STAYS, _PAIRS = 0.6, 100.0
#: Between these: an effect that were gone overnight still lasts its day, one that stays for ever is no effect of days.
_STAYS_LEAST, _STAYS_MOST = 0.3, 0.95
#: One-sided 95 %: while it learns, a scope's own mean may be off by this many standard errors.
_UNSURE = 1.645
_MONTH_HOURS = 720.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal for k scopes: `shares` [k, 168, 3]; `answers` a 30 days [k]; `learned` answers it rests on [k].

    `days` [k] is the span of the history; `tau` the standard deviation of harmless effects of a day, a fraction, and
    `stays` the share of one that is left the day after.
    """

    shares: Floats
    answers: Floats
    learned: Counts
    days: Floats
    tau: float
    stays: float = STAYS

    @property
    def mean(self) -> Floats:
        """Mean shares of each scope [k, 3]."""
        return np.asarray(self.shares.mean(axis=1))

    @property
    def known(self) -> Bools:
        """Scopes that can be judged."""
        return np.asarray(self.learned >= ENOUGH)

    @property
    def learning(self) -> Bools:
        """Scopes whose baseline rests on less than 28 days."""
        return np.asarray(self.days < DAYS)

    @property
    def unsure(self) -> Floats:
        """How far off the mean of a scope may be while it is learning, else 0 [k]: comes on top of the dead-band."""
        spread = np.sqrt(variance(self.mean) / np.maximum(self.learned, 1))
        return np.where(self.learning, _UNSURE * spread, 0.0)

    @classmethod
    def empty(cls, scopes: int) -> Baseline:
        """Nothing is known."""
        shares = np.full((scopes, WEEK, 3), 1.0 / 3.0)
        return cls(shares, np.zeros(scopes), np.zeros(scopes, dtype=np.int64), np.zeros(scopes), 0.0)


def hour_of_week(second: int) -> int:
    """0..167 of a Unix second, UTC, from Monday on."""
    return (second // 3600 + _EPOCH_HOUR) % WEEK


def learn(hours: Counts, start: int) -> Baseline:
    """The baseline of [k, h, 3] counts of h consecutive hours from Unix second `start` on."""
    if not hours.shape[0] or not hours.shape[1]:
        return Baseline.empty(hours.shape[0])
    of_week = (start // 3600 + _EPOCH_HOUR + np.arange(hours.shape[1])) % WEEK
    cells = np.zeros((hours.shape[0], WEEK, 3))
    for hour in range(WEEK):
        cells[:, hour] = hours[:, of_week == hour].sum(axis=1)
    shares = _shares(cells)
    filled = hours.sum(axis=2) > 0
    learned = hours.sum(axis=(1, 2))
    span = np.where(filled.any(axis=1), hours.shape[1] - filled.argmax(axis=1), 0)
    answers = learned / np.maximum(span, 1) * _MONTH_HOURS
    # A scope that began within the first day of the span has the whole of it behind it.
    days = np.ceil(span / 24.0)
    return Baseline(shares, answers, learned.astype(np.int64), days, *_effects(hours, shares[:, of_week]))


def _shares(cells: Floats) -> Floats:
    """Shares by hour of the week [k, 168, 3] from counts."""
    n = cells.sum(axis=2)
    total = n.sum(axis=1)
    pooled = cells.sum(axis=(0, 1)) / max(float(n.sum()), 1.0) if n.sum() else np.full(3, 1.0 / 3.0)
    # One answer of the pooled shares keeps an empty scope finite and moves no other.
    mean = (cells.sum(axis=1) + pooled) / (total + 1.0)[:, None]
    spread = np.maximum(variance(mean), 0.01)
    noise = np.maximum(mean * (1.0 - mean), 0.01)  # variance of one answer in each class
    profiles = np.stack([_profile(cells[:, :, c] - n * mean[:, None, c], n, noise[:, c]) for c in (0, 2)])
    slope = _slope(net(np.maximum(cells, 0.0)) - net(mean)[:, None], n, profiles[1] - profiles[0], spread)
    shares = np.empty_like(cells)
    for at, c in enumerate((0, 2)):
        fitted = mean[:, None, c] + slope[:, None] * profiles[at]
        own = _own(cells[:, :, c] - n * fitted, n, noise[:, c])
        shares[:, :, c] = np.clip(fitted + own, FLOOR, 1.0 - FLOOR)
    outer = shares[:, :, 0] + shares[:, :, 2]
    shares[:, :, (0, 2)] /= np.maximum(outer, 1.0)[:, :, None]
    shares[:, :, 1] = np.maximum(1.0 - shares[:, :, 0] - shares[:, :, 2], 0.0)
    return shares


def shrunk(sums: Floats, n: Floats, spread: Floats | float) -> Floats:
    """Means sums / n, drawn to 0 by how much of their spread is sampling noise.

    `spread` is the variance of one answer. The true variance is estimated by moments over all cells together: of one
    segment alone it would come out above 0 by chance half the time, and its noise would stand as its profile.
    """
    noise = np.broadcast_to(np.asarray(spread, dtype=np.float64), n.shape)
    weight = float(n.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(n > 0, sums / n, 0.0)
        # E[n mean^2] = n true + noise: summed over the cells, solved for `true`.
        true = max(float((n * mean * mean).sum() - ((n > 0) * noise).sum()) / weight, 0.0) if weight else 0.0
        factor = np.where(n > 0, true / (true + noise / np.maximum(n, 1.0)), 0.0)
    return np.asarray(mean * np.nan_to_num(factor))


def _profile(deviations: Floats, n: Floats, spread: Floats) -> Floats:
    """The pooled profile [168] of one class from sums of deviations [k, 168]: hour of day, day of week, the rest."""
    sums, counts = deviations.sum(axis=0), n.sum(axis=0)
    noise = float((spread * n.sum(axis=1)).sum() / max(float(counts.sum()), 1.0))
    by_hour = shrunk(sums.reshape(7, 24).sum(axis=0), counts.reshape(7, 24).sum(axis=0), noise)
    fitted = np.tile(by_hour, 7)
    left = sums - counts * fitted
    by_day = shrunk(left.reshape(7, 24).sum(axis=1), counts.reshape(7, 24).sum(axis=1), noise)
    fitted = fitted + np.repeat(by_day, 24)
    return fitted + shrunk(sums - counts * fitted, counts, noise)


def _slope(deviation: Floats, n: Floats, profile: Floats, spread: Floats) -> Floats:
    """How strongly each scope follows the pooled profile [k]: 1 on the whole, drawn to 1 as far as it is noise."""
    informed = (n * profile * profile).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(informed > 0, (n * profile * np.nan_to_num(deviation)).sum(axis=1) / informed, 1.0)
        noise = np.where(informed > 0, spread / informed, np.inf)
    sure = np.isfinite(noise)
    if not sure.any():
        return np.ones(len(own))
    weight = 1.0 / (noise[sure] + noise[sure].mean())
    true = max(float((weight * ((own[sure] - 1.0) ** 2 - noise[sure])).sum() / weight.sum()), 0.0)
    factor = np.where(sure, true / (true + np.where(sure, noise, 1.0)), 0.0)
    return np.asarray(1.0 + factor * np.where(sure, own - 1.0, 0.0))


def _own(deviations: Floats, n: Floats, spread: Floats) -> Floats:
    """A scope's own deviation [k, 168] from the fitted: by hour of the day, then by hour of the week."""
    days = (len(n), 7, 24)
    by_hour = shrunk(deviations.reshape(days).sum(axis=1), n.reshape(days).sum(axis=1), spread[:, None])
    fitted = np.tile(by_hour, (1, 7))
    return np.asarray(fitted + shrunk(deviations - n * fitted, n, spread[:, None]))


def _effects(hours: Counts, shares: Floats) -> tuple[float, float]:
    """Standard deviation of day effects, and the share of one that is left a day later; 0 without any.

    By moments over all scopes and days with enough answers.
    """
    whole = hours.shape[1] // 24 * 24
    if not whole:
        return 0.0, STAYS
    n = hours[:, :whole].sum(axis=2)
    residual = (hours[:, :whole, 2] - hours[:, :whole, 0]) - n * net(shares[:, :whole])
    days = (len(hours), -1, 24)
    answers = n.reshape(days).sum(axis=2)
    enough = answers >= _DAY_ENOUGH
    if not enough.any():
        return 0.0, STAYS
    noise = variance(shares.mean(axis=1))[:, None] / np.maximum(answers, 1)
    effect = residual.reshape(days).sum(axis=2) / np.maximum(answers, 1)
    weight = np.where(enough, 1.0 / (noise + 0.0004), 0.0)
    square = max(float((weight**2 * (effect * effect - noise)).sum() / (weight**2).sum()), 0.0)
    return float(np.sqrt(square)), _stays(effect, noise, weight, square)


def _stays(effect: Floats, noise: Floats, weight: Floats, square: float) -> float:
    """The share of a day's effect that is left a day later, from effects [k, days] with their noise."""
    pairs = weight[:, 1:] * weight[:, :-1]
    known = square / (square + noise)
    sure = float((known[:, 1:] * known[:, :-1] * (pairs > 0.0)).sum())
    if square <= 0.0 or sure <= 0.0:
        return STAYS
    together = float((pairs * effect[:, 1:] * effect[:, :-1]).sum() / pairs.sum()) / square
    found = STAYS
    for _ in range(5):
        # Around their own mean effects look smaller and less alike than they are.
        left = float(averaged(np.float64(effect.shape[1]), found))
        found = min(max(together * (1.0 - left) + left, _STAYS_LEAST), _STAYS_MOST)
    return (sure * found + _PAIRS * STAYS) / (sure + _PAIRS)


def averaged(days: Floats | np.float64, stays: float) -> Floats:
    """Share of the variance of an effect that is left in its mean over so many days; `stays`: of it, a day later."""
    way = -np.log(stays) * np.asarray(days, dtype=np.float64)
    return np.asarray(2.0 * (way - 1.0 + np.exp(-way)) / way**2)
