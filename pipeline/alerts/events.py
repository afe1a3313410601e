"""Single events that call somebody at once, and the shares of events that were rejected or corrected (pure).

A single-event rule looks at each recorded answer once: negative, of a segment, or with a word in its text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pipeline.alerts.classes import METRICS, sides
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.rules import Rule, Rules
from pipeline.errors import UsageError

#: Longest text in a message.
_TEXT = 280


def single(rules: Rules, rows: pl.DataFrame) -> list[Finding]:
    """Findings of single-event rules in recorded answers (columns of the ledger, `text`, `topics`), in their order."""
    chosen = [rule for rule in rules.rules if rule.detector == "event"]
    found = []
    for row in rows.iter_rows(named=True) if chosen else ():
        found += [_finding(rules, rule, row) for rule in chosen if hits(rule, row)]
    return found


def hits(rule: Rule, row: Mapping[str, Any]) -> bool:
    """Whether the rule speaks of this answer: every condition it names must hold, of words and segments any one."""
    metric, scale = row["metric"], row["scale"]
    if rule.metric == "sentiment":
        metric, scale = "sentiment", row["tier"]
    if metric != rule.metric or rule.scale not in ("", scale):
        return False
    p = rule.parameters
    if p["negative"] and not _negative(row, metric, scale):
        return False
    if p["segments"] and not set(p["segments"]) & set(row["segments"].lower().split(",")):
        return False
    text = row["text"].lower()
    return not p["words"] or any(word in text for word in p["words"])


def _negative(row: Mapping[str, Any], metric: str, scale: str) -> bool:
    if metric == "sentiment":
        return bool(row["label"] == "negative")
    if metric not in METRICS:
        return False
    try:
        side = sides(metric, scale)[0]
    except UsageError:
        return False
    return bool(side.start <= row["bin"] < side.stop)


def _finding(rules: Rules, rule: Rule, row: Mapping[str, Any]) -> Finding:
    level = max(rule.levels, key=len)
    scope = {name: str(row[name]) for name in level if name != "segment" and row[name]}
    second = int(row["occurred_ms"]) // 1000
    return Finding(
        rule=rule.id,
        rule_version=rule.version,
        scope=scope,
        metric=rule.metric,
        scale=str(row["scale"]),
        window_end=second,
        verdict=Verdict.RAISED,
        statistic=1.0,
        threshold=1.0,
        severity=rule.severity_of(0.0),
        owner=rules.owner_of(
            rule, {name: row[name] for name in ("touchpoint", "unit")}, second, row["topics"].split(",")
        ),
        route=rule.route,
        runbook=rule.runbook,
        began=second,
        verbatims=(str(row["text"])[:_TEXT],) if row["text"] else (),
        shadow=rule.shadow,
        event=f"feedback:{row['epoch']}:{row['part']}:{row['off']}",
    )


@dataclass(slots=True)
class Share:
    """The rules about the share of events that were rejected (`rejects`), or of answers that were corrected after their
    window was closed (`restated`): by reason. Keeps the windows of the last day, and which alarms are open."""

    rules: Rules
    detector: str
    windows: deque[tuple[int, int, dict[str, int]]] = field(default_factory=deque)
    open: set[tuple[str, str]] = field(default_factory=set)

    @property
    def wanted(self) -> bool:
        """Whether any rule is about it."""
        return any(rule.detector == self.detector for rule in self.rules.rules)

    def step(self, end: int, total: int, by_reason: Mapping[str, int]) -> list[Finding]:
        """Judges the window that ended at `end`: all events that came in it, and those it is about by reason."""
        self.windows.append((end, total, dict(by_reason)))
        while self.windows[0][0] <= end - 86_400:
            self.windows.popleft()
        found: list[Finding] = []
        for rule in self.rules.rules:
            if rule.detector == self.detector:
                found += self._of_rule(rule, end)
        return found

    def dump(self) -> dict[str, Any]:
        """The state, for a table."""
        return {"windows": [list(each) for each in self.windows], "open": sorted(list(each) for each in self.open)}

    def load(self, kept: Mapping[str, Any]) -> None:
        """Takes up what `dump` gave."""
        self.windows = deque((int(end), int(total), dict(n)) for end, total, n in kept["windows"])
        self.open = {(rule, reason) for rule, reason in kept["open"]}

    def _of_rule(self, rule: Rule, end: int) -> Iterable[Finding]:
        p = rule.parameters
        recent = [each for each in self.windows if each[0] > end - p["window_minutes"] * 60]
        total = sum(each[1] for each in recent)
        reasons = {reason for each in recent for reason in each[2]} | {r for id_, r in self.open if id_ == rule.id}
        reasons &= set(p.get("reasons", reasons))
        for reason in sorted(reasons):
            n = sum(each[2].get(reason, 0) for each in recent)
            share = n / total if total else 0.0
            raised = n >= p["min_n"] and share > p["share"]
            key = (rule.id, reason)
            if not raised and key not in self.open:
                continue
            verdict = Verdict.RAISED
            if not raised:
                verdict = Verdict.CALM if share <= p["share"] / 2 else Verdict.UNDECIDED
            self.open = self.open - {key} if verdict == Verdict.CALM else self.open | {key}
            yield self._finding(rule, reason, share, end, verdict)

    def _finding(self, rule: Rule, reason: str, share: float, end: int, verdict: Verdict) -> Finding:
        return Finding(
            rule=rule.id,
            rule_version=rule.version,
            scope={"reason": reason},
            metric=self.detector,
            scale="",
            window_end=end,
            verdict=verdict,
            statistic=share,
            threshold=float(rule.parameters["share"]),
            severity=rule.severity_of(100.0 * share),
            owner=self.rules.owner_of(rule, {}, end),
            route=rule.route,
            runbook=rule.runbook,
            began=end - int(rule.parameters["window_minutes"] * 60),
            shadow=rule.shadow,
        )
