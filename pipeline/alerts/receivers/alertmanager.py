"""Prometheus Alertmanager, API v2: all alerts of an incident, sent again while they fire (pure).

Alertmanager forgets an alert whose `endsAt` has passed, so each sending says "three intervals from now".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.alerts.entries import Account, Part, State
from pipeline.alerts.receivers.call import Call, json_call, with_authorization
from pipeline.alerts.receivers.wording import about, address, gist
from pipeline.alerts.routes import Receiver

#: An alert outlives so many intervals without being sent again (scores.md 4).
_INTERVALS = 3
_LABEL = re.compile(r"[^A-Za-z0-9_]")


def calls(receiver: Receiver, accounts: Sequence[Account], link: str, now_ms: int) -> list[Call]:
    """One call with every alert that fires or has ended; none when there is nothing."""
    lasts_ms = _INTERVALS * int(receiver.fields.get("interval_s", 60)) * 1000
    alerts = [
        alert(part, account, link, now_ms + lasts_ms) for account in accounts for part in account.parts if part.fired_ms
    ]
    url = str(receiver.fields["url"]).rstrip("/") + "/api/v2/alerts"
    return [json_call(url, alerts, with_authorization(receiver.fields))] if alerts else []


def alert(part: Part, account: Account, link: str, ends_ms: int) -> dict[str, Any]:
    """One alert as the API takes it: labels say what it is, annotations what was seen."""
    over = part.state in (State.RESOLVED, State.INACTIVE)
    return {
        "labels": labels(part),
        "annotations": notes(part, account),
        "startsAt": rfc3339(part.fired_ms),
        "endsAt": rfc3339(part.resolved_ms if over else ends_ms),
        "generatorURL": address(link, account),
    }


def labels(part: Part) -> dict[str, str]:
    """What Alertmanager groups and routes by. An empty label is none; names hold letters, digits and underscores."""
    given = {**part.labels, "owner": part.finding.owner, "severity": part.severity}
    return {_LABEL.sub("_", name): value for name, value in sorted(given.items()) if value}


def notes(part: Part, account: Account) -> dict[str, str]:
    """What people read."""
    found = {
        "summary": gist(account) if len(account.parts) == 1 else about(part)[0],
        "description": "\n".join(line.strip() for line in about(part)),
        "incident": account.id,
        "runbook_url": part.finding.runbook,
    }
    return {name: text for name, text in found.items() if text}


def rfc3339(ms: int) -> str:
    """A moment with milliseconds in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
