"""Intercom: a rated conversation is a CSAT of 1 to 5, its life are touchpoints. Pure."""

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
    missing,
    since_1970,
    touchpoint,
    word,
)
from pipeline.intake.integrations.signatures import hexed
from schemas.explain import Rejection

_RATINGS = ("conversation.rating.added", "conversation.rating.remarked")
_TOUCHPOINTS = {
    "conversation.user.created": "support.conversation.started",
    "conversation.user.replied": "support.conversation.continued",
    "conversation.admin.replied": "support.conversation.answered",
    "conversation.admin.closed": "support.conversation.closed",
}


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """A notification; `ping` and topics that we do not know give nothing."""
    topic = at(payload, "topic")
    if not isinstance(topic, str):
        return [missing("$.topic")]
    item = at(payload, "data", "item")
    if topic not in _TOUCHPOINTS and topic not in _RATINGS:
        return []
    if word(payload.get("id")) is None:
        return [missing("$.id")]
    if topic in _RATINGS:
        return [_rating(payload, item, options)]
    made = touchpoint(
        options,
        event_id=f"intercom:{payload.get('id')}",
        occurred_at=since_1970(payload.get("created_at")),
        channel=_channel(item),
        touchpoint=_TOUCHPOINTS[topic],
        customer_id=word(first(at(item, "source", "author", "external_id"), at(item, "source", "author", "id"))),
        agent_id=word(at(item, "admin_assignee_id")),
    )
    return [made]


def _rating(payload: Any, item: Any, options: Options) -> Event | Rejection:
    rating = at(item, "conversation_rating")
    if not isinstance(rating, dict):
        return missing("$.data.item.conversation_rating")
    conversation = word(at(item, "id"))
    revision = first(rating.get("updated_at"), payload.get("created_at"))
    return feedback(
        options,
        event_id=f"intercom:{payload.get('id')}",
        occurred_at=since_1970(first(payload.get("created_at"), rating.get("created_at"))),
        channel=_channel(item),
        metric="csat",
        score=rating.get("rating"),
        text=rating.get("remark"),
        # A remark comes after the score as a second notification: it replaces the first.
        submission_id=f"intercom:{conversation}" if conversation else None,
        revision=revision if isinstance(revision, int) else None,
        customer_id=word(first(at(rating, "contact", "external_id"), at(rating, "contact", "id"))),
        agent_id=word(at(rating, "teammate", "id")),
        touchpoint="support.conversation.closed",
        ref={"ticket": conversation} if conversation else None,
    )


def _channel(item: Any) -> str:
    return "email" if at(item, "source", "type") == "email" else "chat"


INTEGRATION = Integration("intercom", "Intercom", mapped, hexed("x-hub-signature", "sha1", "sha1="))
