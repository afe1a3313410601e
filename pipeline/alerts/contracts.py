"""Detectors that compare trailing sums: contract, change, silence, volume, burst (pure, numpy).

They keep no state of their own: what they see lies in the group's last day and its hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import lgamma
from typing import Any

import numpy as np

from pipeline.alerts.classes import Counts, Floats, net
from pipeline.alerts.rules import Rule
from pipeline.alerts.scopes import Group, expected
from pipeline.alerts.verdicts import (
    CALM,
    LEARNING,
    RAISED,
    UNDECIDED,
    Detail,
    Outcome,
    against,
    estimate,
    silent,
)
from pipeline.scores.intervals import Net, Sample, adjusted_wald, difference, net_score, net_variance

#: Looks in 30 days: each window, and each whole hour.
_WINDOWS_MONTH, _HOURS_MONTH = 8_640.0, 720.0
_DAY_S = 86_400
#: Posts in public below which nothing is a burst, whatever their reach: one account alone is no trend.
_FEWEST = 2


def _net(counts: Counts) -> Net:
    return Net(*(column.astype(np.float64) for column in (counts[:, 0], counts[:, 2], counts.sum(axis=1))))


def poisson_tail(seen: Floats, usual: Floats, *, above: bool) -> Floats:
    """P(N >= seen) or P(N <= seen) of a Poisson number, by summing its terms in logarithms."""
    return np.array([_tail(int(k), float(m), above) for k, m in zip(seen, usual, strict=True)])


def _tail(seen: int, mean: float, above: bool) -> float:
    if mean <= 0.0:
        return 1.0 if not above or seen <= 0 else 0.0
    if above and seen <= 0:
        return 1.0
    # Beyond twelve standard deviations the terms are below any chance that matters.
    width = int(12 * np.sqrt(mean)) + 40
    terms = np.arange(seen, max(seen, int(mean)) + width) if above else np.arange(max(0, seen - width), seen + 1)
    logs = terms * np.log(mean) - mean - np.array([lgamma(k + 1.0) for k in terms])
    return float(min(np.exp(np.logaddexp.reduce(logs)), 1.0))


@dataclass(slots=True)
class SumWatcher:
    """A detector that is a function of the group alone; `judge` gives outcome and details."""

    rule: Rule
    judge: Callable[[SumWatcher, Group, int], tuple[Outcome, Callable[[int], Detail]]]
    false_alarms: float = 0.1
    _detail: Callable[[int], Detail] = field(default=lambda at: Detail())
    _last: Outcome | None = None

    def relearned(self, group: Group, false_alarms: float) -> None:
        """See Watcher."""
        self.false_alarms = false_alarms

    def step(self, group: Group, counts: Counts, end: int) -> Outcome:
        """See Watcher."""
        if self.rule.detector == "change" and end % 3_600 and self._last is not None:
            count = len(group) - len(self._last.codes)
            pads = (np.full(count, LEARNING), np.zeros(count), np.ones(count))
            return Outcome(*(np.concatenate([old, new]) for old, new in zip(self._last, pads, strict=True)))
        self._last, self._detail = self.judge(self, group, end)
        return self._last

    def detail(self, at: int) -> Detail:
        """See Watcher."""
        return self._detail(at)

    def dump(self) -> dict[str, Any]:
        """See Watcher: the last outcome of a detector that looks once an hour."""
        return {} if self._last is None else dict(zip(Outcome._fields, self._last, strict=True))

    def load(self, kept: dict[str, Any]) -> None:
        """See Watcher."""
        self._last = Outcome(**kept) if kept else None


def below(watcher: SumWatcher, group: Group, end: int) -> tuple[Outcome, Callable[[int], Detail]]:
    """Contract: raised when the whole interval lies below what was promised; calm when the score is not below it."""
    p = watcher.rule.parameters
    contract = p["contract"] / 100.0
    counts = group.lately(end, int(p["window_minutes"] * 60))
    n = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num(net_score(_net(counts)), nan=1.0)
        high = adjusted_wald(_net(counts)).high
    codes = np.where(score >= contract, CALM, np.where(high < contract, RAISED, UNDECIDED))
    codes = np.where(n >= p["min_n"], codes, np.where(n > 0, UNDECIDED, CALM)).astype(np.int8)
    outcome = Outcome(codes, contract - high, np.zeros(len(group)))

    def detail(at: int) -> Detail:
        found = estimate(counts[at])
        return Detail(end - int(p["window_minutes"] * 60), contract, found, against(found, contract))

    return outcome, detail


def change(watcher: SumWatcher, group: Group, end: int) -> tuple[Outcome, Callable[[int], Detail]]:
    """Change against the same length of time a period ago: the smallest fall that matters, and significant."""
    p = watcher.rule.parameters
    span, back = int(p["window_hours"] * 3_600), int(p["period_hours"] * 3_600)
    end = end // 3_600 * 3_600
    now, before = group.between(end - span, end), group.between(end - span - back, end - back)
    enough = (now.sum(axis=1) >= p["min_n"]) & (before.sum(axis=1) >= p["min_n"])
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = [Sample(net_score(_net(c)), net_variance(_net(c)), _net(c).n) for c in (before, now)]
        found = difference(*samples)
    alpha = min(p["alpha"], watcher.false_alarms / _HOURS_MONTH)
    fall = np.nan_to_num(-found.difference)
    raised = enough & (np.nan_to_num(found.p_drop, nan=1.0) < alpha) & (fall >= p["min_points"] / 100.0)
    calm = fall < p["min_points"] / 200.0
    codes = np.where(raised, RAISED, np.where(calm | ~enough, CALM, UNDECIDED)).astype(np.int8)
    outcome = Outcome(codes, np.nan_to_num(-found.z), np.full(len(group), float(_z(alpha))))

    def detail(at: int) -> Detail:
        score, baseline = estimate(now[at]), float(net(before[at]))
        return Detail(end - span, baseline, score, against(score, baseline))

    return outcome, detail


def _z(alpha: float) -> float:
    """The one-sided quantile, by bisection of erfc."""
    from math import erfc

    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if erfc(middle / 2**0.5) / 2.0 > alpha else (low, middle)
    return low


def silence(watcher: SumWatcher, group: Group, end: int) -> tuple[Outcome, Callable[[int], Detail]]:
    """No answers for longer than the scope's own gap allows: raised until there is one."""
    p = watcher.rule.parameters
    still = silent(group, end, p["gaps"], p["least_minutes"] * 60.0)
    known = group.baseline.known
    codes = np.where(still & known, RAISED, np.where(known, CALM, LEARNING)).astype(np.int8)
    with np.errstate(divide="ignore"):
        gap = p["gaps"] * 30 * 86_400.0 / np.maximum(group.baseline.answers, 1e-9)
    limit = np.maximum(p["least_minutes"] * 60.0, gap)
    waited = np.where(group.seen > 0, end - group.seen, 0).astype(np.float64)
    return Outcome(codes, waited, limit), lambda at: Detail(int(group.seen[at]))


def volume(watcher: SumWatcher, group: Group, end: int) -> tuple[Outcome, Callable[[int], Detail]]:
    """Fewer answers than a share of the usual number for these hours, and by no chance."""
    p = watcher.rule.parameters
    span = int(p["window_minutes"] * 60)
    seen = group.lately(end, span).sum(axis=1).astype(np.float64)
    usual = expected(group, end, span).sum(axis=1)
    alpha = min(p["alpha"], watcher.false_alarms / _WINDOWS_MONTH)
    known = group.baseline.known & group.covers(end, span)
    low = known & (seen < p["share"] * usual)
    chance = np.ones(len(group))
    chance[low] = poisson_tail(seen[low], p["share"] * usual[low], above=False)
    calm = seen >= p["share"] * usual
    codes = np.where(low & (chance < alpha), RAISED, np.where(calm, CALM, UNDECIDED))
    codes = np.where(known, codes, LEARNING).astype(np.int8)
    return Outcome(codes, seen, p["share"] * usual), lambda at: Detail(end - span)


def burst(watcher: SumWatcher, group: Group, end: int) -> tuple[Outcome, Callable[[int], Detail]]:
    """Many more negative answers in public than usual for these hours, weighed by their reach, and by no chance."""
    p = watcher.rule.parameters
    span = int(p["window_minutes"] * 60)
    public = np.array([dict(scope).get("channel") in p["channels"] for scope in group.scopes], dtype=np.bool_)
    posts, day = (group.lately(end, seconds)[:, 0].astype(np.float64) for seconds in (span, _DAY_S))
    louder, day_louder = (group.louder(end, seconds) for seconds in (span, _DAY_S))
    seen = posts + louder[:, 0]
    # How loud a post of this scope is on other hours of the day; a scope that knows none takes it for a quiet one.
    usually = 1.0 + (day_louder[:, 0] - louder[:, 0]) / (day - posts + 1.0)
    # One more than usual: without history ten at once are a burst, and one is none.
    usual = p["times"] * (expected(group, end, span)[:, 0] + 1.0) * usually
    high = public & (posts >= _FEWEST) & (seen >= p["min_n"]) & (seen > usual)
    # Few loud posts say less of chance than as many quiet ones as they weigh: a Poisson number of steps of that size.
    step = (posts[high] + louder[high, 1]) / seen[high]
    chance = np.ones(len(group))
    chance[high] = poisson_tail(seen[high] / step, usual[high] / step, above=True)
    alpha = min(p["alpha"], watcher.false_alarms / _WINDOWS_MONTH)
    codes = np.where(high & (chance < alpha), RAISED, np.where(seen <= usual, CALM, UNDECIDED)).astype(np.int8)
    return Outcome(codes, seen, usual), lambda at: Detail(end - span)


#: The detectors of this file by their name in a rule.
JUDGES = {"below": below, "change": change, "silence": silence, "volume": volume, "burst": burst}
