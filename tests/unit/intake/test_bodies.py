"""Bodies: the media type decides, headers are decoded once, and what cannot be cut into events says why."""

from __future__ import annotations

import pytest

from pipeline.intake.bodies import (
    MAX_BODY_BYTES,
    MAX_EVENTS,
    Form,
    Items,
    Refused,
    attributes_of,
    form_of,
    items_of,
    numbered,
    unquoted,
)
from schemas.limits import MAX_VALUE_BYTES

BINARY = ((b"Ce-Id", b"1"),)


@pytest.mark.parametrize(
    ("media", "form"),
    [
        ("application/json", Form.JSON),
        ("Application/JSON; charset=UTF-8", Form.JSON),
        ("text/json", Form.JSON),
        ("application/vnd.shop+json", Form.JSON),
        ("", Form.JSON),
        ("text/plain;charset=UTF-8", Form.JSON),
        ("application/x-ndjson", Form.LINES),
        ("application/jsonl", Form.LINES),
        ("application/cloudevents+json", Form.STRUCTURED),
        ("APPLICATION/CLOUDEVENTS+JSON;charset=utf-8", Form.STRUCTURED),
        ("application/cloudevents", Form.STRUCTURED),
        ("application/cloudevents-batch+json", Form.BATCH),
    ],
)
def test_the_media_type_decides_in_any_case(media: str, form: Form) -> None:
    assert form_of(media, ()) is form


@pytest.mark.parametrize(
    "media",
    [
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/cloudevents+avro",
        "application/cloudevents-batch+xml",
        "application/json; charset=latin-1",
        "image/png",
    ],
)
def test_what_is_no_json_is_415(media: str) -> None:
    refused = form_of(media, BINARY)
    assert isinstance(refused, Refused)
    assert refused.status == 415


def test_headers_of_attributes_make_it_binary_unless_the_type_says_more() -> None:
    assert form_of("application/json", BINARY) is Form.BINARY
    assert form_of("application/cloudevents+json", BINARY) is Form.STRUCTURED
    assert form_of("application/cloudevents-batch+json", BINARY) is Form.BATCH


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b'"in quotes"', "in quotes"),
        (b'"a \\"quoted\\" word"', 'a "quoted" word'),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),
        (b"%2541", "%41"),  # one round, not two
        (b"100%", "100%"),
        (b"%c3%A9", "\u00e9"),
        (b'"', '"'),
        (b"", ""),
    ],
)
def test_a_header_loses_its_quotes_and_one_round_of_percent_encoding(raw: bytes, text: str) -> None:
    assert unquoted(raw) == text


@pytest.mark.parametrize("raw", [b"%C0%A0", b"%ff", b"\xff", b"%E2%82", b"%ED%A0%80"])
def test_a_header_that_is_no_utf_8_is_refused(raw: bytes) -> None:
    assert unquoted(raw) is None
    refused = attributes_of(((b"ce-subject", raw),))
    assert isinstance(refused, Refused)
    assert (refused.status, refused.error) == (400, "bad_envelope")


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        (((b"ce-datacontenttype", b"application/json"),), "the Content-Type says that"),
        (((b"CE-DataContentType", b"application/json"),), "the Content-Type says that"),
        (((b"ce-id", b"1"), (b"Ce-Id", b"2")), "twice"),
        (((b"ce-my-id", b"1"),), "letters and digits"),
        (((b"ce-", b"1"),), "letters and digits"),
    ],
)
def test_headers_against_the_binding_are_refused(headers: tuple[tuple[bytes, bytes], ...], complaint: str) -> None:
    refused = attributes_of(headers)
    assert isinstance(refused, Refused)
    assert complaint in refused.detail


def values(form: Form, body: bytes) -> list[bytes]:
    items = items_of(form, body)
    assert isinstance(items, Items), items
    assert len(items.values) == len(items.headers)
    return items.values


def test_bodies_are_cut_into_values_without_reading_them() -> None:
    assert values(Form.JSON, b' {"a":1} ') == [b' {"a":1} ']
    assert values(Form.JSON, b' [{"a":1}, 7,"x",[] ]\n') == [b'{"a":1}', b"7", b'"x"', b"[]"]
    assert values(Form.LINES, b'{"a":1}\r\n\n{"b":\n') == [b'{"a":1}\r', b'{"b":']
    assert values(Form.BATCH, b'[{"id":"1"}]') == [b'{"id":"1"}']


@pytest.mark.parametrize(
    ("form", "body", "status", "error"),
    [
        (Form.JSON, b" \n", 400, "empty"),
        (Form.JSON, b"[]", 400, "empty"),
        (Form.LINES, b"\n\r\n", 400, "empty"),
        (Form.JSON, b'[{"a":1},', 400, "not_json"),
        (Form.BATCH, b'{"id":"1"}', 400, "not_json"),
        (Form.JSON, b"[" * 100_000, 400, "not_json"),
        (Form.JSON, b"[" + b"1," * MAX_EVENTS + b"1]", 413, "too_many_events"),
        (Form.LINES, b"1\n" * (MAX_EVENTS + 1), 413, "too_many_events"),
        (Form.JSON, b" " * MAX_BODY_BYTES + b"1", 413, "too_large"),
        (Form.JSON, b'"' + b"x" * MAX_VALUE_BYTES + b'"', 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_cut_says_why(form: Form, body: bytes, status: int, error: str) -> None:
    refused = items_of(form, body)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.error) == (status, error)


def test_a_name_stands_in_front_so_that_the_producers_own_wins() -> None:
    named = numbered([b'{"a":1}', b' { "event_id":"own"}', b"{}", b"[1]", b"{"], ["i-0", "i-1", "i-2", "i-3", "i-4"])
    assert named == [
        b'{"event_id":"i-0","a":1}',
        b'{"event_id":"i-1","event_id":"own"}',
        b'{"event_id":"i-2"}',
        b"[1]",
        b"{",
    ]
