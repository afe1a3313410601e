"""One HTTP call to a receiver, and what its answer means (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from pipeline.alerts.outbox import Answer

#: Answers after which the same call may go through later; all 5xx do so as well.
_LATER = frozenset({408, 425, 429})
_GONE = 410


@dataclass(frozen=True, slots=True)
class Call:
    """A POST: where to, what, with which headers. Neither address nor headers are ever shown."""

    url: str = field(repr=False)
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def json_call(url: str, document: object, headers: Mapping[str, str] | None = None) -> Call:
    """A call with a JSON body."""
    return Call(url, orjson.dumps(document), {"content-type": "application/json", **(headers or {})})


def with_authorization(fields: Mapping[str, object]) -> dict[str, str]:
    """The header of a receiver that wants one (`Bearer ...`, `Basic ...`)."""
    return {"authorization": str(fields["authorization"])} if fields.get("authorization") else {}


def meaning(status: int, retry_after: str, now_ms: int) -> Answer:
    """What an HTTP status says about a message and its receiver."""
    if 200 <= status < 300:
        return Answer("sent", str(status))
    if status == _GONE:
        return Answer("gone", "410 Gone: the receiver wants nothing more")
    if status >= 500 or status in _LATER:
        return Answer("again", f"answered {status}", seconds(retry_after, now_ms))
    if 300 <= status < 400:
        return Answer("refused", f"answered {status}: redirects are not followed")
    return Answer("refused", f"answered {status}")


def seconds(retry_after: str, now_ms: int) -> float:
    """Retry-After in seconds: a number, or a date; 0 for nonsense."""
    text = retry_after.strip()
    if text.isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds())
