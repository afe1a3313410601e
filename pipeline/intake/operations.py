"""Operations of the OpenAPI document beside /v1/events: webhooks, producers, the contact policy; and their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.intake.bodies import MAX_HEADER_BYTES
from pipeline.intake.contacts import Asking, Bounced, Chosen, Invited, Producer

#: Records of these operations, for the document's components.
RECORDS = (Asking, Invited, Chosen, Bounced, Producer)

_ASKED = {"customer_id": "c-4711", "survey": "delivery-nps", "invitation": "mail-1"}
_CHOSEN = {"customer_id": "c-4712", "choice": "opt_out"}
_BOUNCED = {"customer_id": "c-4711", "invitation": "mail-1"}


def webhook(names: Sequence[str]) -> dict[str, Any]:
    """Where the tools of other makers deliver; GET is how some of them ask whether anybody is there."""
    parameters = [
        {
            "name": "integration",
            "in": "path",
            "required": True,
            "description": "whose format it is, see docs/integrations.md",
            "schema": {"enum": list(names)},
        },
        {
            "name": "key",
            "in": "path",
            "required": True,
            "description": "a token of `touchline keys create`: tools can rarely set a header",
            "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_]+$"},
        },
    ]
    post = {
        "operationId": "deliver",
        "summary": "A webhook of another tool, in its own format",
        "description": (
            "Answered with 2xx once Kafka has the events and the body is kept, also when some events are refused: the"
            " tool cannot mend them. The answer's status is the one that the tool wants."
        ),
        "security": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "responses": {
            "200": verdicts("taken; a verdict for each event"),
            "202": verdicts("taken; a verdict for each event"),
            "400": problem("no JSON"),
            "401": problem("no valid key, or no valid signature where a secret is known"),
            "403": problem("the key may not write"),
            "404": problem("no integration of that name"),
            "408": problem("the body was not here in time"),
            "413": problem("too many bytes or events"),
            "415": problem("an encoding that is not read"),
            "429": later("over the limit of events a second"),
            "431": CROWDED,
            "500": problem("a defect of the gateway"),
            "503": later("come again: Kafka or the keeping of bodies does not answer"),
        },
    }
    here = {
        "operationId": "here",
        "summary": "Whether anybody is there",
        "security": [],
        "responses": {"200": {"description": "yes", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    }
    return {"parameters": parameters, "post": post, "get": here}


def contacts() -> dict[str, Any]:
    """Who sends; the contact policy."""
    listed = content("everybody who sent in the last 35 days, the troubled ones first", "Producer")
    shown = listed["content"]["application/json"]
    shown["schema"] = {"type": "array", "items": shown["schema"]}
    producers = {
        "operationId": "producers",
        "summary": "Who sends, who turned bad and who fell silent",
        "responses": {"200": listed, **_REFUSALS, "403": problem("the key may not read, or not everything")},
    }
    return {
        "/v1/producers": {"get": producers},
        "/v1/invitations": _asking(
            ("invite", "May this customer be surveyed? A yes is written down"),
            ("Asking", _ASKED),
            {"200": content("the answer", "Invited")},
        ),
        "/v1/choices": _asking(
            ("choose", "A customer opted out, gave or withdrew consent"), ("Chosen", _CHOSEN), {"204": _DONE}
        ),
        "/v1/bounces": _asking(
            ("bounce", "An invitation did not arrive"),
            ("Bounced", _BOUNCED),
            {"204": _DONE, "404": problem("no such invitation of this customer")},
        ),
    }


def _asking(named: tuple[str, str], asked: tuple[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{asked[0]}"}, "example": asked[1]}
    return {
        "post": {
            "operationId": named[0],
            "summary": named[1],
            "requestBody": {"required": True, "content": {"application/json": schema}},
            "responses": {
                **answered,
                **_REFUSALS,
                "400": problem("the body is not what is asked for; the detail begins with the path"),
                "403": problem("the key has no right to contact, or not for this brand or channel"),
                "408": problem("the body was not here in time"),
                "413": problem("too many bytes"),
                "415": problem("an encoding that is not read"),
            },
        }
    }


def content(description: str, *names: str) -> dict[str, Any]:
    """A response of one of these records."""
    found = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def verdicts(description: str) -> dict[str, Any]:
    """A response with a verdict for each event."""
    return content(description, "Answer")


def problem(description: str) -> dict[str, Any]:
    """A response to a request that is not looked at further."""
    return content(description, "Problem")


def either(description: str) -> dict[str, Any]:
    """The one or the other."""
    return content(description, "Answer", "Problem")


def later(description: str) -> dict[str, Any]:
    """A response that says when to come again."""
    after = {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
    return {**problem(description), "headers": {"Retry-After": after}}


CROWDED = problem(f"more than {MAX_HEADER_BYTES} bytes of headers")
_DONE = {"description": "written down"}
_REFUSALS = {
    "401": problem("no valid key; the same body whatever is wrong with it"),
    "429": later("over the limit of requests a second"),
    "431": CROWDED,
    "500": problem("a defect of the gateway"),
    "503": later("ClickHouse does not answer"),
}
