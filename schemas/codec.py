"""Bytes to events and back: the only place where a value from Kafka becomes a record of ours.

A run of values is decoded at once. Most values are bare JSON of our own types and cost one typed decode; whatever is
not (an envelope, a broken value, one near a limit) is looked at singly, and nothing in a value can raise. Numbers and
words are never coerced. Unknown fields are dropped unread, so a producer may send more than we know. Of two equal keys
the later counts.

A rejection's path points into the event itself, whatever envelope it came in; only a fault of the envelope has a path
in the envelope (`$.type`) or in the headers (`headers.ce_type`). Whether an answer fits its metric's scale is `check`:
the worker asks that over columns, producers and tests of one event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from schemas import envelopes, guards
from schemas.envelopes import Cloud, Headers, Mode
from schemas.explain import DECODE_ERRORS, Rejection, explain, reject
from schemas.feedback import SCALES, Feedback
from schemas.limits import MAX_DEPTH, MAX_KEYS, MAX_TEXT, MAX_VALUE_BYTES
from schemas.profile import Profile
from schemas.touchpoint import VERSION, Touchpoint
from schemas.vocabulary import Reason

__all__ = ["Decoded", "Rejection", "check", "check_size", "decode", "decode_profile", "decode_record", "encode"]

Event = Touchpoint | Feedback
S = TypeVar("S", bound=msgspec.Struct)


class Decoded(NamedTuple):
    """What became of a run of values: one event each, or None where `rejections` or `tombstones` name the index."""

    events: list[Touchpoint | Feedback | None]
    rejections: dict[int, Rejection]
    tombstones: list[int]


class _Reader(NamedTuple):
    """How one topic's values are read: `read` takes bare JSON, `by_record` the decoder of each record it may carry."""

    read: Callable[[bytes], Any]
    by_record: Mapping[str, Callable[[bytes], Any]]


_touchpoint = msgspec.json.Decoder(Touchpoint).decode
_feedback = msgspec.json.Decoder(Feedback).decode


def _either(value: bytes) -> Event:
    """Feedback when the top level has a `metric`, else a touchpoint. The key must be written without escapes."""
    if b'"metric"' not in value:
        return _touchpoint(value)
    try:
        return _feedback(value)
    except msgspec.ValidationError:
        if bytes(envelopes.top_of(value).metric):
            raise
        return _touchpoint(value)


_READERS: dict[str, _Reader] = {
    "touchpoints": _Reader(_touchpoint, {"touchpoint": _touchpoint}),
    "feedback": _Reader(_feedback, {"feedback": _feedback}),
    "history": _Reader(_either, {"touchpoint": _touchpoint, "feedback": _feedback}),
}


def decode(topic: str, values: Sequence[bytes | None], headers: Sequence[Headers]) -> Decoded:
    """Decode a run of values of one topic (its plain name: touchpoints, feedback or history).

    `headers` has one tuple for each value. Bad values are rejections, never exceptions; KeyError for another topic.
    """
    reader = _READERS[topic]
    events: list[Any] = []
    rejections: dict[int, Rejection] = {}
    tombstones: list[int] = []
    source = iter(_prepare(values, headers))
    while True:
        try:
            # What was decoded before a bad value stays in the list, and the iterator stands behind the bad one.
            events.extend(map(reader.read, source))
        except DECODE_ERRORS:
            index = len(events)
            value = values[index]
            if value is None:
                tombstones.append(index)
                events.append(None)
                continue
            outcome = _single(reader, value, headers[index])
            if isinstance(outcome, Rejection):
                rejections[index] = outcome
                events.append(None)
            else:
                events.append(outcome)
        else:
            return Decoded(events, rejections, tombstones)


def decode_record(record: type[S], value: bytes, headers: Headers = ()) -> S | Rejection:
    """Decode one value as one of the records of schemas/topics.py."""
    return cast("S | Rejection", _single(_reader_of(record), value, headers))


@lru_cache
def _reader_of(record: type[msgspec.Struct]) -> _Reader:
    read = msgspec.json.Decoder(record).decode
    return _Reader(read, {record.__name__.lower(): read})


def decode_profile(value: bytes, headers: Headers = ()) -> Profile | Rejection:
    """Decode one value of the topic `profiles`."""
    return cast("Profile | Rejection", _single(_PROFILES, value, headers))


def encode(event: msgspec.Struct) -> bytes:
    """Bare JSON without the fields that hold their default; equal events give equal bytes."""
    if isinstance(event, Feedback | Touchpoint) and not event.attributes:
        # The record leaves its defaults out by itself, but for words that somebody wrote out.
        value = _ENCODER.encode(event)
        if b'"default"' not in value and b'"q1"' not in value:
            return value
    return _ENCODER.encode(_filled(event))


def check(feedback: Feedback) -> Rejection | None:
    """What types cannot say of one answer: a score where the metric needs one, on a scale that the metric has."""
    scales = SCALES[feedback.metric]
    given = (feedback.scale_min, feedback.scale_max)
    if not scales:
        if feedback.score is not None or given != (None, None):
            path = "$.score" if feedback.score is not None else "$.scale_min"
            return reject(Reason.BAD_SCALE, path, "sentiment_only has neither score nor scale")
        return None if feedback.text else reject(Reason.MISSING_FIELD, "$.text", "sentiment_only needs a text")
    if given == (None, None):
        low, high = scales[0]
    elif given in scales:
        low, high = given
    else:
        known = ", ".join(f"{low} to {high}" for low, high in scales)
        return reject(Reason.BAD_SCALE, "$.scale_min", f"scales of {feedback.metric.value}: {known}")
    if feedback.score is None:
        return reject(Reason.MISSING_FIELD, "$.score", f"{feedback.metric.value} needs a score")
    if not low <= feedback.score <= high:
        return reject(Reason.OUT_OF_RANGE, "$.score", f"Expected `int` from {low} to {high}")
    return None


def check_size(feedback: Feedback) -> Rejection | None:
    """Of feedback that was made and not decoded: with its whole text it is no larger than an event may be."""
    return _limits(encode(feedback)) if feedback.text and len(feedback.text) > MAX_TEXT else None


_ENCODER = msgspec.json.Encoder()
_profile = msgspec.json.Decoder(Profile).decode
_PROFILES = _Reader(_profile, {"profile": _profile})


def _prepare(values: Sequence[bytes | None], headers: Sequence[Headers]) -> Sequence[bytes]:
    """The values as the fast way takes them: an empty one, which no decoder accepts, stands for "look at it singly"."""
    plain = cast("Sequence[bytes]", values)
    if None in values:
        plain = [value or b"" for value in values]
    if any(headers):
        unsaid = Mode.UNSAID
        plain = [
            value if not extra or envelopes.mode_of(extra) is unsaid else b""
            for value, extra in zip(plain, headers, strict=True)
        ]
    if plain and plain[0][:1] in envelopes.FRAME_BYTES:  # a guess for speed: such producers frame every value
        plain = [value if len(value) > MAX_VALUE_BYTES else envelopes.unframe(value) or b"" for value in plain]
    if not guards.all_within(plain):
        plain = [b"" if guards.may_exceed(value) else value for value in plain]
    return plain


def _limits(value: bytes) -> Rejection | None:
    """The rejection of a value that is larger, deeper or has more keys than allowed."""
    if len(value) > MAX_VALUE_BYTES:
        return reject(Reason.TOO_LARGE, detail=f"{len(value)} bytes, at most {MAX_VALUE_BYTES}")
    if not guards.may_exceed(value):
        return None
    depth, keys = guards.measure(value)
    if depth > MAX_DEPTH:
        return reject(Reason.TOO_DEEP, detail=f"nested {depth} deep, at most {MAX_DEPTH}")
    if keys > MAX_KEYS:
        return reject(Reason.TOO_MANY_KEYS, detail=f"{keys} keys, at most {MAX_KEYS}")
    return None


def _single(reader: _Reader, value: bytes, headers: Headers) -> Any | Rejection:
    """One value the careful way: framing, limits, envelope, typed decode. Gives the record or a rejection."""
    if len(value) > MAX_VALUE_BYTES:
        return _limits(value)
    if not value.strip(b" \t\r\n"):
        return reject(Reason.EMPTY, detail="an empty value")
    payload = envelopes.unframe(value)
    if payload is None:
        return reject(Reason.BAD_ENVELOPE, detail="a schema id and nothing behind it")
    if bad := _limits(payload):
        return bad
    mode = envelopes.mode_of(headers)
    if mode is Mode.UNSAID:
        try:
            return reader.read(payload)
        except DECODE_ERRORS as error:
            top = envelopes.structured_top(payload)
            if top is None:
                return _explain(error, payload)
            cloud = envelopes.open_structured(payload, top=top)
    elif mode is Mode.BINARY:
        cloud = envelopes.open_binary(payload, headers)
    else:
        cloud = envelopes.open_structured(payload, headers)
    return cloud if isinstance(cloud, Rejection) else _from_cloud(reader, cloud)


def _from_cloud(reader: _Reader, cloud: Cloud) -> Any | Rejection:
    read = reader.by_record.get(cloud.record)
    if read is None:
        return reject(Reason.BAD_ENVELOPE, cloud.type_path, "the type does not fit the topic")
    if cloud.version > VERSION:
        return reject(Reason.UNKNOWN_VERSION, cloud.type_path, f"Expected a version <= {VERSION}")
    if bad := _limits(cloud.data):
        return bad
    try:
        event = read(cloud.data)
    except DECODE_ERRORS as error:
        return _explain(error, cloud.data)
    if getattr(event, "event_id", cloud.event_id) != cloud.event_id:
        return reject(Reason.BAD_ENVELOPE, "$.event_id", "the envelope's id and the event's event_id differ")
    return event


def _explain(error: Exception, payload: bytes) -> Rejection:
    """Why typed decoding failed. A version that we do not know comes first: it explains whatever else seems wrong."""
    if isinstance(error, msgspec.ValidationError):
        try:
            version = bytes(envelopes.top_of(payload).version)
        except DECODE_ERRORS:
            version = b""
        if version.isdigit() and (len(version) > 9 or int(version) > VERSION):
            return reject(Reason.UNKNOWN_VERSION, "$.version", f"Expected `int` <= {VERSION}")
    return explain(error, payload)


#: Fields and defaults by type, looked up once; attributes are compared with a new empty dict.
_DEFAULTS: dict[type[msgspec.Struct], tuple[tuple[str, Any], ...]] = {}


def _defaults(record: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    known = _DEFAULTS.get(record)
    if known is None:
        known = tuple(
            (
                field.encode_name,
                field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default,
            )
            for field in msgspec.structs.fields(record)
        )
        _DEFAULTS[record] = known
    return known


def _filled(event: msgspec.Struct) -> dict[str, Any]:
    """The fields that differ from their default, in the record's order, keys of inner mappings sorted."""
    found: dict[str, Any] = {}
    for name, default in _defaults(type(event)):
        value = getattr(event, name)
        if value is default or (default is not msgspec.NODEFAULT and value == default):
            continue
        if isinstance(value, dict):
            value = dict(sorted(value.items()))
        found[name] = _filled(value) if isinstance(value, msgspec.Struct) else value
    return found
