"""The wrappings an event may come in: CloudEvents 1.0 (structured, binary) and Confluent's framing; told apart here.

How they are told apart, without configuration:
* first byte 0x00 (then a 4-byte schema id) or 0x01 (then a 16-byte GUID): Confluent framing, since JSON begins with
  neither. An id in the header `__value_schema_id` leaves the value as it is. Ids are not looked up: our types decide.
* header `content-type: application/cloudevents...`: structured CloudEvent; the value is the envelope.
* one of the headers `ce_specversion|id|type|source` (`ce-` is tolerated): binary CloudEvent; the value is the data.
* no such header, no event of ours, but an object with `specversion`, `type` and `data`: structured as well.

What of the envelope is used: `type` names record and version; `id`, `time` and `subject` stand in for `event_id`,
`occurred_at` and `customer_id` where the data do not carry them. Where both are there the data win, except that two
different ids are an error: nobody could say which of them names the event. Everything else is not read.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from schemas.explain import DECODE_ERRORS, Rejection, explain, reject
from schemas.vocabulary import Reason

Headers = tuple[tuple[str, bytes], ...]

#: Bytes before the JSON by Confluent's magic byte: the byte itself and a schema id or GUID.
FRAME_BYTES = {b"\x00": 1 + 4, b"\x01": 1 + 16}

_STRUCTURED = "application/cloudevents"
#: Characters of a type or media type; ours have 25, a longer one is none of ours.
_MAX_WORD = 100
_BINARY_MARKS = frozenset(f"ce{dash}{name}" for name in ("specversion", "id", "type", "source") for dash in "_-")
_TYPE = re.compile(r"touchline\.([a-z]+)\.v([1-9][0-9]{0,8})")
_JSON_MEDIA = re.compile(r"\s*(application|text)/([a-z0-9.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)
#: The field of each record that an attribute of the envelope stands in for.
_STAND_INS: dict[str, tuple[tuple[str, str], ...]] = {
    "touchpoint": (("id", "event_id"), ("time", "occurred_at"), ("subject", "customer_id")),
    "feedback": (("id", "event_id"), ("time", "occurred_at"), ("subject", "customer_id")),
    "profile": (("time", "valid_from"), ("subject", "customer")),
}
_ATTRIBUTES = ("specversion", "type", "id", "source", "time", "subject", "datacontenttype")
#: Where a rejection says an attribute stands, and by which header it comes (`ce-` is HTTP's way, seen in Kafka too).
_PATHS_STRUCTURED = {name: f"$.{name}" for name in _ATTRIBUTES}
_PATHS_BINARY = {name: f"headers.ce_{name}" for name in _ATTRIBUTES} | {"datacontenttype": "headers.content-type"}
_HEADERS = {f"ce{dash}{name}": name for name in _ATTRIBUTES[:-1] for dash in "_-"} | {"content-type": "datacontenttype"}


class Mode(Enum):
    """What the headers say the value is."""

    UNSAID = "unsaid"
    STRUCTURED = "structured"
    BINARY = "binary"


class Top(msgspec.Struct, gc=False):
    """The top level of a JSON object, unread: which of these keys are there, and the bytes of their values."""

    specversion: msgspec.Raw = msgspec.Raw()
    type: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()
    time: msgspec.Raw = msgspec.Raw()
    subject: msgspec.Raw = msgspec.Raw()
    datacontenttype: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    data_base64: msgspec.Raw = msgspec.Raw()
    version: msgspec.Raw = msgspec.Raw()
    metric: msgspec.Raw = msgspec.Raw()


class Cloud(NamedTuple):
    """A CloudEvent as far as we read it: the record its type names, that version, the id, and the event's own bytes."""

    record: str
    version: int
    event_id: str
    type_path: str
    data: bytes


top_of = msgspec.json.Decoder(Top).decode
_text_of = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def unframe(value: bytes) -> bytes | None:
    """The value without Confluent's prefix; None when there is a prefix and nothing behind it."""
    size = FRAME_BYTES.get(value[:1])
    return value if size is None else value[size:] or None


def mode_of(headers: Headers) -> Mode:
    """Which CloudEvents mode the headers announce; other headers mean nothing here."""
    mode = Mode.UNSAID
    for name, content in headers:
        lower = name.lower()
        if lower == "content-type" and content and content.lower().lstrip().startswith(_STRUCTURED.encode()):
            return Mode.STRUCTURED
        if lower in _BINARY_MARKS:
            mode = Mode.BINARY
    return mode


def structured_top(value: bytes) -> Top | None:
    """The top level of a value that is a structured CloudEvent although no header says so; None when it is not one."""
    try:
        top = top_of(value)
    except DECODE_ERRORS:
        return None
    told = bytes(top.specversion) and bytes(top.type) and (bytes(top.data) or bytes(top.data_base64))
    return top if told else None


def open_structured(value: bytes, headers: Headers = (), top: Top | None = None) -> Cloud | Rejection:
    """The CloudEvent in a value that holds the whole envelope; `top` when the caller has read the top level already."""
    if bad := _unread_format(headers):
        return bad
    try:
        top = top or top_of(value)
    except DECODE_ERRORS as error:
        return explain(error, value)
    attributes: dict[str, str] = {}
    for name in _ATTRIBUTES:
        raw = bytes(getattr(top, name))
        if raw in (b"", b"null"):
            continue
        try:
            attributes[name] = _text_of(raw)
        except DECODE_ERRORS:
            return reject(Reason.BAD_ENVELOPE, f"$.{name}", "an attribute of a CloudEvent is a string")
    data = _data_of(bytes(top.data), bytes(top.data_base64))
    return data if isinstance(data, Rejection) else _cloud(attributes, data, _PATHS_STRUCTURED)


def open_binary(value: bytes, headers: Headers) -> Cloud | Rejection:
    """The CloudEvent whose attributes are headers and whose data are the value."""
    attributes: dict[str, str] = {}
    for header, content in headers:
        name = _HEADERS.get(header.lower())
        if name is None:
            continue
        try:
            attributes[name] = (content or b"").decode("utf-8")
        except UnicodeDecodeError:
            return reject(Reason.BAD_ENVELOPE, _PATHS_BINARY[name], "a header is not UTF-8")
    return _cloud(attributes, value, _PATHS_BINARY)


def fill(record: str, attributes: dict[str, str], data: bytes) -> bytes:
    """The event's bytes with what the envelope says put in front: of two equal keys the later one, the data's, wins."""
    fields = {field: attributes[name] for name, field in _STAND_INS.get(record, ()) if name in attributes}
    body = data.lstrip(b" \t\r\n")
    if not fields or body[:1] != b"{":
        return data
    rest = body[1:].lstrip(b" \t\r\n")
    return _encode(fields)[:-1] + (b"" if rest[:1] == b"}" else b",") + rest


def _data_of(data: bytes, coded: bytes) -> bytes | Rejection:
    """The event's bytes from `data` (JSON) or `data_base64`, of which there must be one."""
    if bool(data) == bool(coded):
        return reject(Reason.BAD_ENVELOPE, "$.data", "one of data and data_base64 is needed")
    if data:
        return data
    try:
        return base64.b64decode(_text_of(coded), validate=True)
    except (*DECODE_ERRORS, binascii.Error):
        return reject(Reason.BAD_ENVELOPE, "$.data_base64", "not base64")


def _unread_format(headers: Headers) -> Rejection | None:
    """The rejection of a structured CloudEvent in another format than JSON, or of a batch."""
    for name, content in headers:
        if name.lower() != "content-type":
            continue
        media = (content or b"").decode("latin-1").partition(";")[0].strip().lower()
        if media.startswith(f"{_STRUCTURED}-batch"):
            return reject(Reason.BAD_ENVELOPE, "headers.content-type", "one Kafka record holds one event, not a batch")
        if media not in (_STRUCTURED, f"{_STRUCTURED}+json"):
            return reject(Reason.BAD_ENVELOPE, "headers.content-type", "only the JSON format is read")
    return None


@lru_cache(maxsize=256)  # few types and media types occur, and none longer than _MAX_WORD comes here
def _type_of(text: str) -> tuple[str, int] | None:
    known = _TYPE.fullmatch(text)
    return (known[1], int(known[2])) if known else None


@lru_cache(maxsize=256)
def _is_json(media: str) -> bool:
    return _JSON_MEDIA.fullmatch(media) is not None


def _cloud(attributes: dict[str, str], data: bytes, paths: dict[str, str]) -> Cloud | Rejection:
    for name in ("specversion", "id", "source", "type"):
        if not attributes.get(name):
            return reject(Reason.BAD_ENVELOPE, paths[name], "a required attribute of a CloudEvent is missing")
    if attributes["specversion"] != "1.0":
        return reject(Reason.BAD_ENVELOPE, paths["specversion"], "only CloudEvents 1.0 is read")
    media = attributes.get("datacontenttype")
    if media and (len(media) > _MAX_WORD or not _is_json(media)):
        return reject(Reason.BAD_ENVELOPE, paths["datacontenttype"], "the data of our events are JSON")
    known = _type_of(attributes["type"]) if len(attributes["type"]) <= _MAX_WORD else None
    if known is None:
        return reject(Reason.BAD_ENVELOPE, paths["type"], "no type of ours, such as touchline.feedback.v1")
    return Cloud(*known, attributes["id"], paths["type"], fill(known[0], attributes, data))
