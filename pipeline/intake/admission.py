"""What becomes of each value of a request: an event ready for Kafka, or a reason and a path. Pure: time is an argument.

Most values are bare JSON of our own fields and cost one typed decode and one encode, without a look at any envelope.
Whatever is not (an envelope, an unknown field, something broken or near a limit) is judged singly by schemas/codec.py,
so a verdict here is the verdict of the worker. An event is always written anew: nothing that a producer sends besides
our fields and flat attributes gets into a topic.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from pipeline.access.keys import Grant
from pipeline.arrival import checks
from pipeline.arrival.rules import ArrivalRules
from pipeline.customers.cleaning import cleaned
from pipeline.customers.masking import LEAST_ID, mask_text
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.intake.bodies import Items
from pipeline.intake.producing import is_pseudonym, key_of, refusal, with_pseudonym
from schemas import envelopes, guards
from schemas.codec import check, decode, encode
from schemas.envelopes import Headers, Mode
from schemas.explain import DECODE_ERRORS, Rejection, explain, reject
from schemas.feedback import Feedback, Reference
from schemas.limits import MAX_KEYS, MAX_NAME, MAX_TEXT
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Reason

Event = Touchpoint | Feedback
#: What is done with fields that our records do not have.
Unknown = Literal["attributes", "refuse"]


class _Reference(Reference, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A reference that says when there is more in it than we know."""


class _Feedback(Feedback, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Feedback that says when there is more in a value than we know, and is written without its defaults."""

    ref: _Reference | None = None


class _Touchpoint(Touchpoint, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """The same of a touchpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """How a deployment takes events. `pseudonyms` is set where the gateway makes them. Two are never equal: asked for
    each request, the comparison of all fields would cost as much as decoding an event.
    """

    arrival: ArrivalRules
    pseudonyms: Pseudonyms | None = None
    unknown: Unknown = "attributes"


class Judged(NamedTuple):
    """One value: topic, Kafka key and bytes to send, its event id (empty when it has none), or why it is refused.

    A refused one has no topic and no key; its bytes are those that came (made into one value where headers belong to
    them), to be kept. The text of one that is `truncated` was cut here.
    """

    topic: str
    key: bytes
    value: bytes
    event_id: str
    rejection: Rejection | None
    truncated: bool = False


_feedback = msgspec.json.Decoder(_Feedback).decode
_touchpoint = msgspec.json.Decoder(_Touchpoint).decode
_write = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode
_TOPIC_OF: dict[type[msgspec.Struct], str] = {
    **dict.fromkeys((Feedback, _Feedback), "feedback"),
    **dict.fromkeys((Touchpoint, _Touchpoint), "touchpoints"),
}
_FIELDS: dict[type[msgspec.Struct], frozenset[str]] = {
    record: frozenset(field.encode_name for field in msgspec.structs.fields(record))
    for record in (Feedback, Touchpoint, Reference)
}
#: Words that most events leave to their default; who writes them out gets the same bytes as who does not.
_WORDY = ((b',"brand":"default"', b""), (b',"question_id":"q1"', b""))


class _Id(msgspec.Struct):
    """The name of an event that is otherwise unreadable; `id` is an envelope's."""

    event_id: str = ""
    id: str = ""


_id = msgspec.json.Decoder(_Id).decode


def judge(items: Items, grant: Grant, rules: Rules, now_ms: int) -> list[Judged]:
    """A verdict for each value, in order. `now_ms` is the broker's time as far as it is known."""
    bounds = _bounds(grant, rules, now_ms)
    near = not guards.all_within(items.values)
    judged: list[Judged] = []
    for value, headers in zip(items.values, items.headers, strict=True):
        careful = headers or (near and guards.may_exceed(value))
        found = _careful(value, headers, rules.unknown) if careful else _usual(value, rules.unknown)
        if isinstance(found, Rejection):
            judged.append(_refused(value, headers, found))
        else:
            judged.append(_judged(found, bounds, _enveloped(value, headers) if headers else value))
    return judged


def judge_events(events: Sequence[Event], grant: Grant, rules: Rules, now_ms: int) -> list[Judged]:
    """The same for events that were made from something else (a webhook's payload)."""
    bounds = _bounds(grant, rules, now_ms)
    return [_judged(event, bounds, None) for event in events]


def own(value: bytes, unknown: Unknown) -> Event | Rejection:
    """A bare value of our own fields as an event, or why it is none; scope, time and customer are not judged here."""
    return _careful(value, (), unknown) if guards.may_exceed(value) else _usual(value, unknown)


class _Bounds(NamedTuple):
    """What the events of one request are held against. `grant` is None where every scope is within."""

    oldest: datetime
    newest: datetime
    grant: Grant | None
    rules: Rules


@lru_cache(maxsize=64)
def _bounds(grant: Grant, rules: Rules, now_ms: int) -> _Bounds:
    """Requests of one key in one millisecond share them."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    oldest = now - timedelta(milliseconds=rules.arrival.max_age_ms)
    newest = now + timedelta(milliseconds=rules.arrival.max_ahead_ms)
    return _Bounds(oldest, newest, None if grant.unbounded else grant, rules)


def _usual(value: bytes, unknown: Unknown) -> Event | Rejection:
    """A bare value within all limits as an event; whatever is not quite that is looked at carefully."""
    try:
        return _feedback(value) if b'"metric"' in value else _touchpoint(value)
    except DECODE_ERRORS:
        return _careful(value, (), unknown)


def _careful(value: bytes, headers: Headers, unknown: Unknown) -> Event | Rejection:
    found = decode("history", [value], [headers])  # the topic that takes both records
    read = found.events[0]
    if read is None:
        bad = found.rejections[0]
        return bad._replace(path=bad.path.replace("headers.ce_", "headers.ce-"))
    try:
        extra = _unknown(read, _data_of(value, headers))
    except DECODE_ERRORS as error:  # in a field that is none of ours, which the codec skips unread
        return explain(error, value)
    event = _with_extra(read, extra, unknown) if extra else read
    return event if isinstance(event, Rejection) else refusal(event, encode(event)) or event


def _judged(event: Event, bounds: _Bounds, came: bytes | None) -> Judged:
    """`came` is the value as it was sent, None for an event that was made from something else."""
    bad = _fault(event, bounds)
    if bad is not None:
        return Judged("", b"", encode(event) if came is None else came, event.event_id, bad)
    value, cut = written(event), False
    if _may_be_plain(event, value):
        whole, event = event, cleaned(event)
        cut = _truncated(event) and not _truncated(whole)
        value = written(event)
    if bounds.rules.pseudonyms is not None:
        event = with_pseudonym(event, bounds.rules.pseudonyms)
        value = written(event)
    return Judged(_TOPIC_OF[type(event)], key_of(event), value, event.event_id, None, cut)


def _fault(event: Event, bounds: _Bounds) -> Rejection | None:
    """What is wrong with an event that could be read: its answer, its time, its customer's form, its scope."""
    if isinstance(event, Feedback) and (bad := check(event)):
        return bad
    if not bounds.oldest <= event.occurred_at <= bounds.newest:
        return checks.bad_time("", bounds.rules.arrival)
    plain = event.customer_id
    if plain and plain[0] == "k" and bounds.rules.pseudonyms is None and is_pseudonym(plain):
        return checks.wrong_form("plain")
    if bounds.grant is not None and (dimension := bounds.grant.outside(event.channel, event.brand, event.unit)):
        return reject(Reason.OUT_OF_SCOPE, f"$.{dimension}", "the key is not for it")
    return None


def written(event: Event) -> bytes:
    """The event as schemas/codec.py writes it, faster where that is the same."""
    if event.attributes or not (isinstance(event, _Touchpoint) or (isinstance(event, _Feedback) and event.ref is None)):
        return encode(event)
    value = _write(event)
    # No attributes: outside of strings, where a quote would be escaped, these can only be our own fields.
    if b'"default"' in value or b'"q1"' in value:
        for wordy, nothing in _WORDY:
            value = value.replace(wordy, nothing)
    return value


def _may_be_plain(event: Event, value: bytes) -> bool:
    """Whether there may be something to mask or cut: an address, a number or no end of a text, the own id again."""
    if event.attributes or b"@" in value:
        return True
    text = event.text if isinstance(event, Feedback) else None
    if text and (len(text) > MAX_TEXT or mask_text(text) != text):
        return True
    plain = event.customer_id
    if plain is None or len(plain) < LEAST_ID:
        return False
    # As it is written in the value, escapes and all.
    return value.count(plain.encode() if plain.isalnum() else _write(plain)[1:-1]) > 1


def _truncated(event: Event) -> bool:
    return isinstance(event, Feedback) and event.truncated


def _data_of(value: bytes, headers: Headers) -> bytes:
    """The bytes of the event itself, in whatever envelope a value that could be read came."""
    mode = envelopes.mode_of(headers)
    payload = envelopes.unframe(value) or b""
    if mode is Mode.BINARY:
        cloud = envelopes.open_binary(payload, headers)
    elif mode is Mode.STRUCTURED or (b'"specversion"' in payload and "channel" not in _any(payload)):
        cloud = envelopes.open_structured(payload, headers)
    else:
        return payload
    return payload if isinstance(cloud, Rejection) else cloud.data


def _unknown(event: Event, data: bytes) -> dict[str, Any]:
    """The fields that our records do not have."""
    whole = _any(data)
    extra = {name: value for name, value in whole.items() if name not in _FIELDS[type(event)]}
    reference = whole.get("ref") if isinstance(event, Feedback) else None
    for name, value in (reference or {}).items():
        if name not in _FIELDS[Reference]:
            extra[f"ref.{name}"] = value
    return extra


def _with_extra(event: Event, extra: dict[str, Any], policy: Unknown) -> Event | Rejection:
    """The event with unknown fields among its attributes (its own go first), or the rejection of the first."""
    first = next(iter(extra))
    if policy == "refuse":
        return reject(Reason.UNKNOWN_FIELD, _path(first), "no field of ours; attributes take what is your own")
    for name, value in extra.items():
        if isinstance(value, dict | list):
            return reject(Reason.UNKNOWN_FIELD, _path(name), "no field of ours, and attributes are never nested")
        if not 0 < len(name) <= MAX_NAME or (isinstance(value, str) and len(value) > MAX_TEXT):
            return reject(Reason.TOO_LONG, _path(name), f"a name of at most {MAX_NAME} signs, a text of {MAX_TEXT}")
    attributes = {**extra, **event.attributes}
    if len(attributes) > MAX_KEYS:
        return reject(Reason.TOO_MANY_KEYS, "$.attributes", f"{len(attributes)} with the unknown fields")
    return msgspec.structs.replace(event, attributes=attributes)


def _path(name: str) -> str:
    return f"$.{name[:MAX_NAME]}"


def _refused(value: bytes, headers: Headers, rejection: Rejection) -> Judged:
    """A value that is no event; its name all the same when it can be found."""
    name = dict(headers).get("ce_id", b"").decode("utf-8", "replace")
    if not name and not guards.may_exceed(value):
        with contextlib.suppress(*DECODE_ERRORS):
            found = _id(value)
            name = found.event_id or found.id
    return Judged("", b"", _enveloped(value, headers), name[:MAX_NAME], rejection)


def _enveloped(value: bytes, headers: Headers) -> bytes:
    """A binary CloudEvent as a structured one, so that its attributes are kept with it; anything else as it came."""
    if envelopes.mode_of(headers) is not Mode.BINARY:
        return value
    attributes = {name.removeprefix("ce_"): text.decode("utf-8", "replace") for name, text in headers}
    try:
        return _write({**attributes, "data": _any(value)})
    except DECODE_ERRORS:
        return _write({**attributes, "data_base64": value})
