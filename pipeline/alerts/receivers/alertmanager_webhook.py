"""Alertmanager's own webhook format, version "4": for everything that already reads it (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.alerts.entries import Account, Notice, State
from pipeline.alerts.receivers import alertmanager
from pipeline.alerts.receivers.call import Call, json_call, with_authorization
from pipeline.alerts.receivers.wording import address
from pipeline.alerts.routes import Receiver

#: What Go writes for "no time yet": the end of an alert that fires.
_NEVER = "0001-01-01T00:00:00Z"


def calls(receiver: Receiver, notice: Notice, link: str) -> list[Call]:
    """One call for each incident."""
    url, headers = str(receiver.fields["url"]), with_authorization(receiver.fields)
    return [json_call(url, document(receiver.name, notice, account, link), headers) for account in notice.accounts]


def document(name: str, notice: Notice, account: Account, link: str) -> dict[str, Any]:
    """The body for one incident."""
    alerts = [_alert(account, index, link) for index, part in enumerate(account.parts) if part.fired_ms]
    group = {name: value for name, value in account.labels.items() if value}
    key = ", ".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{key}}}",
        "truncatedAlerts": account.truncated,
        "status": "resolved" if account.state == State.RESOLVED else "firing",
        "receiver": name,
        "groupLabels": group,
        "commonLabels": _common(alert["labels"] for alert in alerts),
        "commonAnnotations": _common(alert["annotations"] for alert in alerts),
        "externalURL": address(link, account),
        "notification_reason": notice.state,
        "alerts": alerts,
    }


def _alert(account: Account, index: int, link: str) -> dict[str, Any]:
    part = account.parts[index]
    over = part.state in (State.RESOLVED, State.INACTIVE)
    return {
        "status": "resolved" if over else "firing",
        "labels": alertmanager.labels(part),
        "annotations": alertmanager.notes(part, account),
        "startsAt": alertmanager.rfc3339(part.fired_ms),
        "endsAt": alertmanager.rfc3339(part.resolved_ms) if over else _NEVER,
        "generatorURL": address(link, account),
        "fingerprint": part.id,
    }


def _common(many: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all have in common."""
    found: dict[str, str] | None = None
    for each in many:
        found = dict(each) if found is None else {k: v for k, v in found.items() if each.get(k) == v}
    return found or {}
