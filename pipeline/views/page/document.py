"""The OpenAPI document of the reading API, made from the same table of parameters that reads a question. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.views.page.answers import ARROW, CSV, JSON
from pipeline.views.page.questions import CONSISTENCY, CUSTOMER, DRIVERS, JOURNEYS, SCORES, Parameter

_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_FILTERS: Final = tuple(
    parameter for parameter in SCORES if parameter.name in ("brand", "unit", "channel", "touchpoint")
)
_PLACE: Final = Parameter(
    "id", "topic:epoch:partition:offset, as in the field `id` of feedback", "feedback:1:3:1042", True
)
_ALERT: Final = Parameter("id", "of an incident or alert; its first characters will do", "90b1f5", True)


def document(version: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Touchline, reading",
            "version": version,
            "description": "Scores with n and a 95 % interval. Under ten answers the status is `insufficient` and "
            "score, low and high are null. Filters are parameters only. Keys with the right `read` see the brands and "
            "units of their scope and nothing else.",
        },
        "paths": {
            **{path: {"get": operation} for path, operation in _operations().items()},
            "/v1/alerts/{id}/ack": {"post": _acknowledging()},
            **_acts(),
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "touchline_reader"},
            },
            "schemas": {"Error": _object({"error": "string", "detail": "string"}), "Score": _SCORE},
        },
        "security": [{"key": []}, {"session": []}, {}],
    }


def _operations() -> dict[str, dict[str, Any]]:
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Score"}}
    scores = _answer({"type": "object", "properties": {"scores": listed}}, (CSV, ARROW))
    what = _answer({"type": "object"})
    table = _answer({"type": "object"}, (CSV, ARROW))
    return {
        "/v1/scores": _operation("Scores of one window (default), or of each window of a grain", SCORES, scores),
        "/v1/scores/history": _operation(
            "The same over time (grain 1h by default), with how often and why a window was restated", SCORES, scores
        ),
        "/v1/scores/evidence": _operation(
            "Why this number: definition, windows, and the newest masked events behind it", SCORES, what
        ),
        "/v1/journeys": _operation(
            "Where customers go: steps with score and drop-off, ways with their times", JOURNEYS, table
        ),
        "/v1/drivers": _operation(
            "What goes along with a score: reach, lift, impact and weight with intervals", DRIVERS, table
        ),
        "/v1/consistency": _operation(
            "How even a score is between groups, 0 to 100, with each group's own and shrunken score", CONSISTENCY, table
        ),
        "/v1/customers/{id}": _operation(
            "One customer: timeline across channels, experience index, last scores", CUSTOMER, table
        ),
        "/v1/feedback": _operation(
            "The newest feedback of a selection: masked text, score, sentiment, topics", _FILTERS, what
        ),
        "/v1/events/{id}": _operation("One event: what became of it and where it counts", (_PLACE,), what),
        "/v1/alerts": _operation("Alerts of the last week, the newest step of each", (), what),
        "/v1/alerts/{id}": _operation("One incident or alert: numbers, evidence, story step by step", (_ALERT,), what),
        "/v1/alerts/orders": _operation("Audit rows: who asked for what, when, and what became of it", (), what),
        "/v1/producers": _operation(
            "Who sends, how each does, and what was rejected in the last hour by reason; for keys without a narrower"
            " scope",
            (),
            what,
        ),
        "/v1/stream": _operation(
            "What the page shows, as server-sent events: status, alerts, tiles, line, heat, feedback, gap, beat",
            (Parameter("span", "1h, 24h, 7d or 28d", "1h"), *_FILTERS),
            {"200": {"description": "events", "content": {"text/event-stream": {}}}},
        ),
    }


def _acts() -> dict[str, dict[str, Any]]:
    """What people do about alerts. Each leaves an audit row with the name given and the key."""
    comment = {"by": "string", "comment": "string"}
    silence = _object(comment) | {"required": ["matchers", "comment"]}
    silence["properties"] |= {"matchers": {"type": "array", "items": {"type": "string"}}, "for": {"type": "string"}}
    done = {
        "200": {"description": "the order, and what the owner of the alerts answered", "content": {JSON: {}}},
        "202": {"description": "asked; no worker has carried it out yet, it will be", "content": {JSON: {}}},
    }

    def act(summary: str, parameters: Sequence[Parameter], body: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"required": True, "content": {JSON: {"schema": body}}}
        return {"post": _operation(summary, parameters, done) | {"requestBody": asked}}

    return {
        "/v1/alerts/{id}/unack": act("Take an answer back", (_ALERT,), _object(comment)),
        "/v1/alerts/{id}/resolve": act("End it by hand", (_ALERT,), _object(comment)),
        "/v1/alerts/{id}/unsilence": act("End a silence early; the id is the silence's", (_ALERT,), _object(comment)),
        "/v1/alerts/silences": act("Say nothing about alerts that match all matchers, for a while", (), silence),
    }


def _acknowledging() -> dict[str, Any]:
    """Answering an alert: the only thing that a reader does here."""
    name = Parameter("id", "of an alert or incident, as `alert_id` of /v1/alerts", "90b1f5c2a4e80d13", True)
    body = {"type": "object", "properties": {"by": {"type": "string"}, "comment": {"type": "string"}}}
    said = {JSON: {"schema": _object({"order": "string", "said": "string"})}}
    operation = _operation("Say that an alert is taken care of; leaves an audit row", (name,), {})
    done = {"200": {"description": "carried out", "content": said}, "202": {"description": "asked", "content": said}}
    return {
        **operation,
        "requestBody": {"content": {JSON: {"schema": body}}},
        "responses": done | operation["responses"],
    }


def _operation(summary: str, parameters: Sequence[Parameter], answers: Mapping[str, Any]) -> dict[str, Any]:
    refused = {"400": "what is asked makes no sense", "401": "a key is needed", "403": "outside of the key's scope"}
    errors = {**refused, "404": "no such thing", "406": "no such form", "503": "ClickHouse does not answer"}
    return {
        "summary": summary,
        "parameters": [
            {
                "name": parameter.name,
                "in": "path" if parameter.name == "id" else "query",
                "required": parameter.required,
                "description": parameter.about,
                "schema": {"type": "string"},
                "example": parameter.example,
            }
            for parameter in parameters
        ],
        "responses": {
            **answers,
            **{code: {"description": about, "content": {JSON: {"schema": _ERROR}}} for code, about in errors.items()},
        },
    }


def _answer(schema: Mapping[str, Any], also: Sequence[str] = ()) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": schema}, **{kind: {} for kind in also}}
    return {
        "200": {"description": "what was asked for; with an ETag", "content": content},
        "304": {"description": "unchanged since the ETag in If-None-Match"},
    }


def _object(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": kind} for name, kind in fields.items()}}


_NUMBER: Final = {"type": ["number", "null"]}
_SCORE: Final = {
    "type": "object",
    "required": ["scope", "metric", "scale", "start", "seconds", "n", "score", "low", "high", "unit", "status"],
    "properties": {
        "scope": {"type": "object", "additionalProperties": {"type": "string"}},
        **{name: {"type": "string"} for name in ("metric", "scale", "start", "unit", "method")},
        **{name: {"type": "integer"} for name in ("seconds", "n", "s1", "s2")},
        **dict.fromkeys(("score", "low", "high", "detectable"), _NUMBER),
        "status": {"enum": ["ok", "insufficient"]},
        "leads": {
            "enum": ["raw", "one_voice"],
            "description": "where the definition weighs customers: which figure is the score of record, this one or"
            " that of one voice per customer (`voice_n`, `voice_score`, `voice_low`, `voice_high`)",
        },
        **dict.fromkeys(("voice_n", "voice_score", "voice_low", "voice_high"), _NUMBER),
        "histogram": {"type": "array", "items": {"type": "integer"}},
    },
}
