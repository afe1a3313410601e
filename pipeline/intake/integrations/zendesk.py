"""Zendesk: the life of a ticket as touchpoints, satisfaction as CSAT. Pure.

Zendesk's own events carry no satisfaction; a trigger ("satisfaction is good or bad") posts the template that stands in
docs/integrations.md. Good is 1 and bad 0 of a two-step CSAT.
"""

from __future__ import annotations

from typing import Any

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    feedback,
    first,
    milliseconds,
    missing,
    touchpoint,
    word,
)
from pipeline.intake.integrations.signatures import b64, mac, matches, sent
from schemas.explain import Rejection

_PREFIX = "zen:event-type:ticket."
#: Their event, or the status a ticket changed to -> our touchpoint.
_TOUCHPOINTS = {"created": "support.ticket.created", "comment_added": "support.ticket.replied"}
_STATUSES = {"SOLVED": "support.ticket.solved", "OPEN": "support.ticket.opened", "CLOSED": "support.ticket.closed"}
_CHANNELS = {"email": "email", "chat": "chat", "native_messaging": "chat", "voice": "call", "phone": "call"}
_CHANNELS |= {"twitter": "social", "facebook": "social", "mobile_sdk": "app"}
_RATINGS = {"good": 1, "bad": 0}


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """An event of Zendesk's, or our template of a satisfaction rating."""
    if at(payload, "rating") is not None or at(payload, "ticket_id") is not None:
        return _rating(payload, options)
    kind = at(payload, "type")
    if not isinstance(kind, str):
        return [missing("$.type")]
    if not kind.startswith(_PREFIX):
        return []
    name = _touchpoint(kind.removeprefix(_PREFIX), payload)
    if name is None:
        return []
    if word(payload.get("id")) is None:
        return [missing("$.id")]
    detail = payload["detail"] if isinstance(payload.get("detail"), dict) else {}
    made = touchpoint(
        options,
        event_id=f"zendesk:{payload.get('id')}",
        occurred_at=payload.get("time"),
        channel=_channel(at(detail, "via", "channel")),
        touchpoint=name,
        customer_id=word(detail.get("requester_id")),
        agent_id=word(detail.get("assignee_id")),
        attributes={key: value for key in ("id", "priority", "status") if (value := word(detail.get(key)))},
    )
    return [made]


def verify(headers: Headers, body: bytes, secrets: Any, _: float) -> bool:
    """base64 HMAC-SHA256 of timestamp and body. The timestamp is ISO 8601 and not looked at: ids find repetitions."""
    signed = sent(headers.get("x-zendesk-webhook-signature-timestamp", "")) + body
    given = headers.get("x-zendesk-webhook-signature", "")
    return matches(given, [b64(mac(secret.encode(), signed, "sha256")) for secret in secrets])


def _touchpoint(what: str, payload: Any) -> str | None:
    if what == "status_changed":
        now, before = at(payload, "event", "current"), at(payload, "event", "previous")
        if now == "OPEN" and before in ("SOLVED", "CLOSED"):
            return "support.ticket.reopened"
        return _STATUSES.get(str(now)) if now != "OPEN" else None
    if what == "comment_added" and at(payload, "event", "comment", "is_public") is False:
        return None  # a note among agents: no customer saw it
    return _TOUCHPOINTS.get(what)


def _rating(payload: Any, options: Options) -> list[Event | Rejection]:
    said = str(payload.get("rating", "")).lower()
    score = next((value for name, value in _RATINGS.items() if said.startswith(name)), None)
    if score is None:
        return []  # "offered" and the like: nobody has answered yet
    ticket = word(payload.get("ticket_id"))
    if ticket is None:
        return [missing("$.ticket_id")]
    moment = first(payload.get("solved_at"), payload.get("rated_at"))
    made = feedback(
        options,
        event_id=f"zendesk:{ticket}:{moment}:{score}",
        occurred_at=first(payload.get("rated_at"), payload.get("solved_at")),
        channel=_channel(payload.get("channel")),
        metric="csat",
        score=score,
        scale_min=0,
        scale_max=1,
        text=payload.get("comment"),
        submission_id=f"zendesk:{ticket}",
        revision=milliseconds(moment),
        customer_id=word(payload.get("requester")),
        agent_id=word(payload.get("agent")),
        touchpoint="support.ticket.solved",
        ref={"ticket": ticket},
    )
    return [made]


def _channel(via: Any) -> str:
    return _CHANNELS.get(str(via).lower().replace(" ", "_"), "web")


INTEGRATION = Integration("zendesk", "Zendesk", mapped, verify)
