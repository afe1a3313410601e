"""Properties of the codec: what is encoded is decoded again, nothing raises, and the official SDK means the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Rejection, check, decode, decode_profile, decode_record, encode
from schemas.feedback import Feedback, Reference
from schemas.guards import all_within, may_exceed, measure
from schemas.limits import MAX_DEPTH, MAX_KEYS
from schemas.profile import Profile
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Channel, Metric, Outcome, Source

#: A busy machine makes single examples slow; the time that decoding may take is tested in tests/unit/schemas.
UNHURRIED = settings(deadline=None)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
MAYBE = st.none() | NAME
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENT = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001
SCALAR = TEXT | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
ATTRIBUTES = st.dictionaries(NAME, SCALAR | st.none(), max_size=5)
DIMENSIONS = dict.fromkeys(("customer_id", "unit", "product", "agent_id", "device", "campaign", "language"), MAYBE)

TOUCHPOINTS = st.builds(
    Touchpoint,
    event_id=NAME,
    occurred_at=MOMENT,
    channel=st.sampled_from(Channel),
    touchpoint=NAME,
    brand=NAME,
    journey=MAYBE,
    stage=MAYBE,
    outcome=st.none() | st.sampled_from(Outcome),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    currency=MAYBE,
    duration_ms=st.none() | st.integers(0, 2**53),
    attributes=ATTRIBUTES,
    **DIMENSIONS,
)
FEEDBACK = st.builds(
    Feedback,
    event_id=NAME,
    occurred_at=MOMENT,
    channel=st.sampled_from(Channel),
    metric=st.sampled_from(Metric),
    touchpoint=MAYBE,
    source=st.sampled_from(Source),
    submission_id=MAYBE,
    question_id=NAME,
    revision=st.integers(0, 2**63 - 1),
    score=st.none() | st.integers(-100, 100),
    scale_min=st.none() | st.integers(-100, 100),
    scale_max=st.none() | st.integers(-100, 100),
    text=st.none() | TEXT,
    brand=NAME,
    stage=MAYBE,
    ref=st.none() | st.builds(Reference, ticket=MAYBE, order=MAYBE, survey=MAYBE),
    attributes=ATTRIBUTES,
    **DIMENSIONS,
)
PROFILES = st.builds(
    Profile,
    customer=NAME,
    valid_from=MOMENT,
    segments=st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True), max_size=5),
    unit=MAYBE,
    attributes=ATTRIBUTES,
)
HEADER_NAMES = st.sampled_from(
    ["content-type", "ce_specversion", "ce_id", "ce_type", "CE-source", "ce_time", "ce_subject", "__value_schema_id"]
)
HEADER_VALUES = st.binary(max_size=20) | st.sampled_from(
    [
        b"application/cloudevents+json",
        b"1.0",
        b"touchline.feedback.v1",
        b"touchline.touchpoint.v99",
        b"application/json",
    ]
)
HEADERS = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6).map(tuple)
TOPIC = st.sampled_from(["touchpoints", "feedback", "history"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


@settings(UNHURRIED)
@given(st.lists(TOUCHPOINTS, max_size=4), st.lists(FEEDBACK, max_size=4))
def test_what_is_encoded_is_decoded_again(touchpoints: list[Touchpoint], feedback: list[Feedback]) -> None:
    for topic, events in (("touchpoints", touchpoints), ("feedback", feedback), ("history", touchpoints + feedback)):
        values = [encode(event) for event in events]
        assert decode(topic, values, [()] * len(values)) == (events, {}, [])


@settings(UNHURRIED)
@given(PROFILES)
def test_a_profile_is_decoded_again(profile: Profile) -> None:
    assert decode_profile(encode(profile), ()) == profile


@settings(UNHURRIED)
@given(TOPIC, st.lists(st.tuples(st.none() | st.binary(max_size=300), HEADERS), max_size=6))
def test_arbitrary_bytes_never_raise(topic: str, run: list[tuple[bytes | None, Any]]) -> None:
    found = decode(topic, [value for value, _ in run], [headers for _, headers in run])
    assert len(found.events) == len(run)
    for index, (value, _) in enumerate(run):
        named = (found.events[index] is not None, index in found.rejections, index in found.tombstones)
        assert sum(named) == 1
        assert (value is None) == (index in found.tombstones)


@settings(UNHURRIED)
@given(
    TOPIC, st.dictionaries(st.sampled_from(Feedback.__struct_fields__ + Touchpoint.__struct_fields__), JSON), HEADERS
)
def test_arbitrary_json_in_our_fields_never_raises(topic: str, document: dict[str, Any], headers: Any) -> None:
    good = {
        "event_id": "e",
        "occurred_at": "2026-03-02T18:20:00Z",
        "channel": "web",
        "metric": "nps",
        "touchpoint": "t",
    }
    value = json.dumps(good | document).encode()
    found = decode(topic, [value, b"\x00\x00\x00\x00\x01" + value], [headers, headers])
    for event in found.events:
        if isinstance(event, Feedback):
            check(event)


@settings(UNHURRIED)
@given(FEEDBACK, st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_event_never_raises(event: Feedback, place: int, noise: bytes) -> None:
    value = encode(event)
    damaged = value[:place] + noise + value[place + len(noise) :]
    assert isinstance(decode_record(Feedback, damaged), Feedback | Rejection)


@settings(UNHURRIED)
@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_depth_and_keys_are_counted_as_a_plain_walk_counts_them(document: Any) -> None:
    def walk(node: Any) -> tuple[int, int]:
        if not isinstance(node, dict | list):
            return 0, 0
        inner = [walk(child) for child in (node.values() if isinstance(node, dict) else node)]
        depth = 1 + max((depth for depth, _ in inner), default=0)
        return depth, sum(keys for _, keys in inner) + (len(node) if isinstance(node, dict) else 0)

    value = json.dumps(document, ensure_ascii=False).encode()
    depth, keys = measure(value)
    assert (depth, keys) == walk(document)
    if depth > MAX_DEPTH or keys > MAX_KEYS:
        assert may_exceed(value)


# The official SDK as oracle. It wants attributes without control characters, and ids that are not empty.

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/äß€😀", min_size=1, max_size=30)
UTC_MOMENT = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def message_of(event: Feedback, subject: str | None, *, structured: bool) -> kafka.KafkaMessage:
    """The Kafka message that the SDK makes of an event whose data leave out what the attributes say."""
    data = msgspec.json.decode(encode(event))
    for field in ("event_id", "occurred_at", "customer_id"):
        data.pop(field, None)
    attributes = {
        "id": event.event_id,
        "source": "/channels/survey",
        "type": "touchline.feedback.v1",
        "specversion": "1.0",
        "time": event.occurred_at,
        "datacontenttype": "application/json",
    }
    if subject is not None:
        attributes["subject"] = subject
    write = kafka.to_structured_event if structured else kafka.to_binary_event
    return write(CloudEvent(attributes, data))


@pytest.mark.parametrize("structured", [False, True])
@settings(UNHURRIED, max_examples=60)
@given(event=FEEDBACK, name=WORD, subject=st.none() | WORD, moment=UTC_MOMENT)
def test_what_the_official_sdk_writes_is_read_as_it_means(
    structured: bool, event: Feedback, name: str, subject: str | None, moment: datetime
) -> None:
    meant = msgspec.structs.replace(event, event_id=name, occurred_at=moment, customer_id=subject)
    message = message_of(meant, subject, structured=structured)
    found = decode("feedback", [message.value], [tuple(message.headers.items())])
    assert found == ([meant], {}, [])
    read = kafka.from_kafka_event(message)
    assert (read.get_id(), read.get_subject(), read.get_time()) == (name, subject, moment)


@pytest.mark.parametrize("structured", [False, True])
def test_what_the_official_sdk_refuses_is_rejected_here(structured: bool) -> None:
    event = Feedback(event_id="e", occurred_at=datetime(2026, 3, 2, tzinfo=UTC), channel=Channel.WEB, metric=Metric.NPS)
    message = message_of(event, None, structured=structured)
    for missing in ("type", "source"):  # it invents an id where there is none; we reject that, an example says so
        headers = {name: content for name, content in message.headers.items() if name != f"ce_{missing}"}
        value = message.value
        if structured:
            value = msgspec.json.encode({k: v for k, v in msgspec.json.decode(value).items() if k != missing})
        broken = kafka.KafkaMessage(headers=headers, key=None, value=value)
        with pytest.raises(CloudEventValidationError):
            kafka.from_kafka_event(broken)
        found = decode("feedback", [value], [tuple(headers.items())])
        assert found.rejections[0].reason == "bad_envelope"


VALUES = st.lists(
    st.builds(
        lambda start, opened, colons: start + b'{"a":' * opened + b'"b":1,' * colons,
        st.sampled_from([b"", b" ", b"{", b"[", b"x"]),
        st.sampled_from([0, 1, 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1]),
        st.sampled_from([0, 1, MAX_KEYS, MAX_KEYS + 1]),
    ),
    min_size=2,
    max_size=40,
)


@given(VALUES)
@UNHURRIED
def test_what_is_said_of_many_values_together_holds_for_each_of_them(values: list[bytes]) -> None:
    assert not all_within(values) or not any(map(may_exceed, values))


@pytest.mark.parametrize("opened", [1, MAX_DEPTH])
def test_values_that_keep_the_limits_together_need_no_second_look(opened: int) -> None:
    assert all_within([b'{"a":1}'] * 500 + [b'{"a":' * opened + b"1" + b"}" * opened])
    assert not all_within([b'{"a":1}'] * 500 + [b'{"a":' * (MAX_DEPTH + 1)])
    assert not all_within([b"1"] * 500 + [b'{"a":' * (MAX_DEPTH + 1)])
