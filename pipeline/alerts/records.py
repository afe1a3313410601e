"""Steps as records of the topic `alerts`: what other systems see of the life of an alert (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pipeline.alerts.book import Step
from pipeline.alerts.entries import Alert, Incident, Silence
from pipeline.alerts.finding import Estimate
from schemas.codec import encode
from schemas.outgoing import Alert as Record
from schemas.outgoing import Reading

#: Kinds of entries whose steps are of use to others; messages on their way are not.
PUBLIC = frozenset({"alert", "incident", "silence"})
#: Below this a score is `insufficient`, never a number.
_ENOUGH = 10

Message = tuple[bytes, bytes, list[tuple[str, bytes]]]


def messages(steps: Iterable[Step], ver: int) -> list[Message]:
    """One message for each public step, keyed by its entry, so that the steps of one come in order."""
    return [
        (record.alert_id.encode(), encode(record), [])
        for record in (record_of(step, ver) for step in steps if step.kind in PUBLIC)
    ]


def record_of(step: Step, ver: int) -> Record:
    """The record of one public step."""
    match step.entry:
        case Alert():
            return _of_alert(step, step.entry, ver)
        case Incident():
            return _of_incident(step, step.entry, ver)
        case Silence():
            return Record(
                alert_id=step.entry.id,
                state="silence",
                rule="",
                scope={matcher.name: f"{matcher.op}{matcher.value}" for matcher in step.entry.matchers},
                owner=step.entry.by,
                revision=step.entry.revision,
                at=iso(step.at_ms),
                kind=step.kind,
                step=step.step,
                by=step.by,
                why=step.why,
                ver=ver,
            )
    raise ValueError(f"steps of {step.kind} are not public")


def iso(ms: int) -> str:
    """A moment as ISO 8601 in UTC, empty for 0."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ms else ""


def reading(estimate: Estimate | None) -> Reading | None:
    """A number with its interval; None where there are too few answers for one."""
    if estimate is None or estimate.n < _ENOUGH:
        return None
    return Reading(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


def _of_alert(step: Step, alert: Alert, ver: int) -> Record:
    seen = alert.evidence
    return Record(
        alert_id=alert.id,
        state=str(alert.state),
        rule=seen.rule,
        scope=dict(seen.scope),
        owner=seen.owner,
        revision=alert.revision,
        at=iso(step.at_ms),
        kind=step.kind,
        step=step.step,
        by=step.by,
        why=step.why,
        incident=alert.incident,
        severity=alert.severity,
        metric=seen.metric,
        scale=seen.scale,
        window_end=iso(alert.last.window_end * 1000),
        began=iso((seen.began or 0) * 1000),
        score=reading(alert.last.score),
        size=reading(seen.size),
        baseline=seen.baseline,
        count=alert.count,
        reopened=alert.reopened,
        silenced=alert.silenced,
        inhibited=alert.inhibited,
        shadow=alert.last.shadow,
        runbook=seen.runbook,
        ver=ver,
    )


def _of_incident(step: Step, incident: Incident, ver: int) -> Record:
    return Record(
        alert_id=incident.id,
        state=str(incident.state),
        rule="",
        scope=dict(incident.labels),
        owner=incident.owner,
        revision=incident.revision,
        at=iso(step.at_ms),
        kind=step.kind,
        step=step.step,
        by=step.by,
        why=step.why,
        incident=incident.key,
        severity=incident.severity,
        metric=incident.labels.get("metric", ""),
        scale=incident.labels.get("scale", ""),
        count=len(incident.members),
        reopened=incident.reopened,
        acked_by=incident.acked_by,
        level=incident.level,
        ver=ver,
    )
