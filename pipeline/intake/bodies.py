"""The body of a request as single values: which of six forms it has, and what its headers say. Pure.

    application/json                      one event, or an array of events
    application/x-ndjson (ndjson, jsonl)  one event a line
    application/cloudevents+json          one CloudEvent, structured
    application/cloudevents-batch+json    an array of structured CloudEvents
    any JSON type with headers ce-*       one CloudEvent, binary: the headers are its attributes, the body its data

As the HTTP binding of CloudEvents 1.0 says: the media type decides, in any case; a header's value loses its double
quotes, then one round of percent-encoding, and must be UTF-8 then; `ce-datacontenttype` must not be there, since the
Content-Type says that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.envelopes import Headers
from schemas.explain import DECODE_ERRORS
from schemas.limits import MAX_VALUE_BYTES

#: Events of one request. More belong into the next one: an answer has a verdict for each.
MAX_EVENTS = 500
#: Bytes of one request, unpacked.
MAX_BODY_BYTES = 1024 * 1024
#: Bytes of a request's headers, names and values together, and their number.
MAX_HEADER_BYTES, MAX_HEADERS = 16 * 1024, 64

_EVENTS = "application/cloudevents"
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_JSON = re.compile(r"(application|text)/([a-z0-9.-]+\+)?json")
#: No type at all, or the one that browsers give to what a page sends as text without asking first.
_UNSAID = frozenset({"", "text/plain"})
#: Quoted strings of RFC 9110: a backslash makes the next sign itself.
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
#: How the header of an attribute begins; names of headers have no case.
_CE = (b"ce-", b"Ce-", b"CE-", b"cE-")
#: What a header of an attribute is named: letters and digits behind `ce-`.
_ATTRIBUTE = re.compile(rb"ce-([a-z0-9]+)")
#: The header that a structured event has in our decoder, so that nothing has to be guessed.
_STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
_BLANK = b" \t\r\n"


class Form(Enum):
    """What a body holds."""

    JSON = "json"
    LINES = "lines"
    STRUCTURED = "structured"
    BATCH = "batch"
    BINARY = "binary"


class Refused(NamedTuple):
    """Why a request is not looked at, event by event: HTTP status, a word, a sentence."""

    status: int
    error: str
    detail: str


class Items(NamedTuple):
    """The values of a request in order; `headers` has one tuple for each, as schemas/codec.py takes them."""

    values: list[bytes]
    headers: list[Headers]


RawHeaders = Sequence[tuple[bytes, bytes]]

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def crowded(raw_headers: RawHeaders) -> Refused | None:
    """Why a request with these headers is not looked at: together they are too much."""
    if sum([len(name) + len(value) for name, value in raw_headers]) <= MAX_HEADER_BYTES:
        return None
    detail = f"more than {MAX_HEADER_BYTES} bytes of headers"
    return Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)


def form_of(media: str, raw_headers: RawHeaders) -> Form | Refused:
    """The form that a request's Content-Type (its whole value) and headers announce."""
    form = _form_of(media)
    if form in (Form.JSON, Form.LINES) and [True for header, _ in raw_headers if header[:3] in _CE]:
        return Form.BINARY
    return form


@lru_cache(maxsize=256)
def _form_of(media: str) -> Form | Refused:
    """The same of the Content-Type alone; a request with `ce-` headers and a JSON type is binary."""
    name, _, parameters = media.partition(";")
    kind = name.strip().lower()
    charset = re.search(r'charset="?([^";\s]+)', parameters.lower())
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        return _unread(f"charset {charset[1]!a}: JSON is UTF-8")
    if kind.startswith(f"{_EVENTS}-batch"):
        return Form.BATCH if kind == f"{_EVENTS}-batch+json" else _unread("only the JSON format of CloudEvents is read")
    if kind.startswith(_EVENTS):
        known = kind in (_EVENTS, f"{_EVENTS}+json")
        return Form.STRUCTURED if known else _unread("only the JSON format of CloudEvents is read")
    if not (kind in _UNSAID or kind in _LINES or _JSON.fullmatch(kind)):
        return _unread("send application/json, application/x-ndjson or application/cloudevents+json")
    return Form.LINES if kind in _LINES else Form.JSON


def items_of(form: Form, body: bytes, raw_headers: RawHeaders = ()) -> Items | Refused:
    """The single values in a body, or why it has none."""
    if len(body) > MAX_BODY_BYTES:
        return too_large(MAX_BODY_BYTES)
    content = body.strip(_BLANK)
    if not content:
        return Refused(HTTPStatus.BAD_REQUEST, "empty", "the body is empty")
    if form is Form.LINES:
        return _counted([line for line in content.split(b"\n") if line.strip(_BLANK)], ())
    if form is Form.BATCH or (form is Form.JSON and content[:1] == b"["):
        try:
            values = list(map(bytes, _array(content)))
        except DECODE_ERRORS:
            return Refused(HTTPStatus.BAD_REQUEST, "not_json", "the body is no JSON array")
        return _counted(values, _STRUCTURED if form is Form.BATCH else ())
    if len(body) > MAX_VALUE_BYTES:
        return too_large(MAX_VALUE_BYTES)
    if form is Form.BINARY:
        attributes = attributes_of(raw_headers)
        return attributes if isinstance(attributes, Refused) else Items([body], [attributes])
    return Items([body], [_STRUCTURED if form is Form.STRUCTURED else ()])


def attributes_of(raw_headers: RawHeaders) -> Headers | Refused:
    """The attributes of a binary CloudEvent, as headers `ce_<name>` with values in UTF-8."""
    found: dict[str, bytes] = {}
    for header, value in raw_headers:
        lower = header.lower()
        if not lower.startswith(b"ce-"):
            continue
        known = _ATTRIBUTE.fullmatch(lower)
        if known is None:
            return _envelope(f"{_shown(lower)}: an attribute's name has letters and digits only")
        name = known[1].decode()
        if name == "datacontenttype":
            return _envelope("ce-datacontenttype: in binary mode the Content-Type says that")
        if name in found:
            return _envelope(f"ce-{name} is there twice")
        text = unquoted(value)
        if text is None:
            return _envelope(f"ce-{name} is not UTF-8 when its percent-encoding is undone")
        found[name] = text.encode()
    return tuple((f"ce_{name}", value) for name, value in found.items())


def unquoted(value: bytes) -> str | None:
    """A header's value without double quotes, one round of percent-encoding undone; None when it is not UTF-8."""
    bare = value.strip(b" \t")
    if len(bare) >= 2 and bare[:1] == bare[-1:] == b'"':
        bare = _ESCAPED.sub(rb"\1", bare[1:-1])
    try:
        return unquote_to_bytes(bare).decode("utf-8")
    except UnicodeDecodeError:
        return None


def numbered(values: Iterable[bytes], event_ids: Iterable[str]) -> list[bytes]:
    """Values with an `event_id` in front: of two equal keys the later one, the producer's own, wins."""
    return [
        b'{"event_id":"%s"%s%s' % (name.encode(), b"" if rest[:1] == b"}" else b",", rest)
        if (body := value.lstrip(_BLANK))[:1] == b"{" and (rest := body[1:].lstrip(_BLANK))
        else value
        for value, name in zip(values, event_ids, strict=True)
    ]


def too_large(most: int) -> Refused:
    """A body of more bytes than are taken."""
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"more than {most} bytes, unpacked")


def _counted(values: list[bytes], headers: Headers) -> Items | Refused:
    if not values:
        return Refused(HTTPStatus.BAD_REQUEST, "empty", "the batch is empty")
    if len(values) > MAX_EVENTS:
        detail = f"{len(values)} events, at most {MAX_EVENTS}: send them in several requests"
        return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_events", detail)
    return Items(values, [headers] * len(values))


def _unread(detail: str) -> Refused:
    return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)


def _envelope(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "bad_envelope", detail)


def _shown(header: bytes) -> str:
    return header[:60].decode("latin-1")
