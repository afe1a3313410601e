"""What an integration is, and what its mapper may use: fields of our records from whatever a payload holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.intake.admission import Unknown
from schemas.codec import check, check_size, decode_record
from schemas.explain import Rejection, reject
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Reason

Event = Touchpoint | Feedback
#: Headers of a delivery, names in lower case.
Headers = Mapping[str, str]
#: (headers, raw body, secrets, seconds since 1970) -> whether one of the secrets signed this body.
Verify = Callable[[Headers, bytes, Sequence[str], float], bool]

#: A delivery is answered within so many seconds. Segment, Intercom and Shopify wait for 5, and Shopify gives up on whom
#: it has waited for in vain too often; who says nothing of it is taken to be no more patient.
PATIENCE_S = 4.0

#: A metric by the beginning of a question's reference, where the deployment says nothing of it.
_BY_PREFIX = ("nps", "csat", "ces", "rating")
_SCALE = re.compile(r"(nps|csat|ces|rating|sentiment_only)(?: (-?\d{1,2})-(\d{1,2}))?")
_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Options:
    """What a deployment says of one integration (its table in the file of `TOUCHLINE_INTEGRATIONS`).

    `secrets` sign; `fields` are set in every event (brand, unit, ...), whatever its payload says; `questions` says what
    a question measures: reference -> "nps", "csat 1-7", ...; `touchpoints` renames: their event -> our touchpoint.
    `unknown` is not in that table: it is the deployment's policy for fields of an event of ours that we do not know.
    """

    secrets: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict)
    touchpoints: Mapping[str, str] = field(default_factory=dict)
    unknown: Unknown = "attributes"


@dataclass(frozen=True, slots=True)
class Integration:
    """One tool: `mapped` makes events of its payload; what is none of ours gives an empty list.

    `verify` is None for a tool that does not sign: then the key in the URL is all there is. `answer` is what the tool
    must be told when its delivery was taken, `name` the word in the URL. `patience_s`: it has its answer by then.
    """

    name: str
    title: str
    mapped: Callable[[Any, Headers, Options], list[Event | Rejection]]
    verify: Verify | None = None
    answer: int = 200
    patience_s: float = PATIENCE_S


def feedback(options: Options, /, **fields: Any) -> Feedback | Rejection:
    """A feedback event of these fields; what is None or "" is not given. A rejection says what is wrong with them."""
    event = _event(Feedback, options, fields)
    wrong = (check(event) or check_size(event)) if isinstance(event, Feedback) else None
    return wrong or event


def touchpoint(options: Options, /, **fields: Any) -> Touchpoint | Rejection:
    """A touchpoint of these fields, renamed where the deployment says so."""
    name = fields.get("touchpoint")
    if isinstance(name, str):
        fields["touchpoint"] = options.touchpoints.get(name, name)
    made: Touchpoint | Rejection = _event(Touchpoint, options, fields)
    return made


def missing(path: str) -> Rejection:
    """The rejection of a payload without what its tool always sends."""
    return reject(Reason.MISSING_FIELD, path, "the payload has no such field")


def measured(options: Options, reference: str) -> dict[str, Any] | None:
    """Metric and scale of a question by its reference: as the deployment says, else by its beginning; None: neither."""
    said = options.questions.get(reference)
    if said is None:
        metric = next((word for word in _BY_PREFIX if reference.lower().startswith(word)), None)
        return {"metric": metric} if metric else None
    found = _SCALE.fullmatch(said)
    if found is None:
        return None
    scale = {"scale_min": int(found[2]), "scale_max": int(found[3])} if found[2] else {}
    return {"metric": found[1], **scale}


def slug(text: str) -> str:
    """A name of a touchpoint from words: "Order Completed" is order_completed."""
    return _SLUG.sub("_", text.lower()).strip("_")[:200]


def since_1970(seconds: Any) -> str | None:
    """A unix time (seconds, as a number or its text) as RFC 3339; None when it is none."""
    try:
        return datetime.fromtimestamp(float(seconds), UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def milliseconds(text: Any) -> int | None:
    """A time in RFC 3339 as ms since 1970, for revisions; None when it is none."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def at(document: Any, *path: str) -> Any:
    """What lies at a path of nested objects, None where it does not go on."""
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def items(value: Any) -> list[Any]:
    """The elements of a list; of anything else none."""
    return value if isinstance(value, list) else []


def first(*values: Any) -> Any:
    """The first that is neither None nor ""."""
    return next((value for value in values if value not in (None, "")), None)


def word(value: Any) -> str | None:
    """An id as text: numbers become their digits; nothing else but texts and numbers is an id."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)


def _event(record: Any, options: Options, fields: dict[str, Any]) -> Any:
    given = {name: value for name, value in fields.items() if value not in (None, "", {})}
    try:
        return decode_record(record, orjson.dumps({**given, **options.fields}))
    except orjson.JSONEncodeError:
        return reject(Reason.OUT_OF_RANGE, "$", "a number or a text that JSON cannot hold")
