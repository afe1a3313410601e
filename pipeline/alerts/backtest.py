"""Rules on recorded history [I/O]: the same judge over the same windows, so the same findings as live.

Windows that were closed live are judged as they were closed; older and imported ones as the ledger stands. Where live
watching learned, the backtest learns from the very rows that were known then.
Rules about single events are not replayed: they have no state, and each answer that they speak of is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.alerts import recorded
from pipeline.alerts.events import Share
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.judging import Judge
from pipeline.alerts.keeping import unpack
from pipeline.alerts.rules import Rules
from pipeline.alerts.scopes import WINDOW_S
from pipeline.alerts.shares import SHARES
from pipeline.clickhouse import ClickHouse

#: Windows read at once: a day.
_AT_ONCE = 288
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Firing:
    """One alarm from its first raised window to the one at which it was calm again (None: it still lasts)."""

    raised: Finding
    worst: Finding
    resolved: int | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Rule, scope, metric and scale as texts."""
        return identity(self.raised)


def identity(finding: Finding) -> tuple[str, str, str, str]:
    """What tells alarms apart."""
    scope = ", ".join(f"{name}={value}" for name, value in finding.scope.items()) or "total"
    return finding.rule, scope, finding.metric, finding.scale


def replay(client: ClickHouse, rules: Rules, start: int, end: int) -> Iterator[Finding]:
    """Findings of every window that ends after `start` and up to `end` (Unix seconds), in order."""
    judge, shares = Judge(rules), [Share(rules, name) for name in SHARES]
    first = start // WINDOW_S * WINDOW_S + WINDOW_S
    for begin in range(first, end + 1, _AT_ONCE * WINDOW_S):
        ends = list(range(begin, min(begin + _AT_ONCE * WINDOW_S, end + 1), WINDOW_S))
        closed = recorded.closed(client, ends[0] - WINDOW_S, ends[-1])
        live = set(closed)
        frames = recorded.windows(client, closed, judge.dims, loud=judge.weighs)
        frames |= recorded.unclosed(client, [each for each in ends if each not in live], judge.dims, loud=judge.weighs)
        counted = [(share, SHARES[share.detector](client, closed)) for share in shares if share.wanted]
        for each in ends:
            until = judge.due(each)
            if until is not None:
                known = _known(client, until, each in live)
                judge.learn(recorded.hours(client, judge.levels, until, known), until)
            yield from judge.step(frames[each], each)
            for share, counts in counted:
                if each in counts:
                    yield from share.step(each, *counts[each])


def _known(client: ClickHouse, until: int, live: bool) -> recorded.Known:
    """What live watching knew when it learned up to `until`; where it did not, what it would have known."""
    rows = client.query("SELECT body FROM watches FINAL WHERE kind = 'known' AND at = {at:UInt32}", {"at": until})
    if rows.height:
        body = unpack(rows["body"][0])
        return recorded.Known(body["feedback"], body["history"])
    return recorded.known_at(client, until) if live else recorded.Known()


def firings(findings: Sequence[Finding]) -> list[Firing]:
    """Alarms with their begin and end, in order of their begin."""
    open_: dict[tuple[str, str, str, str], Firing] = {}
    done: list[Firing] = []
    for finding in findings:
        key = identity(finding)
        held = open_.get(key)
        if finding.verdict == Verdict.RAISED:
            if held is None:
                open_[key] = Firing(finding, finding, None)
            elif _fall(finding) > _fall(held.worst):
                open_[key] = Firing(held.raised, finding, None)
        elif held is not None and finding.verdict in (Verdict.CALM, Verdict.NO_DATA):
            done.append(Firing(held.raised, held.worst, finding.window_end))
            del open_[key]
    return sorted([*done, *open_.values()], key=lambda each: (each.raised.window_end, each.key))


def _fall(finding: Finding) -> float:
    return 0.0 if finding.size is None else -finding.size.value


def per_day(found: Sequence[Firing], seconds: int) -> dict[str, float]:
    """Alarms a day by owner; those of rules in shadow call nobody and are left out."""
    counted = Counter(each.raised.owner for each in found if not each.raised.shadow)
    return {owner: count * _DAY_S / seconds for owner, count in sorted(counted.items())}


@dataclass(frozen=True, slots=True)
class Difference:
    """What another version of the rules changes: alarms that only one has, and those that both have at other times."""

    gone: tuple[Firing, ...]
    new: tuple[Firing, ...]
    moved: tuple[tuple[Firing, Firing], ...]
    same: int


def difference(before: Sequence[Firing], after: Sequence[Firing]) -> Difference:
    """Alarms of the two versions side by side; the same rule and scope, overlapping in time, is the same alarm."""
    left = list(after)
    gone, moved, same = [], [], 0
    for each in before:
        match = next((other for other in left if other.key == each.key and _overlap(each, other)), None)
        if match is None:
            gone.append(each)
            continue
        left.remove(match)
        if match.raised.window_end == each.raised.window_end and match.resolved == each.resolved:
            same += 1
        else:
            moved.append((each, match))
    return Difference(tuple(gone), tuple(left), tuple(moved), same)


def _overlap(one: Firing, other: Firing) -> bool:
    ends = [each.resolved if each.resolved is not None else 2**32 for each in (one, other)]
    return one.raised.window_end < ends[1] and other.raised.window_end < ends[0]
