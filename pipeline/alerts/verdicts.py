"""What each detector says of every scope of a group after one window: codes, statistics, thresholds (pure, numpy).

A watcher holds the state of one rule over one group. `step` judges one window, `detail` tells more of one scope.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts.baselines import Bools, grown
from pipeline.alerts.classes import Counts, Floats, net, variance
from pipeline.alerts.detectors import RESOLVED_AT, Cusum, e_fresh, e_statistic
from pipeline.alerts.dropping import Drops, Guarantee
from pipeline.alerts.finding import Estimate, Verdict
from pipeline.alerts.rules import Rule
from pipeline.alerts.scopes import Group
from pipeline.scores.intervals import Net, adjusted_wald

#: Codes of the verdicts in arrays, in this order.
CODES: tuple[Verdict, ...] = (
    Verdict.LEARNING,
    Verdict.CALM,
    Verdict.UNDECIDED,
    Verdict.RAISED,
    Verdict.NO_DATA,
)
LEARNING, CALM, UNDECIDED, RAISED, NO_DATA = (np.int8(code) for code in range(5))
#: A scope is silent after ten of its own mean gaps, and never before six hours.
_GAPS, _LEAST_S = 10.0, 6 * 3_600
_MONTH_S = 30 * 86_400.0

Codes = NDArray[np.int8]


class Outcome(NamedTuple):
    """Of each scope [k]: the verdict's code, the statistic and its threshold."""

    codes: Codes
    statistic: Floats
    limit: Floats


@dataclass(frozen=True, slots=True)
class Detail:
    """More of one scope that was raised; estimates in fractions."""

    began: int | None = None
    baseline: float | None = None
    score: Estimate | None = None
    size: Estimate | None = None


class Watcher(Protocol):
    """One rule over one group."""

    def relearned(self, group: Group, false_alarms: float) -> None:
        """There is another baseline, or another share of the budget for each scope and 30 days."""

    def step(self, group: Group, counts: Counts, end: int) -> Outcome:
        """Judges the window that ended at `end`; `group` has taken it in."""

    def detail(self, at: int) -> Detail:
        """What it knows of scope number `at` after the last step."""

    def dump(self) -> dict[str, Any]:
        """The state as arrays."""

    def load(self, kept: dict[str, Any]) -> None:
        """Takes the state up."""


def by_level(level: Floats, known: Bools) -> Codes:
    """Codes of statistics as a share of their threshold: raised from 1 on, calm to a half."""
    codes = np.where(level >= 1.0, RAISED, np.where(level <= RESOLVED_AT, CALM, UNDECIDED))
    return np.asarray(np.where(known, codes, LEARNING), dtype=np.int8)


def silent(group: Group, end: int, gaps: float = _GAPS, least_s: float = _LEAST_S) -> Bools:
    """Scopes without an answer for longer than their own gap allows; a scope that never had one is not silent."""
    with np.errstate(divide="ignore"):
        gap = np.where(group.baseline.answers > 0, _MONTH_S / np.maximum(group.baseline.answers, 1e-9), np.inf)
    return np.asarray((group.seen > 0) & (end - group.seen > np.maximum(least_s, gaps * gap)))


def estimate(counts: Counts) -> Estimate:
    """Net score of [3] counts with its 95 % interval (adjusted Wald), fractions."""
    n = int(counts.sum())
    low, high = adjusted_wald(Net(*(np.array([float(v)]) for v in (counts[0], counts[2], n))))
    return Estimate(float(net(counts)) if n else 0.0, max(float(low[0]), -1.0), min(float(high[0]), 1.0), n)


def against(score: Estimate, baseline: float) -> Estimate:
    """The score as a change from the baseline."""
    return Estimate(score.value - baseline, score.low - baseline, score.high - baseline, score.n)


@dataclass(slots=True)
class DropWatcher:
    """CUSUMs of two sizes."""

    rule: Rule
    state: Cusum = field(default_factory=lambda: Cusum.fresh(0, 2))
    drops: Drops | None = None

    def relearned(self, group: Group, false_alarms: float) -> None:
        """See Watcher."""
        band = self.rule.parameters["dead_band"] / 100.0
        sizes = tuple(self.rule.parameters[name] / 100.0 - band for name in ("small", "large"))
        self.drops = Drops(group.baseline, false_alarms, sizes, band)

    def step(self, group: Group, counts: Counts, end: int) -> Outcome:
        """See Watcher."""
        assert self.drops is not None
        state, count = self.state, len(group)
        state.statistic, state.expected = grown(state.statistic, count), grown(state.expected, count)
        state.began, state.since = grown(state.began, count, end - 300), grown(state.since, count)
        known = group.baseline.known
        self.drops.step(state, np.where(known[:, None], counts, 0), end, group.stronger(end))
        level = state.level(self.drops.limit)
        lead = state.leading(self.drops.limit)[:, None]
        codes = by_level(level, known)
        codes[(codes >= UNDECIDED) & silent(group, end)] = NO_DATA
        statistic, limit = (np.take_along_axis(v, lead, 1)[:, 0] for v in (state.statistic, self.drops.limit))
        return Outcome(codes, statistic, limit)

    def detail(self, at: int) -> Detail:
        """See Watcher. Told by the largest size that is well on its way: it forgot harmless days soonest."""
        assert self.drops is not None
        level = self.state.statistic[at] / self.drops.limit[at]
        far = np.flatnonzero(level > RESOLVED_AT)
        lead = int(far[-1]) if len(far) else int(level.argmax())
        counts = self.state.since[at, lead]
        score = estimate(counts)
        if not score.n:
            return Detail(int(self.state.began[at, lead]))
        baseline = float(self.state.expected[at, lead]) / score.n
        return Detail(int(self.state.began[at, lead]), baseline, score, against(score, baseline))

    def dump(self) -> dict[str, Any]:
        """See Watcher."""
        s = self.state
        return {"statistic": s.statistic, "began": s.began, "since": s.since, "expected": s.expected}

    def load(self, kept: dict[str, Any]) -> None:
        """See Watcher."""
        self.state = Cusum(kept["statistic"], kept["began"], kept["since"], kept["expected"])


@dataclass(slots=True)
class GuaranteeWatcher:
    """The e-detector."""

    rule: Rule
    logs: Floats = field(default_factory=lambda: e_fresh(0))
    began: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    since: Counts = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    expected: Floats = field(default_factory=lambda: np.zeros(0))
    guarantee: Guarantee | None = None

    def relearned(self, group: Group, false_alarms: float) -> None:
        """See Watcher."""
        self.guarantee = Guarantee(group.baseline, false_alarms, self.rule.parameters["dead_band"] / 100.0)

    def step(self, group: Group, counts: Counts, end: int) -> Outcome:
        """See Watcher. The estimated start is the last window at which a drop was no likelier than none."""
        assert self.guarantee is not None
        count = len(group)
        self.logs, self.began = grown(self.logs, count, -np.inf), grown(self.began, count, end - 300)
        self.since, self.expected = grown(self.since, count), grown(self.expected, count)
        known = group.baseline.known
        counted = np.where(known[:, None], counts, 0)
        self.logs = self.guarantee.step(self.logs, counted, end)
        statistic = e_statistic(self.logs)
        hour = (end - 1) // 3600 + 72
        self.since += counted
        self.expected += counted.sum(axis=1) * net(group.baseline.shares[:, hour % 168])
        # With M = 1 the wealth is what one step alone would give: nothing speaks for a drop.
        low = statistic <= np.log(2.0)
        self.began[low], self.since[low], self.expected[low] = end, 0, 0.0
        codes = by_level(np.maximum(statistic, 0.0) / self.guarantee.limit, known)
        codes[(codes >= UNDECIDED) & silent(group, end)] = NO_DATA
        return Outcome(codes, np.maximum(statistic, 0.0), self.guarantee.limit)

    def detail(self, at: int) -> Detail:
        """See Watcher."""
        score = estimate(self.since[at])
        if not score.n:
            return Detail(int(self.began[at]))
        baseline = float(self.expected[at]) / score.n
        return Detail(int(self.began[at]), baseline, score, against(score, baseline))

    def dump(self) -> dict[str, Any]:
        """See Watcher."""
        return {"logs": self.logs, "began": self.began, "since": self.since, "expected": self.expected}

    def load(self, kept: dict[str, Any]) -> None:
        """See Watcher."""
        self.logs, self.began = kept["logs"], kept["began"]
        self.since, self.expected = kept["since"], kept["expected"]


def crossing_shows(group: Group, limit: Floats, band: Floats, least: float) -> Bools:
    """Scopes whose answers of a day can show a drop of `least` (a fraction)."""
    baseline = group.baseline
    with np.errstate(divide="ignore"):
        smallest = np.sqrt(2.0 * variance(baseline.mean) * limit / (baseline.answers / 30.0)) + band
    return np.asarray(smallest <= least)
