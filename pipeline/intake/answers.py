"""What the gateway answers: a verdict for each event, one body for everything else. Pure.

These records are also the schemas of the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

import msgspec

from pipeline.intake.admission import Judged
from schemas.vocabulary import Reason


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event; `index` counts from 0. A refused one has a reason and the path of what is wrong.

    Of an accepted one that is `truncated` the first 10,000 characters of the text are kept.
    """

    index: int
    event_id: str
    verdict: Literal["accepted", "rejected"]
    reason: Reason | None = None
    path: str | None = None
    detail: str | None = None
    truncated: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts of one request, in the order of its events."""

    accepted: int
    rejected: int
    items: list[Verdict]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not looked at, event by event; `error` is one word, `detail` a sentence for people."""

    error: str
    detail: str


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Events a second; 0 means without a limit."""

    key: float
    all: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may hold, and how much a key may send to this gateway."""

    max_events: int
    max_bytes: int
    max_event_bytes: int
    read_timeout_s: float
    content_types: list[str]
    content_encodings: list[str]
    events_per_second: Rate


encode = msgspec.json.Encoder().encode


def answer_of(judged: Sequence[Judged]) -> Answer:
    """The verdicts of events of which the valid ones are acknowledged."""
    items = [
        Verdict(index=index, event_id=each.event_id, verdict="accepted")
        if each.rejection is None and not each.truncated
        else _told(index, each)
        for index, each in enumerate(judged)
    ]
    rejected = sum([each.rejection is not None for each in judged])
    return Answer(accepted=len(items) - rejected, rejected=rejected, items=items)


def _told(index: int, each: Judged) -> Verdict:
    """The verdict of an event of which there is more to say."""
    if each.rejection is None:
        return Verdict(index=index, event_id=each.event_id, verdict="accepted", truncated=each.truncated)
    _, reason, path, detail = each.rejection
    return Verdict(index=index, event_id=each.event_id, verdict="rejected", reason=reason, path=path, detail=detail)


def status_of(answer: Answer) -> HTTPStatus:
    """202 when all are in, 207 when some, 400 when none (403 when none lies within the key's scope)."""
    if not answer.rejected:
        return HTTPStatus.ACCEPTED
    if answer.accepted:
        return HTTPStatus.MULTI_STATUS
    foreign = all(item.reason is Reason.OUT_OF_SCOPE for item in answer.items)
    return HTTPStatus.FORBIDDEN if foreign else HTTPStatus.BAD_REQUEST
