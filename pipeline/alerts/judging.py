"""All rules over all scopes, one closed window after the other (pure): the same object live and in a backtest.

Who drives it asks `due` before each window and hands in hourly counts when it is time to learn, then calls `step` with
the window's counts. Everything that decides anything is a function of those, so a replay gives the same findings to
the last bit. Windows come in order; a revision of a window that was judged never comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.alerts.baselines import DAYS, Bools, grown
from pipeline.alerts.classes import METRICS
from pipeline.alerts.contracts import JUDGES, SumWatcher
from pipeline.alerts.finding import Finding
from pipeline.alerts.rules import Rule, Rules, crossing
from pipeline.alerts.scopes import HOURS, WINDOW_S, Group, Level, columns_of
from pipeline.alerts.verdicts import (
    CALM,
    CODES,
    RAISED,
    UNDECIDED,
    Codes,
    DropWatcher,
    GuaranteeWatcher,
    Outcome,
    Watcher,
    crossing_shows,
)

_HOUR_S, _DAY_S = 3_600, 86_400
#: A crossing is watched where a day's answers can show a drop of 20 points.
_CROSSING_SHOWS = 0.20
#: While there is less history than this, it is learned every hour (or where other metrics have more: each time that
#: the answers have doubled), then every midnight.
_COLD_DAYS = 2.0
#: Detectors that take part in the budget of false alarms.
_BUDGETED = ("drop", "guarantee", "change", "volume", "burst")

Key = tuple[str, str]


@dataclass(slots=True)
class Watched:
    """One rule over one group: its detector, who it watches [k], what it said last [k], which alarms are open [k]."""

    rule: Rule
    group: Group
    watcher: Watcher
    sized: int = -1
    mask: Bools = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    last: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    open: Bools = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    @property
    def name(self) -> str:
        """The same for the same rule over the same answers, another one when anything that decides changes."""
        return f"{self.rule.digest}|{self.group.metric}|{self.group.scale}"

    def members(self) -> Bools:
        """Scopes of the rule's levels."""
        return np.array([level in self.rule.levels for level in self.group.level_of], dtype=np.bool_)

    def look_at(self, false_alarms: float) -> None:
        """Takes the group's baseline and its share of the budget."""
        self.watcher.relearned(self.group, false_alarms)
        self.sized = len(self.group)
        self.mask = self.members()
        bands, limit = self._bands()
        if bands is not None and limit is not None:
            across = np.array([crossing(level) for level in self.group.level_of], dtype=np.bool_)
            self.mask &= ~across | crossing_shows(self.group, limit, bands, _CROSSING_SHOWS)

    def _bands(self) -> tuple[Any, Any]:
        if isinstance(self.watcher, DropWatcher) and self.watcher.drops is not None:
            return self.watcher.drops.bands, self.watcher.drops.limit.min(axis=1)
        if isinstance(self.watcher, GuaranteeWatcher) and self.watcher.guarantee is not None:
            return self.watcher.guarantee.bands, self.watcher.guarantee.limit
        return None, None

    def detectable(self) -> Any:
        """The smallest drop that a day of each scope can show [k], None for detectors that have none."""
        drops = self.watcher.drops if isinstance(self.watcher, DropWatcher) else None
        return None if drops is None else drops.detectable()


class Judge:
    """The rules at work."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.groups: dict[Key, Group] = {}
        self.watched: list[Watched] = []
        self.learned_at = 0
        self.false_alarms = rules.budget

    @property
    def levels(self) -> tuple[Level, ...]:
        """Every level that any rule watches: what hourly counts are needed of."""
        return tuple(dict.fromkeys(level for rule in self._scored() for level in rule.levels))

    @property
    def dims(self) -> tuple[str, ...]:
        """The columns that counts of windows must have beside metric, scale and bins."""
        return columns_of(self.levels)

    @property
    def weighs(self) -> bool:
        """Whether any rule weighs answers by their reach: windows must have it then."""
        return any(rule.detector == "burst" for rule in self._scored())

    @property
    def cells(self) -> int:
        """Rules times scopes that share the budget."""
        return sum(int(each.mask.sum()) for each in self.watched if each.rule.detector in _BUDGETED)

    def due(self, end: int) -> int | None:
        """The Unix second up to which is to be learned before the window that ends at `end` is judged, else None."""
        start = end - WINDOW_S
        hour, day = start // _HOUR_S * _HOUR_S, start // _DAY_S * _DAY_S
        if not self.learned_at:
            return hour
        if day > self.learned_at:
            return day
        cold = [group for group in self.groups.values() if group.baseline.days.max(initial=0.0) < _COLD_DAYS]
        if hour <= self.learned_at or (self.groups and not cold):
            return None
        # A metric or scale that is new where much is known: not every hour for its sake, but when it has doubled.
        new = len(cold) < len(self.groups)
        return None if new and not any(group.doubled() for group in cold) else hour

    def learn(self, by_level: Mapping[Level, pl.DataFrame], until: int) -> None:
        """Takes hourly counts of the HOURS hours before `until`; alarms that are open keep the baseline they have.

        Between two midnights only scopes that had no baseline get one: what is being tested stays out.
        """
        only_new = bool(self.learned_at) and until // _DAY_S == self.learned_at // _DAY_S
        self._meet(by_level.values())
        for group in self.groups.values():
            group.learned(by_level, until - HOURS * _HOUR_S, self._held(group, until), only_new)
        self.learned_at = until
        self._share_budget()

    def fill(self, rows: pl.DataFrame, end: int) -> None:
        """Takes a window in that was judged before a restart: for the sums of the last day."""
        parts = self._parts(rows)
        for key, group in self.groups.items():
            group.window(parts.get(key, rows.clear()), end)

    def step(self, rows: pl.DataFrame, end: int, revision: int = 0) -> list[Finding]:
        """Judges one closed window; `rows` are its counts: metric, scale, dimensions, bins. In a fixed order."""
        parts = self._parts(rows)
        counts = {key: group.window(parts.get(key, rows.clear()), end) for key, group in self.groups.items()}
        if any(each.sized != len(each.group) for each in self.watched):
            self._share_budget()
        findings: list[Finding] = []
        for each in self.watched:
            outcome = each.watcher.step(each.group, counts[each.group.metric, each.group.scale], end)
            findings += self._said(each, outcome, end, revision)
        return findings

    def dump(self) -> dict[str, Any]:
        """The state after a window, for a table."""
        return {
            "scopes": {
                "|".join(key): {
                    "scopes": [[list(pair) for pair in scope] for scope in group.scopes],
                    "levels": [list(level) for level in group.level_of],
                    "seen": group.seen,
                }
                for key, group in self.groups.items()
            },
            "watched": {
                each.name: {"watcher": each.watcher.dump(), "last": each.last, "open": each.open}
                for each in self.watched
            },
        }

    def load(self, kept: Mapping[str, Any]) -> None:
        """Takes up what `dump` gave; the state of rules that are no more, or are others now, is left out."""
        for name, of_group in kept["scopes"].items():
            metric, _, scale = name.partition("|")
            group = self._group((metric, scale))
            if group is None:
                continue
            for scope, level in zip(of_group["scopes"], of_group["levels"], strict=True):
                group.find(tuple((name, value) for name, value in scope), tuple(level))
            group.seen = np.maximum(of_group["seen"], grown(group.seen, len(of_group["seen"]))).astype(np.int64)
        for each in self.watched:
            if (state := kept["watched"].get(each.name)) is not None:
                each.watcher.load(state["watcher"])
                each.last, each.open = state["last"], state["open"]

    def dump_learned(self) -> dict[str, Any]:
        """What was learned, for a table."""
        return {"at": self.learned_at, "groups": [group.dump() for group in self.groups.values()]}

    def load_learned(self, kept: Mapping[str, Any]) -> None:
        """Takes up what `dump_learned` gave. Call it before `load`, on a fresh judge."""
        self.learned_at = int(kept["at"])
        for of_group in kept["groups"]:
            group = self._group((of_group["metric"], of_group["scale"]))
            if group is not None:
                group.load(of_group)
        self._share_budget()

    def _scored(self) -> list[Rule]:
        return [rule for rule in self.rules.rules if rule.metric in METRICS and rule.detector != "event"]

    def _parts(self, rows: pl.DataFrame) -> dict[Key, pl.DataFrame]:
        """Rows by metric and scale; groups that are new are met."""
        if rows.is_empty():
            return {}
        found = {
            (str(key[0]), str(key[1])): part for key, part in rows.partition_by("metric", "scale", as_dict=True).items()
        }
        for key in sorted(found):
            self._group(key)
        return found

    def _meet(self, frames: Iterable[pl.DataFrame]) -> None:
        """Groups of metrics and scales that are new."""
        for rows in frames:
            if rows.height:
                for metric, scale in rows.select("metric", "scale").unique().sort("metric", "scale").iter_rows():
                    self._group((metric, scale))

    def _group(self, key: Key) -> Group | None:
        if key in self.groups:
            return self.groups[key]
        rules = [rule for rule in self._scored() if rule.metric == key[0] and rule.scale in ("", key[1])]
        if not rules:
            return None
        group = Group(*key, tuple(dict.fromkeys(level for rule in rules for level in rule.levels)))
        self.groups[key] = group
        for rule in rules:
            self.watched.append(Watched(rule, group, _watcher(rule)))
        # One order, however the groups came to be: live and in a replay findings stand alike.
        self.groups = dict(sorted(self.groups.items()))
        self.watched.sort(key=lambda each: (each.rule.id, each.group.metric, each.group.scale))
        return group

    def _share_budget(self) -> None:
        """Divides the false alarms over what is watched and known; a crossing without the volume takes no part."""
        # From the whole budget down, always alike: a judge that resumed must come to the same shares.
        self.false_alarms = self.rules.budget
        for _ in range(2):  # the second time with the crossings that the first share leaves
            for each in self.watched:
                each.look_at(self.false_alarms)
            known = [
                int((each.mask & each.group.baseline.known).sum())
                for each in self.watched
                if each.rule.detector in _BUDGETED
            ]
            self.false_alarms = self.rules.budget / max(sum(known), 1)
        for each in self.watched:
            each.look_at(self.false_alarms)

    def _held(self, group: Group, until: int) -> Bools:
        """Scopes whose alarm is open, unless for longer than a baseline looks back."""
        held = np.zeros(len(group), dtype=np.bool_)
        for each in self.watched:
            if each.group is group and each.rule.detector in ("drop", "guarantee"):
                for at in np.flatnonzero(each.open):
                    began = each.watcher.detail(int(at)).began
                    held[at] |= began is None or began > until - DAYS * _DAY_S
        return held

    def _said(self, each: Watched, outcome: Outcome, end: int, revision: int) -> list[Finding]:
        """Findings of one rule: what is raised, and what changed of what is open."""
        count = len(each.group)
        each.last, each.open = grown(each.last, count), grown(each.open, count, False)
        codes = np.where(each.mask, outcome.codes, CALM).astype(np.int8)
        raised = codes == RAISED
        told = raised | (each.open & (codes != each.last))
        detectable = each.detectable() if told.any() else None
        findings = [self._finding(each, outcome, int(at), end, revision, detectable) for at in np.flatnonzero(told)]
        each.open = (each.open | raised) & (codes >= UNDECIDED)
        each.last = codes
        return findings

    def _finding(self, each: Watched, outcome: Outcome, at: int, end: int, revision: int, detectable: Any) -> Finding:
        rule, group = each.rule, each.group
        scope = dict(group.scopes[at])
        code = int(outcome.codes[at]) if each.mask[at] else int(CALM)
        detail = each.watcher.detail(at)
        fall = 0.0 if detail.size is None else -100.0 * detail.size.value
        smallest = None if detectable is None or not np.isfinite(detectable[at]) else float(detectable[at])
        return Finding(
            rule=rule.id,
            rule_version=rule.version,
            scope=scope,
            metric=group.metric,
            scale=group.scale,
            window_end=end,
            verdict=CODES[code],
            statistic=float(outcome.statistic[at]),
            threshold=float(outcome.limit[at]),
            severity=rule.severity_of(fall),
            owner=self.rules.owner_of(rule, scope, end),
            route=rule.route,
            runbook=rule.runbook,
            began=detail.began,
            baseline=detail.baseline,
            score=detail.score,
            size=detail.size,
            revision=revision,
            shadow=rule.shadow,
            learning=bool(group.baseline.learning[at]),
            detectable=smallest,
            pending_s=int(rule.parameters.get("pending_minutes", 0) * 60),
        )


def _watcher(rule: Rule) -> Watcher:
    if rule.detector == "drop":
        return DropWatcher(rule)
    if rule.detector == "guarantee":
        return GuaranteeWatcher(rule)
    return SumWatcher(rule, JUDGES[rule.detector])
