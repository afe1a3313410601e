"""The life of one alert: which state follows from which verdict, and when time alone ends it (pure).

    inactive -> pending -> firing -> recovering -> resolved,   no_data beside them

A sequential test fires at once (it has waited already); a threshold rule waits `pending_s`. What fires goes on firing
between the two levels and is resolved when calm, or after `keep_s` of calm. A window that was judged before never
changes anything again, whatever its revision. A new firing within a day of the end opens the same incident again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Alert, Point, State, worse
from pipeline.alerts.finding import Estimate, Finding, Verdict
from pipeline.alerts.fingerprint import named

#: A firing within a day of the last end is the same trouble: one incident, opened again (scores.md 4).
REOPEN_MS = 24 * 3600 * 1000
#: Nothing heard of an open alert for a day: its rule is gone, or it is of single events and none came. It ends.
UNHEARD_MS = 24 * 3600 * 1000
#: How long ended things are remembered: past the day in which they may be opened again.
REMEMBERED_MS = REOPEN_MS + 3600 * 1000
#: Below this a score is `insufficient` and is shown nowhere as a number.
_ENOUGH = 10
#: Readings kept for the picture in a message: four hours of five-minute windows.
_TRACE = 48

#: The step of an alert whose state stays as it is.
_SEEN = "seen"

S, V = State, Verdict


def labels_of(finding: Finding) -> dict[str, str]:
    """What an alert is: its rule, metric, scale and scope. Numbers, owners and severities are not part of it."""
    return {"alertname": finding.rule, "metric": finding.metric, "scale": finding.scale, **finding.scope}


def following(state: State, was_open: bool, finding: Finding, waited_s: int) -> State:
    """The state after a verdict. `waited_s`: since when it is raised (pending) or calm (recovering)."""
    match finding.verdict, state:
        case V.RAISED, S.FIRING | S.RECOVERING:
            return S.FIRING
        case V.RAISED, S.NO_DATA if was_open:
            return S.FIRING
        case V.RAISED, S.PENDING:
            return S.FIRING if waited_s >= finding.pending_s else S.PENDING
        case V.RAISED, _:
            return S.PENDING if finding.pending_s > 0 else S.FIRING
        case V.NO_DATA, S.RESOLVED:
            return S.RESOLVED
        case V.NO_DATA, _:
            return S.NO_DATA
        case V.CALM, S.FIRING:
            return S.RECOVERING if finding.keep_s > 0 else S.RESOLVED
        case V.CALM, S.RECOVERING:
            return S.RESOLVED if waited_s >= finding.keep_s else S.RECOVERING
        case V.CALM, S.NO_DATA if was_open:
            return S.RESOLVED
        case _, S.NO_DATA if was_open:
            return S.FIRING
        case _, S.RECOVERING:
            return S.FIRING
        case _, S.PENDING | S.NO_DATA:
            return S.INACTIVE
        case _:
            return state


def judge(book: Book, findings: Sequence[Finding], now_ms: int) -> None:
    """Takes the findings of one look, oldest first; every change is a step in the book.

    That the same alert was seen a hundred times in one look is one step: the last one has the whole count.
    """
    before = len(book.steps)
    for finding in findings:
        _judge(book, tidied(finding), now_ms)
    fresh = book.steps[before:]
    last = {step.entry.id: at for at, step in enumerate(fresh) if step.step == _SEEN and isinstance(step.entry, Alert)}
    book.steps[before:] = [
        step
        for at, step in enumerate(fresh)
        if not (step.step == _SEEN and isinstance(step.entry, Alert) and last[step.entry.id] != at)
    ]


def expire(book: Book, now_ms: int) -> None:
    """Ends what nothing was heard of for a day."""
    for alert in list(book.alerts.values()):
        if alert.open and now_ms - alert.heard_ms >= UNHEARD_MS:
            ended(book, alert, now_ms, why="nothing was heard of it for a day")


def ended(book: Book, alert: Alert, now_ms: int, *, by: str = "", why: str = "") -> Alert:
    """Resolves an alert for another reason than a calm verdict; by hand (`by`) it stays so until it was calm once."""
    changes = {"state": S.RESOLVED, "since_ms": now_ms, "resolved_ms": now_ms, "was_open": False, "held": bool(by)}
    return book.put(msgspec.structs.replace(alert, **changes), "resolved", now_ms, by, why)


def tidied(finding: Finding) -> Finding:
    """The finding with plain containers and finite numbers: what is read back from its row is equal to it."""
    return replace(
        finding,
        scope=dict(finding.scope),
        statistic=_finite(finding.statistic),
        threshold=_finite(finding.threshold),
        contributions=list(finding.contributions),
        verbatims=list(finding.verbatims),
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.copysign(1e300, value) if math.isinf(value) else 0.0


def _judge(book: Book, finding: Finding, now_ms: int) -> None:
    labels = labels_of(finding)
    known = book.alerts.get(named(labels))
    if known is None:
        if finding.verdict not in (V.RAISED, V.NO_DATA):
            return
        known = Alert(
            id=named(labels), labels=labels, state=S.INACTIVE, severity="", last=replace(finding, window_end=0)
        )
    if _is_old(known, finding):
        return
    if known.held and now_ms - known.resolved_ms < REOPEN_MS:
        if finding.verdict == V.CALM:
            book.put(msgspec.structs.replace(known, held=False, last=finding), "released", now_ms)
        return
    _moved(book, known, finding, now_ms)


def _is_old(alert: Alert, finding: Finding) -> bool:
    """A window or an event that was judged before."""
    if finding.event:
        place, _, offset = finding.event.rpartition(":")
        return int(offset) <= alert.seen.get(place, -1)
    return finding.window_end <= alert.last.window_end


def _moved(book: Book, alert: Alert, finding: Finding, now_ms: int) -> None:
    """Notes what a finding changes. Of an alert that is quiet and stays quiet nothing is noted."""
    since = alert.pending_from if alert.state == S.PENDING else alert.calm_from
    state = following(alert.state, alert.was_open, finding, finding.window_end - since)
    if state == alert.state and state in (S.INACTIVE, S.RESOLVED):
        return
    changes: dict[str, object] = {"state": state, "last": finding, "heard_ms": now_ms}
    if finding.verdict == V.RAISED:
        changes |= {"raised": finding, "count": alert.count + 1}
    if state != alert.state:
        changes |= {"since_ms": now_ms} | _entering(alert, state, finding, now_ms)
    if finding.event:
        place, _, offset = finding.event.rpartition(":")
        changes["seen"] = {**alert.seen, place: int(offset)}
    again = bool(changes.pop("again", False))
    step = "reopened" if again else str(state) if state != alert.state else _SEEN
    moved = msgspec.structs.replace(alert, **changes)
    if moved.open:
        worst = finding.severity if not alert.open else worse(alert.severity, finding.severity)
        moved = msgspec.structs.replace(
            moved, severity=worst if finding.verdict == V.RAISED else moved.severity, trace=_trace(moved, finding)
        )
    book.put(moved, step, now_ms)


def _entering(alert: Alert, state: State, finding: Finding, now_ms: int) -> dict[str, object]:
    """What a new state sets beside itself."""
    if state == S.PENDING:
        return {"pending_from": finding.window_end, "severity": finding.severity}
    if state == S.RECOVERING:
        return {"calm_from": finding.window_end}
    if state == S.NO_DATA:
        return {"was_open": alert.open}
    if state == S.RESOLVED:
        return {"resolved_ms": now_ms, "was_open": False}
    if state == S.FIRING and not alert.open:
        again = alert.resolved_ms > 0 and now_ms - alert.resolved_ms < REOPEN_MS
        fresh: dict[str, object] = {"fired_ms": now_ms, "was_open": False, "held": False}
        if again:
            return fresh | {"again": True, "reopened": alert.reopened + 1, "resolved_ms": 0}
        return fresh | {"reopened": 0, "count": 1, "resolved_ms": 0, "trace": []}
    return {"was_open": False}


def _trace(alert: Alert, finding: Finding) -> list[Point]:
    """The readings of the score with one more; a score of too few answers is none."""
    score: Estimate | None = finding.score
    if score is None or finding.event or score.n < _ENOUGH:
        return alert.trace
    return [*alert.trace, Point(finding.window_end, score.value, score.low, score.high, score.n)][-_TRACE:]
