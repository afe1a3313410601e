"""Laws of the gateway: any CloudEvent of the official SDK is the same event, and cleaning twice is cleaning once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.access.keys import Grant, Right
from pipeline.arrival.rules import ArrivalRules
from pipeline.customers.enrich import Knowledge, Origin, enrich
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.sealing import Sealer
from pipeline.customers.watcher import read_registry
from pipeline.intake.admission import Judged, Rules, judge
from pipeline.intake.bodies import Items, RawHeaders, form_of, items_of, unquoted
from pipeline.slices import ACCEPTED
from schemas.codec import decode, encode
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from tests.property.test_codec import FEEDBACK, TOUCHPOINTS, UNHURRIED

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
GRANT = Grant("k", "shop", frozenset({Right.WRITE}))
RULES = Rules(ArrivalRules())
#: Nothing that a header could not hold: no line breaks, no NUL, no lone surrogates.
WORD = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
#: Attributes that the SDK takes and that we do not read.
EXTENSIONS = st.dictionaries(st.from_regex(r"[a-z]{6,15}", fullmatch=True), WORD, max_size=3)
EVENTS = st.one_of(TOUCHPOINTS, FEEDBACK).map(lambda event: msgspec.structs.replace(event, occurred_at=NOW))


def sent(headers: dict[str, str], body: bytes) -> list[Judged]:
    """What the gateway makes of a request."""
    raw: RawHeaders = [(name.encode(), value.encode()) for name, value in headers.items()]
    media = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    form = form_of(media, raw)
    assert not isinstance(form, tuple), form
    items = items_of(form, body, raw)
    assert isinstance(items, Items), items
    return judge(items, GRANT, RULES, NOW_MS)


def cloud(event: Touchpoint | Feedback, extensions: dict[str, str]) -> CloudEvent:
    kind = "feedback" if isinstance(event, Feedback) else "touchpoint"
    attributes: dict[str, Any] = {
        "id": event.event_id,
        "source": "/channels/web/shop",
        "type": f"touchline.{kind}.v1",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        **{name: value for name, value in extensions.items() if name not in {"dataschema", "subject"}},
    }
    return CloudEvent(attributes, json.loads(encode(event)))


def told(judged: Judged) -> Judged:
    """What does not depend on the mode: of what is refused the bytes are kept as they came, in their envelope."""
    return judged if judged.rejection is None else judged._replace(value=b"")


@UNHURRIED
@given(st.one_of(TOUCHPOINTS, FEEDBACK), EXTENSIONS, WORD)
def test_every_mode_of_the_official_sdk_arrives_as_the_same_event(
    event: Touchpoint | Feedback, extensions: dict[str, str], name: str
) -> None:
    # An id that a header may hold; the SDK strips nothing, HTTP strips blanks around a value.
    named = msgspec.structs.replace(event, event_id=name, occurred_at=NOW)
    bare = told(sent({"Content-Type": "application/json"}, encode(named))[0])
    message = http.to_structured(cloud(named, extensions), JSONFormat())
    assert told(sent(message.headers, message.body)[0]) == bare
    batch = b"[" + message.body + b"]"
    assert [told(each) for each in sent({"content-type": "application/cloudevents-batch+json"}, batch)] == [bare]
    binary = http.to_binary(cloud(named, extensions), JSONFormat())
    assert told(sent(binary.headers, binary.body)[0]) == bare


@given(WORD)
def test_a_header_is_read_as_the_official_sdk_reads_it(word: str) -> None:
    coded = http._encode_header_value(word)
    assert unquoted(coded.encode()) == http._decode_header_value("subject", coded) == word


@UNHURRIED
@given(st.lists(EVENTS, max_size=4))
def test_what_is_sent_is_what_the_codec_writes_and_the_worker_takes(events: list[Touchpoint | Feedback]) -> None:
    values = [encode(event) for event in events]
    for value, found in zip(values, judge(Items(values, [()] * len(values)), GRANT, RULES, NOW_MS), strict=True):
        if found.rejection is not None:
            continue
        (read,) = decode(found.topic, [found.value], [()]).events
        assert read is not None
        assert encode(read) == found.value
        again = judge(Items([found.value], [()]), GRANT, RULES, NOW_MS)[0]
        assert again.value == found.value, "cleaning twice is cleaning once"
        if b"@" not in value:
            assert len(found.value) <= len(value) + 64


@UNHURRIED
@given(st.lists(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), max_size=5))
def test_nothing_that_comes_raises(values: list[bytes]) -> None:
    found = judge(Items(values, [()] * len(values)), GRANT, RULES, NOW_MS)
    assert len(found) == len(values)


PIECES = st.sampled_from(
    [
        "mail ",
        "a.b@example.org",
        "@",
        " at ",
        " dot ",
        "\uff20",
        "0171 5550199",
        "4111 1111 1111 1111",
        "customer-77",
        "x",
        " ",
    ]
)
WORDS = st.lists(PIECES, min_size=1, max_size=6).map("".join)


@settings(max_examples=40, deadline=None)
@given(WORDS, WORDS, WORDS, st.sampled_from(["customer-77", "c1", "\u00fc-long-id"]))
def test_cleaned_here_and_enriched_later_hides_what_enriching_hides_and_nothing_else(
    text: str, product: str, unit: str, customer: str
) -> None:
    event = {"event_id": "e", "occurred_at": NOW.isoformat(), "channel": "web", "metric": "csat", "score": 3}
    event |= {"text": text, "product": product, "unit": unit, "customer_id": customer}
    (found,) = judge(Items([json.dumps(event).encode()], [()]), GRANT, RULES, NOW_MS)
    assert found.rejection is None
    cleaned = json.loads(found.value)
    # Without the id beside it a number may show that it is one: what enriching hides is found by enriching again.
    assert _enriched(cleaned) == _enriched(_enriched(event))


def _enriched(event: dict[str, Any]) -> dict[str, Any]:
    empty = {name: "" if kind == pl.String else None if kind == pl.Binary else 0 for name, kind in ACCEPTED.items()}
    names = ("text", "product", "unit")
    row = empty | {"disposition": "aggregated"} | {name: event[name] for name in (*names, "customer_id")}
    frame = pl.DataFrame([row], schema=ACCEPTED, orient="row")
    rows = enrich(frame, Origin("feedback", 1, 0), _KNOWLEDGE)
    return {name: rows[name][0] for name in names} | {"customer_id": event["customer_id"]}


_KNOWLEDGE = Knowledge(Pseudonyms(1, bytes(range(32))), Profiles(), read_registry(), Sealer(1, bytes(range(32, 64))))
