"""The OpenAPI 3.1 document of the gateway, from the records and the answers [I/O].

`python -m pipeline.intake.openapi` writes openapi.json beside this file, `--check` says whether it drifted (exit 3).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from pipeline.intake import operations
from pipeline.intake.answers import Answer, Limits, Problem
from pipeline.intake.bodies import MAX_BODY_BYTES, MAX_EVENTS
from pipeline.intake.idempotency import MAX_HEADER
from pipeline.intake.integrations import integrations
from pipeline.intake.operations import content, either, later, problem, verdicts
from schemas.feedback import Feedback
from schemas.generate import json_schema
from schemas.touchpoint import VERSION, Touchpoint

FILE = Path(__file__).with_name("openapi.json")

_ABOUT = (
    "Events over HTTP, with a verdict for each. 202 means that Kafka has acknowledged every event with acks=all. "
    "An event without an `event_id` needs the header Idempotency-Key, which names it."
)
_EVENT = {"$ref": "#/components/schemas/Event"}
_CLOUD = {"$ref": "#/components/schemas/CloudEvent"}
_FEEDBACK = {
    "event_id": "4f1c-1", "occurred_at": "2026-11-25T12:00:00Z", "channel": "web", "touchpoint": "checkout",
    "customer_id": "c-1", "metric": "nps", "score": 9, "text": "Quick and friendly.",
}  # fmt: skip
_ENVELOPE = {
    "specversion": "1.0", "id": "4f1c-1", "source": "/channels/web/shop", "type": "touchline.feedback.v1",
    "time": "2026-11-25T12:00:00Z", "subject": "c-1", "data": {"channel": "web", "metric": "csat", "score": 4},
}  # fmt: skip


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Touchline gateway",
            "version": f"{VERSION}.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/events": {"post": _post(), "options": _handshake()},
            "/v1/limits": {"get": _limits()},
            "/v1/in/{integration}/{key}": operations.webhook(sorted(integrations())),
            **operations.contacts(),
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "a token of `touchline keys create`"}
            },
            "schemas": _schemas(),
        },
    }


def written() -> bytes:
    """The bytes of the committed file."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def main(arguments: list[str]) -> int:
    """`python -m pipeline.intake.openapi [--check]`: 0 done or no drift, 2 wrong use, 3 drift."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m pipeline.intake.openapi [--check]\n")
        return 2
    if not arguments:
        FILE.write_bytes(written())
        return 0
    if FILE.read_bytes() != written():
        sys.stderr.write("openapi.json drifted from the records; run: python -m pipeline.intake.openapi\n")
        return 3
    return 0


def _post() -> dict[str, Any]:
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": MAX_EVENTS}]},
            "example": _FEEDBACK,
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "one event a line"}},
        "application/cloudevents+json": {"schema": _CLOUD, "example": _ENVELOPE},
        "application/cloudevents-batch+json": {
            "schema": {"type": "array", "items": _CLOUD, "minItems": 1, "maxItems": MAX_EVENTS},
            "example": [_ENVELOPE],
        },
    }
    return {
        "operationId": "sendEvents",
        "summary": "Send one event or a batch",
        "description": (
            f"At most {MAX_EVENTS} events and {MAX_BODY_BYTES} bytes (unpacked; gzip and zstd are read). The media type"
            " decides what the body is; with headers `ce-*` it is the data of a CloudEvent in binary mode."
        ),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "names events that have no `event_id`; the same header and body again count once",
                "schema": {"type": "string", "maxLength": MAX_HEADER},
            }
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "202": verdicts("all events are accepted"),
            "207": verdicts("some events are accepted"),
            "400": either("no event is accepted, or the body cannot be read"),
            "401": problem("no valid key; the same body whatever is wrong with it"),
            "403": either("the key may not write, or no event lies within its scope"),
            "408": problem("the body was not here in time"),
            "413": problem("too many bytes or events"),
            "415": problem("a media type, charset or encoding that is not read"),
            "422": problem("another body came under this Idempotency-Key, as far as this gateway remembers"),
            "429": later("over the limit of events a second"),
            "431": operations.CROWDED,
            "500": problem("a defect of the gateway"),
            "503": later("Kafka does not acknowledge: nothing of this request is promised"),
        },
    }


def _handshake() -> dict[str, Any]:
    origin = {"name": "WebHook-Request-Origin", "in": "header", "schema": {"type": "string"}}
    told = {"schema": {"type": "string"}}
    return {
        "operationId": "handshake",
        "summary": "CloudEvents' webhook handshake",
        "security": [],
        "parameters": [origin],
        "responses": {
            "200": {
                "description": "events may be sent",
                "headers": {"Allow": told, "WebHook-Allowed-Origin": told, "WebHook-Allowed-Rate": told},
            }
        },
    }


def _limits() -> dict[str, Any]:
    return {
        "operationId": "limits",
        "summary": "What one request may hold, and how much a key may send",
        "security": [],
        "responses": {"200": content("the limits of this gateway", "Limits")},
    }


def _schemas() -> dict[str, Any]:
    records = (Answer, Problem, Limits, *operations.RECORDS)
    _, answers = msgspec.json.schema_components(records, ref_template="#/components/schemas/{name}")
    events = {}
    for record in (Feedback, Touchpoint):
        schema = json_schema(record)
        schema.pop("$schema")
        schema.pop("$id")
        schema = _moved(schema)
        events.update(schema.pop("$defs", {}))
        # An Idempotency-Key names what has no name.
        schema["required"] = [name for name in schema["required"] if name != "event_id"]
        events[record.__name__] = schema
    named = [{"$ref": f"#/components/schemas/{record.__name__}"} for record in (Feedback, Touchpoint)]
    cloud = {
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1},
            "type": {"enum": [f"touchline.{name}.v{VERSION}" for name in ("feedback", "touchpoint")]},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"type": "string"},
            "datacontenttype": {"type": "string"},
            "data": {"type": "object"},
            "data_base64": {"type": "string", "contentEncoding": "base64"},
        },
    }
    return {**answers, **events, "Event": {"anyOf": named}, "CloudEvent": cloud}


def _moved(value: Any) -> Any:
    """A schema whose references lead into the document's components."""
    if isinstance(value, dict):
        return {name: _moved(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner) for inner in value]
    return value.replace("#/$defs/", "#/components/schemas/") if isinstance(value, str) else value


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
