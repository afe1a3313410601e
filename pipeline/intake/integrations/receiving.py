"""One delivery of a tool: signed, read, mapped; events, rejections, or why it is not looked at. Pure: time is given."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from pipeline.intake.integrations.contract import Event, Integration, Options
from pipeline.intake.integrations.signatures import sent
from schemas.explain import DECODE_ERRORS, Rejection
from schemas.vocabulary import Reason, Stage

#: Events of one delivery: a batch of Segment's has a hundred or two.
MAX_EVENTS = 2_000
#: Only these headers are looked at, and kept with the body: mappers need them, cookies and tokens nobody.
_KEPT = ("webhook-id", "webhook-timestamp", "x-shopify-")


class Unread(NamedTuple):
    """Why a delivery is not looked at: the status to answer with, one word, a sentence."""

    status: int
    error: str
    detail: str


def receive(
    integration: Integration, headers: Mapping[str, str], body: bytes, options: Options, now_s: float
) -> list[Event | Rejection] | Unread:
    """What a delivery holds. A tool that signs is asked for its signature as soon as its secret is known here."""
    lower = {name.lower(): value for name, value in headers.items()}
    if (
        integration.verify is not None
        and options.secrets
        and not integration.verify(lower, body, options.secrets, now_s)
    ):
        return Unread(HTTPStatus.UNAUTHORIZED, "bad_signature", f"no valid signature of {integration.title}")
    return remap(integration, {name: _readable(value) for name, value in lower.items()}, body, options)


def remap(
    integration: Integration, headers: Mapping[str, str], body: bytes, options: Options, most: int = MAX_EVENTS
) -> list[Event | Rejection] | Unread:
    """The same of a body that was taken before: its signature has been looked at. `most` events are in it."""
    try:
        payload = msgspec.json.decode(body)
    except DECODE_ERRORS:
        return Unread(HTTPStatus.BAD_REQUEST, "not_json", "the body is no JSON")
    try:
        events = integration.mapped(payload, headers, options)
    # The edge to what others send: a defect of a mapper must not make its tool come again for days; the body is kept.
    except Exception as error:  # noqa: BLE001
        return [Rejection(Stage.VALIDATE, Reason.STEP_FAILED, "$", type(error).__name__)]
    if len(events) > most:
        return Unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many", f"at most {most} events in one delivery")
    return events


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a mapper may need again."""
    return {name.lower(): _readable(value) for name, value in headers.items() if name.lower().startswith(_KEPT)}


def _readable(value: str) -> str:
    """A header's value that can be written: bytes that were no UTF-8 are marked."""
    return sent(value).decode(errors="replace")
