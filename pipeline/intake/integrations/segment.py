"""Segment's `track` and everything that speaks it: RudderStack, Jitsu; and PostHog's own shape. Pure.

`track`, `page` and `screen` become touchpoints; a track that names a survey and carries a score becomes feedback.
`identify` and `group` say who somebody is: they are no events and give nothing. Addresses and IPs are left behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    feedback,
    first,
    missing,
    slug,
    touchpoint,
    word,
)
from pipeline.intake.integrations.signatures import mac, matches
from schemas.explain import DECODE_ERRORS, Rejection
from schemas.vocabulary import Channel

_METRICS = ("nps", "csat", "ces", "rating")
#: Whole words by which a survey tool's events are known when it sends them on: there is a "ces" in every "success".
_SURVEY = frozenset((*_METRICS, "survey", "feedback"))
#: Words of a name: "NPS Survey Answered", "nps_survey", "NPSAnswered", "surveyAnswered".
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: Properties that hold the answer and its text, the first that is there.
_SCORES = ("score", "rating", "nps_score", "nps", "csat", "ces")
#: Properties that only a survey's event has. `value` is an amount of money in most events, an answer only beside these.
_OF_SURVEYS = ("survey_type", "survey_id", "response_id", "survey_response_id", "question_id")
_TEXTS = ("comment", "feedback", "text", "answer", "response")
_LIBRARIES = (
    *(("ios", "app"), ("android", "app"), ("react-native", "app"), ("flutter", "app")),
    *(("analytics.js", "web"), ("posthog-js", "web"), ("web", "web"), ("javascript", "web"), ("jitsu", "web")),
)
_CHANNELS = frozenset(Channel)
_first_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """Events of one call, of a batch or of a list of calls."""
    found = (_event(call, options) for call in _calls(payload))
    return [event for event in found if event is not None]


def verify(headers: Headers, body: bytes, secrets: Sequence[str], _: float) -> bool:
    """`X-Signature`: hex HMAC-SHA1 of the body; of a list of calls, of its first element alone."""
    signed = body
    if body[:1] == b"[":
        try:
            signed = bytes(_first_raw(body)[0])
        except (*DECODE_ERRORS, IndexError):
            return False
    return matches(headers.get("x-signature", ""), [mac(secret.encode(), signed, "sha1").hex() for secret in secrets])


def _calls(payload: Any) -> list[Any]:
    if isinstance(payload, list):
        return payload
    batch = at(payload, "batch")
    if isinstance(batch, list):
        # Times of a whole batch stand beside it.
        return [{"sentAt": at(payload, "sentAt")} | call if isinstance(call, dict) else call for call in batch]
    return [payload]


def _event(call: Any, options: Options) -> Event | Rejection | None:
    if isinstance(at(call, "event"), Mapping) and at(call, "event", "uuid"):
        call = call["event"]  # PostHog's webhook destination
    if not isinstance(call, dict):
        return missing("$.type")
    if "distinct_id" in call or at(call, "properties", "distinct_id"):
        call = _from_posthog(call)
    kind = call.get("type", "track")
    if kind not in ("track", "page", "screen"):
        return None
    name = call.get("event") if kind == "track" else f"{kind} viewed"
    if not isinstance(name, str) or not name:
        return missing("$.event")
    properties = call["properties"] if isinstance(call.get("properties"), dict) else {}
    common = {
        "event_id": word(call.get("messageId")),
        "occurred_at": _moment(call),
        "channel": _channel(call, properties),
        "customer_id": word(first(call.get("userId"), call.get("anonymousId"))),
        "language": word(at(call, "context", "locale")),
        "campaign": word(at(call, "context", "campaign", "name")),
        "product": word(first(properties.get("product_id"), properties.get("sku"))),
    }
    answer = _score(properties)
    if kind == "track" and answer is not None and not _SURVEY.isdisjoint(_words(name)):
        return _answer(name, properties, answer, common, options)
    return touchpoint(
        options,
        **common,
        touchpoint=slug(name),
        value=_amount(first(properties.get("revenue"), properties.get("total"), properties.get("value"))),
        currency=word(properties.get("currency")),
        attributes=_attributes(properties) | _where(call),
    )


def _words(name: Any) -> list[str]:
    return [found.lower() for found in _WORDS.findall(str(name or ""))]


def _metric(name: Any) -> str | None:
    """The metric that a name has as a whole word."""
    return next((found for found in _words(name) if found in _METRICS), None)


def _score(properties: dict[str, Any]) -> tuple[str, float] | None:
    """The property that holds the answer, and the answer."""
    of_survey = _metric(properties.get("metric")) or any(word(properties.get(key)) for key in _OF_SURVEYS)
    held = ((key, properties.get(key)) for key in (*_SCORES, *(("value",) if of_survey else ())))
    return next(
        ((key, value) for key, value in held if isinstance(value, int | float) and not isinstance(value, bool)), None
    )


def _answer(
    name: str, properties: dict[str, Any], found: tuple[str, float], common: dict[str, Any], options: Options
) -> Event | Rejection:
    key, answer = found
    said = (properties.get("metric"), properties.get("survey_type"), name, key)
    return feedback(
        options,
        **common,
        metric=next(filter(None, map(_metric, said)), "nps"),
        score=int(answer) if float(answer).is_integer() else answer,
        scale_min=properties.get("scale_min"),
        scale_max=properties.get("scale_max"),
        text=next((properties[key] for key in _TEXTS if isinstance(properties.get(key), str)), None),
        touchpoint=word(properties.get("touchpoint")),
        submission_id=word(first(properties.get("response_id"), properties.get("survey_response_id"))),
        question_id=word(properties.get("question_id")),
        ref={"survey": properties["survey_id"]} if word(properties.get("survey_id")) else None,
    )


def _from_posthog(call: dict[str, Any]) -> dict[str, Any]:
    properties = call.get("properties") if isinstance(call.get("properties"), dict) else {}
    assert properties is not None
    name = {"$pageview": "page viewed", "$screen": "screen viewed"}.get(str(call.get("event")), call.get("event"))
    identify = str(name).startswith("$")
    return {
        "type": "identify" if identify else "track",
        "event": name,
        "messageId": first(call.get("uuid"), properties.get("$insert_id")),
        "timestamp": first(call.get("timestamp"), properties.get("timestamp")),
        "userId": first(call.get("distinct_id"), properties.get("distinct_id")),
        "context": {"library": {"name": properties.get("$lib")}, "page": {"path": properties.get("$pathname")}},
        "properties": {key: value for key, value in properties.items() if not key.startswith("$")},
    }


def _moment(call: dict[str, Any]) -> Any:
    """When it happened: the device's time, put right by what its clock was off when it sent (as Segment does)."""
    happened = first(call.get("originalTimestamp"), call.get("timestamp"))
    sent, received = call.get("sentAt"), call.get("receivedAt")
    if not (happened and sent and received) or call.get("originalTimestamp") is None:
        return first(call.get("timestamp"), happened, received)
    try:
        moments = [datetime.fromisoformat(str(text)) for text in (happened, received, sent)]
        return (moments[0] + (moments[1] - moments[2])).isoformat()
    except (ValueError, TypeError, OverflowError):
        return happened


def _channel(call: dict[str, Any], properties: dict[str, Any]) -> str:
    said = properties.get("channel")
    if isinstance(said, str) and said in _CHANNELS:
        return str(said)
    library = str(first(at(call, "context", "library", "name"), call.get("channel")) or "").lower()
    return next((channel for part, channel in _LIBRARIES if part in library), "web")


def _amount(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _attributes(properties: dict[str, Any]) -> dict[str, Any]:
    """Flat properties; nothing below them, nothing that names a person."""
    named = ("email", "phone", "name", "address", "ip")
    return {
        key: value
        for key, value in list(properties.items())[:40]
        if isinstance(value, str | int | float | bool)
        and len(key) <= 100
        and not any(part in key.lower() for part in named)
    }


def _where(call: dict[str, Any]) -> dict[str, Any]:
    path = at(call, "context", "page", "path")
    return {"page_path": path[:500]} if isinstance(path, str) and path else {}


INTEGRATION = Integration("segment", "Segment, RudderStack, Jitsu, PostHog", mapped, verify)
