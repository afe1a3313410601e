"""PagerDuty Events API v2: an incident is one dedup_key, triggered, acknowledged, resolved (pure)."""

from __future__ import annotations

from typing import Any

from pipeline.alerts.entries import Account, Notice, State
from pipeline.alerts.receivers.alertmanager import rfc3339
from pipeline.alerts.receivers.call import Call, json_call
from pipeline.alerts.receivers.wording import about, address, gist
from pipeline.alerts.routes import Receiver

_URL = "https://events.pagerduty.com/v2/enqueue"
#: The API's own limits on a summary (characters) and what is shown of an incident, far below its 512 KB.
_SUMMARY, _SHOWN = 1024, 10


def calls(receiver: Receiver, notice: Notice, link: str) -> list[Call]:
    """One event for each incident."""
    key, url = str(receiver.fields["key"]), str(receiver.fields.get("url", _URL))
    return [json_call(url, event(key, notice, account, link)) for account in notice.accounts]


def event(key: str, notice: Notice, account: Account, link: str) -> dict[str, Any]:
    """The event for one incident; only a trigger has a payload."""
    action = "resolve" if account.state == State.RESOLVED else "trigger"
    if notice.state == "acknowledged":
        action = "acknowledge"
    found: dict[str, Any] = {"routing_key": key, "event_action": action, "dedup_key": account.id}
    if action != "trigger":
        return found
    return found | {
        "payload": {
            "summary": gist(account)[:_SUMMARY],
            "source": account.labels.get("brand") or "touchline",
            "severity": account.severity if account.severity in ("critical", "error", "warning", "info") else "error",
            "timestamp": rfc3339(account.opened_ms),
            "component": account.parts[0].finding.scope.get("touchpoint", "") if account.parts else "",
            "group": account.owner,
            "class": account.labels.get("metric", ""),
            "custom_details": {
                "incident": account.id,
                "owner": account.owner,
                "level": account.level,
                "alerts": ["\n".join(about(part)) for part in account.parts[:_SHOWN]],
                "more": max(0, len(account.parts) - _SHOWN) + account.truncated,
            },
        },
        "client": "Touchline",
        **({"client_url": address(link, account)} if link else {}),
        "links": [
            {"href": part.finding.runbook, "text": "What to do"}
            for part in account.parts[:1]
            if part.finding.runbook.startswith("http")
        ],
    }
