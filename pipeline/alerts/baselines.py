"""What is normal: shares of three classes by hour of the week, learned from hourly counts (pure, numpy).

Segment mean + pooled profile (hour of day, day of week, hour of week) times the segment's slope + its own deviation;
the daily cycle in it as strong as it is by now, and a mean that wanders where it stands by now.
Every part is shrunk by what its counts can bear: the spread beyond sampling noise is estimated by moments, so a profile
that is noise comes out as none. The hours that are given are all that is used: the caller leaves out what is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts.classes import Counts, Floats, net, variance
from pipeline.alerts.detectors import FLOOR
from pipeline.alerts.effects import STAYS, Effects, effects, levels
from pipeline.alerts.strength import strength

#: Hours of a week; hour 0 is Monday 00:00 UTC.
WEEK = 168
#: History that makes a baseline: four of each hour of the week.
DAYS = 28
#: 1 January 1970 was a Thursday.
_EPOCH_HOUR = 3 * 24
#: Answers of a scope before anything is said of it.
ENOUGH = 1_000
#: One-sided 95 %: while it learns, a scope's own mean may be off by this many standard errors.
_UNSURE = 1.645
_MONTH_HOURS = 720.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal for k scopes: `shares` [k, 168, 3]; `answers` a 30 days [k]; `learned` answers it rests on [k].

    `days` [k] is the span of the history; `effects` what days differ by without harm. `cycle` [168, 2] is what the
    negative and the positive share of all scopes do within a day, as strong as it is by now, `slope` [k] how strongly
    each scope follows it; `level` [k] the variance of where a level that wanders was found, 0 where the mean is taken.
    """

    shares: Floats
    answers: Floats
    learned: Counts
    days: Floats
    slope: Floats
    level: Floats
    cycle: Floats
    effects: Effects

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
        zeros, shares = np.zeros(scopes), np.full((scopes, WEEK, 3), 1.0 / 3.0)
        none = np.zeros(scopes, dtype=np.int64)
        return cls(shares, zeros, none, zeros, zeros, zeros, np.zeros((WEEK, 2)), Effects(0.0, STAYS, 0.0))

    def in_cycle(self, cycle: Floats) -> Floats:
        """The shares [k, 168, 3] if the daily cycle of all scopes were this one [168, 2]."""
        moved = self.shares[:, :, (0, 2)] + self.slope[:, None, None] * (cycle - self.cycle)
        return whole(moved[:, :, 0], moved[:, :, 1])

    def beneath(self, hours: Counts | int, stronger: float) -> Floats:
        """The shares [k, 3] of an hour of the week, one for all or one for each scope, with a cycle so much stronger.

        Only where it makes them worse: nobody is held to more than what is usual.
        """
        at = of_hours(hours, len(self.slope))
        usual, more = self.shares[at], stronger * self.slope[:, None] * self.cycle[hours]
        moved = usual[:, (0, 2)] + more
        worse = more[:, 1:] < more[:, :1]
        return np.where(worse, whole(moved[:, 0], moved[:, 1]), usual)


def of_hours(hours: Counts | int, scopes: int) -> tuple[slice | Counts, Counts | int]:
    """What to ask an array [k, 168, ...] by for an hour of the week, one for all or one for each scope."""
    return (slice(None), hours) if isinstance(hours, int) else (np.arange(scopes), hours)


def hour_of_week(second: int) -> int:
    """0..167 of a Unix second, UTC, from Monday on."""
    return (second // 3600 + _EPOCH_HOUR) % WEEK


def learn(hours: Counts, start: int, newest: Counts | None = None, times: float = 1.0) -> Baseline:
    """The baseline of [k, h, 3] counts of h consecutive hours from Unix second `start` on.

    `newest` [k] is each scope's newest hour, where hours have taken the place of those that many weeks before. `times`
    is in how many scopes an answer is counted on the whole: what is pooled over them is that much less sure.
    """
    if not hours.shape[0] or not hours.shape[1]:
        return Baseline.empty(hours.shape[0])
    of_week = (start // 3600 + _EPOCH_HOUR + np.arange(hours.shape[1])) % WEEK
    cells = np.zeros((hours.shape[0], WEEK, 3))
    for hour in range(WEEK):
        cells[:, hour] = hours[:, of_week == hour].sum(axis=1)
    shares, slope, cycle = _shares(cells, times)
    filled = hours.sum(axis=2) > 0
    learned = hours.sum(axis=(1, 2))
    span = np.where(filled.any(axis=1), hours.shape[1] - filled.argmax(axis=1), 0)
    answers = learned / np.maximum(span, 1) * _MONTH_HOURS
    # A scope that began within the first day of the span has the whole of it behind it.
    days = np.ceil(span / 24.0)
    past = _Past.of(hours, shares, slope[:, None] * (cycle[:, 1] - cycle[:, 0]), of_week, newest)
    by_day = past.residual.sum(axis=2), past.n.sum(axis=2), past.spread
    found = effects(*by_day)
    off, level = levels(*by_day, found)
    fitted = Baseline(shares, answers, learned.astype(np.int64), days, slope, level, cycle, found)
    by_now = strength(*past, times) * cycle
    moved = fitted.in_cycle(by_now)
    return replace(
        fitted,
        shares=whole(moved[:, :, 0] - off[:, None] / 2.0, moved[:, :, 2] + off[:, None] / 2.0),
        # While a scope is learning it follows nothing: a cycle is not told yet from a drop of one day.
        slope=np.where(fitted.learning, 0.0, slope),
        cycle=by_now,
    )


class _Past(NamedTuple):
    """Whole days of k scopes in order, [k, days, 24], the last ones there are; `spread` [k]: variance of an answer."""

    residual: Floats
    n: Floats
    cycle: Floats
    spread: Floats

    @classmethod
    def of(cls, hours: Counts, shares: Floats, cycle: Floats, of_week: Counts, newest: Counts | None) -> _Past:
        """From counts [k, h, 3], what was learned of them by hour of the week, and each scope's newest hour."""
        count = hours.shape[1]
        n = hours.sum(axis=2).astype(np.float64)
        residual = (hours[:, :, 2] - hours[:, :, 0]) - n * net(shares)[:, of_week]
        cycle = cycle[:, of_week]
        if newest is not None:
            order = (newest[:, None] + 1 + np.arange(count)) % count
            residual, n, cycle = (np.take_along_axis(each, order, axis=1) for each in (residual, n, cycle))
        days = (len(hours), -1, 24)
        residual, n, cycle = (each[:, count % 24 :].reshape(days) for each in (residual, n, cycle))
        return cls(residual, n, cycle, variance(shares.mean(axis=1)))


def whole(negative: Floats, positive: Floats) -> Floats:
    """Shares of three classes [..., 3] from those of two, floored."""
    negative, positive = (np.clip(each, FLOOR, 1.0 - FLOOR) for each in (negative, positive))
    outer = np.maximum(negative + positive, 1.0)
    negative, positive = negative / outer, positive / outer
    return np.stack([negative, np.maximum(1.0 - negative - positive, 0.0), positive], axis=-1)


def _shares(cells: Floats, times: float) -> tuple[Floats, Floats, Floats]:
    """Shares by hour of the week [k, 168, 3] from counts; how strongly each scope follows the cycle, and the cycle."""
    n = cells.sum(axis=2)
    total = n.sum(axis=1)
    pooled = cells.sum(axis=(0, 1)) / max(float(n.sum()), 1.0) if n.sum() else np.full(3, 1.0 / 3.0)
    # One answer of the pooled shares keeps an empty scope finite and moves no other.
    mean = (cells.sum(axis=1) + pooled) / (total + 1.0)[:, None]
    spread = np.maximum(variance(mean), 0.01)
    noise = np.maximum(mean * (1.0 - mean), 0.01)  # variance of one answer in each class
    profiles = np.stack([_profile(cells[:, :, c] - n * mean[:, None, c], n, times * noise[:, c]) for c in (0, 2)])
    slope = _slope(net(np.maximum(cells, 0.0)) - net(mean)[:, None], n, profiles[1] - profiles[0], spread)
    outer = []
    for profile, c in zip(profiles, (0, 2), strict=True):
        fitted = mean[:, None, c] + slope[:, None] * profile
        outer.append(fitted + _own(cells[:, :, c] - n * fitted, n, noise[:, c]))
    return whole(*outer), slope, np.stack([_within_days(each, n.sum(axis=0)) for each in profiles], axis=-1)


def _within_days(profile: Floats, n: Floats) -> Floats:
    """What of a profile [168] lies within its days: without what makes one day of the week better than another."""
    by_day, answers = profile.reshape(7, 24), n.reshape(7, 24)
    mean = (by_day * answers).sum(axis=1) / np.maximum(answers.sum(axis=1), 1.0)
    return np.asarray((by_day - mean[:, None]).reshape(WEEK))


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
    # Against a profile that was drawn to 0 all of them look too steep: that is no scope's own.
    own = np.where(sure, own - float((informed[sure] * own[sure]).sum() / informed[sure].sum()), 0.0)
    weight = 1.0 / (noise[sure] + noise[sure].mean())
    true = max(float((weight * (own[sure] ** 2 - noise[sure])).sum() / weight.sum()), 0.0)
    factor = np.where(sure, true / (true + np.where(sure, noise, 1.0)), 0.0)
    return np.asarray(1.0 + factor * own)


def _own(deviations: Floats, n: Floats, spread: Floats) -> Floats:
    """A scope's own deviation [k, 168] from the fitted: by hour of the day, then by hour of the week."""
    days = (len(n), 7, 24)
    by_hour = shrunk(deviations.reshape(days).sum(axis=1), n.reshape(days).sum(axis=1), spread[:, None])
    fitted = np.tile(by_hour, (1, 7))
    return np.asarray(fitted + shrunk(deviations - n * fitted, n, spread[:, None]))


def grown(values: Any, count: int, fill: Any = 0) -> Any:
    """An array with its first axis as long as `count`; new rows hold `fill`."""
    missing = count - len(values)
    if missing <= 0:
        return values
    return np.concatenate([values, np.full((missing, *values.shape[1:]), fill, dtype=values.dtype)])


def chosen(held: Bools, old: Baseline, new: Baseline, common: Baseline | None = None) -> Baseline:
    """`old` where held, else `new`; the two may differ in length, the result is as long as `new`.

    What all scopes share, effects of days and the daily cycle, is that of `new`, or of `common`.
    """
    count = len(new.answers)

    def mixed(before: Any, after: Any) -> Any:
        padded = grown(before, count)
        mask = held.reshape(-1, *([1] * (after.ndim - 1)))
        return np.where(mask, padded, after)

    shared = common or new
    return Baseline(
        mixed(old.in_cycle(shared.cycle), new.shares),
        mixed(old.answers, new.answers),
        mixed(old.learned, new.learned),
        mixed(old.days, new.days),
        mixed(old.slope, new.slope),
        mixed(old.level, new.level),
        shared.cycle,
        shared.effects,
    )
