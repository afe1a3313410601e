"""What days differ by without harm, and for how long: learned from residuals of days, over all scopes (pure, numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.alerts.classes import Floats

#: A day of a scope tells of day effects from this many answers on.
_DAY_ENOUGH = 30
#: Share of a day's effect that is left the day after, until a history tells; it weighs as much as so many pairs of
#: days that are known without noise.
STAYS, _PAIRS = 0.6, 100.0
#: Between these: an effect that were gone overnight still lasts its day, one that stays for ever is no effect of days.
_STAYS_LEAST, _STAYS_MOST = 0.3, 0.95
#: Weeks that are compared to see whether a level wanders.
_WEEKS = 4
#: Scopes from which on it is told from chance: each one tells little, and what all do is left out.
_SCOPES = 10
#: One-sided 95 %: up to so many standard errors are chance.
_SURE = 1.645
#: Of what days differ by at most this share is a level that wanders.
_WANDERS_MOST = 0.9
#: Rounds until effects that pass and a level that wanders are told apart.
_ROUNDS = 5
#: Answers of a day without any: next to none, so that its noise is finite.
_NOTHING = 1e-6


class Effects(NamedTuple):
    """Standard deviation of effects of days, the share of one that is left a day later, and what a level gains a day.

    `tau` is a fraction, `wander` the variance of a fraction; all are 0 (and STAYS) without any.
    """

    tau: float
    stays: float
    wander: float

    @property
    def of_month(self) -> float:
        """What days differ by around the mean of four weeks, a standard deviation."""
        return float(np.sqrt(self.tau**2 + self.wander * _WEEKS * 7 / 6.0))


def effects(residual: Floats, answers: Floats, spread: Floats) -> Effects:
    """By moments over all scopes and days with enough answers: sums of residuals and answers [k, days], in order.

    `spread` [k] is the variance of one answer.
    """
    enough = answers >= _DAY_ENOUGH
    if not enough.any():
        return Effects(0.0, STAYS, 0.0)
    noise = spread[:, None] / np.maximum(answers, 1)
    effect = residual / np.maximum(answers, 1)
    weight = np.where(enough, 1.0 / (noise + 0.0004), 0.0)
    whole = max(float((weight**2 * (effect * effect - noise)).sum() / (weight**2).sum()), 0.0)
    weeks = _Weeks.of(residual, answers, spread)
    square, stays, wander = whole, _stays(effect, noise, weight, whole, 0.0), 0.0
    for _ in range(_ROUNDS):
        if weeks is None:
            break
        # Each is measured with the others in it.
        wander = min(weeks.wander(square, stays), _WANDERS_MOST * whole / (effect.shape[1] / 6.0))
        square = whole - wander * effect.shape[1] / 6.0
        stays = _stays(effect, noise, weight, square, wander)
    return Effects(float(np.sqrt(square)), stays, wander)


class _Weeks(NamedTuple):
    """How much farther apart the first and the last of four weeks lie than two that follow each other.

    Effects that pass make them differ alike; a level that wanders comes farther with each week.
    `apart` [k] is the difference of the squares without noise, `weight` [k] how much a scope tells.
    """

    apart: Floats
    weight: Floats

    @classmethod
    def of(cls, residual: Floats, answers: Floats, spread: Floats) -> _Weeks | None:
        """From the last four weeks of days; None without them."""
        if residual.shape[1] < _WEEKS * 7:
            return None
        shape = (len(residual), _WEEKS, 7)
        n = answers[:, -_WEEKS * 7 :].reshape(shape).sum(axis=2)
        known = (n >= _DAY_ENOUGH).all(axis=1)
        if int(known.sum()) < _SCOPES:
            return None
        n = np.maximum(n, 1.0)
        mean = residual[:, -_WEEKS * 7 :].reshape(shape).sum(axis=2) / n
        noise = spread[:, None] / n
        weight = np.where(known, 1.0 / (noise.mean(axis=1) + 0.0004), 0.0)
        # What all scopes do is no wandering of one: a drop of everything must not make its own alarm less likely.
        mean = mean - (weight[:, None] * mean).sum(axis=0) / weight.sum()
        next_to = (np.diff(mean, axis=1) ** 2 - noise[:, 1:] - noise[:, :-1]).mean(axis=1)
        far = (mean[:, -1] - mean[:, 0]) ** 2 - noise[:, -1] - noise[:, 0]
        return cls(far - next_to, weight**2)

    def wander(self, square: float, stays: float) -> float:
        """The variance that a level gains in a day, as far as it is more than chance, next to effects that pass."""
        total = float(self.weight.sum())
        mean = float((self.weight * self.apart).sum()) / total
        unsure = float(np.sqrt((self.weight**2 * (self.apart - mean) ** 2).sum())) / total
        # Weeks that follow each other share effects of the days where they meet.
        shared = square * stays * ((1.0 - stays**7) / (7.0 * (1.0 - stays))) ** 2
        return max(mean - _SURE * unsure - 2.0 * shared, 0.0) / ((_WEEKS - 2) * 7.0)


def _stays(effect: Floats, noise: Floats, weight: Floats, square: float, wander: float) -> float:
    """The share of a day's effect that is left a day later, from effects [k, days] with their noise."""
    pairs = weight[:, 1:] * weight[:, :-1]
    known = square / (square + noise)
    sure = float((known[:, 1:] * known[:, :-1] * (pairs > 0.0)).sum())
    if square <= 0.0 or sure <= 0.0:
        return STAYS
    days = effect.shape[1]
    product = float((pairs * effect[:, 1:] * effect[:, :-1]).sum() / pairs.sum())
    together = (product - wander * (days / 6.0 - 0.5)) / square
    found = STAYS
    for _ in range(5):
        # Around their own mean effects look smaller and less alike than they are.
        left = float(averaged(np.float64(days), found))
        found = min(max(together * (1.0 - left) + left, _STAYS_LEAST), _STAYS_MOST)
    return (sure * found + _PAIRS * STAYS) / (sure + _PAIRS)


def averaged(days: Floats | np.float64, stays: float) -> Floats:
    """Share of the variance of an effect that is left in its mean over so many days; `stays`: of it, a day later."""
    way = -np.log(stays) * np.asarray(days, dtype=np.float64)
    return np.asarray(2.0 * (way - 1.0 + np.exp(-way)) / way**2)


def levels(residual: Floats, answers: Floats, spread: Floats, found: Effects) -> tuple[Floats, Floats]:
    """Where each scope's level stands after the last day, against its mean, and the variance of that guess [k].

    The best linear one from days [k, days] under effects that pass and the noise of answers; 0 where none wanders.
    """
    days = residual.shape[1]
    if not found.wander:
        return np.zeros(len(residual)), np.zeros(len(residual))
    ago = days - 0.5 - np.arange(days)
    passing = found.tau**2 / (1.0 - float(averaged(np.float64(days), found.stays)))
    common = passing * found.stays ** np.abs(ago[:, None] - ago) + found.wander * np.minimum(ago[:, None], ago)
    # A day without answers says nothing.
    noise = spread[:, None] / np.maximum(answers, _NOTHING)
    one = np.ones((len(residual), days, 1))
    weight = np.linalg.solve(common + noise[:, :, None] * np.eye(days), one)[:, :, 0]
    known = weight.sum(axis=1)
    return (weight * residual / np.maximum(answers, 1.0)).sum(axis=1) / known, 1.0 / known
