"""The codec: what is decoded, what is rejected and why, and that hostile values are cheap."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import envelopes, guards
from schemas.codec import Rejection, check, decode, decode_profile, decode_record, encode
from schemas.feedback import Feedback, Reference
from schemas.limits import MAX_DEPTH, MAX_KEYS, MAX_VALUE_BYTES
from schemas.profile import Profile
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Channel, Metric, Reason, Stage

NOW = datetime(2026, 3, 2, 18, 20, tzinfo=UTC)
ANSWER: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": "2026-03-02T18:20:00Z",
    "channel": "survey",
    "metric": "nps",
    "score": 9,
}
VISIT: dict[str, Any] = {
    "event_id": "e2",
    "occurred_at": "2026-03-02T18:20:00Z",
    "channel": "web",
    "touchpoint": "order",
}
#: What S4 allows one hostile value to cost.
HOSTILE_SECONDS = 0.005


def raw(**changes: Any) -> bytes:
    return json.dumps(ANSWER | changes).encode()


def spliced(tail: bytes) -> bytes:
    return raw()[:-1] + b"," + tail + b"}"


def only(value: bytes, topic: str = "feedback", headers: envelopes.Headers = ()) -> Any:
    """The event or the rejection that one value becomes."""
    found = decode(topic, [value], [headers])
    return found.rejections.get(0) or found.events[0]


def why(value: bytes, topic: str = "feedback", headers: envelopes.Headers = ()) -> tuple[str, str]:
    outcome = only(value, topic, headers)
    assert isinstance(outcome, Rejection), outcome
    return outcome.reason.value, outcome.path


def test_bare_json_becomes_an_event() -> None:
    event = only(raw(text="fine"))
    assert event == Feedback(
        event_id="e1", occurred_at=NOW, channel=Channel.SURVEY, metric=Metric.NPS, score=9, text="fine"
    )


def test_neighbours_of_bad_values_are_decoded() -> None:
    values = [raw(), b"\xff", raw(score=3), None, b"{", raw(score=0), b"", b"x" * (2 * 1024 * 1024), raw(score=1)]
    found = decode("feedback", values, [()] * len(values))
    assert [event.score if isinstance(event, Feedback) else None for event in found.events] == [
        9, None, 3, None, None, 0, None, None, 1,
    ]  # fmt: skip
    assert {index: bad.reason for index, bad in found.rejections.items()} == {
        1: Reason.NOT_UTF8,
        4: Reason.NOT_JSON,
        6: Reason.EMPTY,
        7: Reason.TOO_LARGE,
    }
    assert found.tombstones == [3]


def test_nothing_gives_nothing() -> None:
    assert decode("feedback", [], []) == ([], {}, [])


def test_a_run_of_bad_values_ends() -> None:
    found = decode("touchpoints", [b"{"] * 50, [()] * 50)
    assert len(found.rejections) == 50
    assert found.events == [None] * 50


def test_a_topic_that_carries_no_events_is_a_fault_of_the_caller() -> None:
    with pytest.raises(KeyError):
        decode("scores", [raw()], [()])


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        (b"", "empty", "$"),
        (b" \n\t", "empty", "$"),
        (b"\xff", "not_utf8", "$"),
        (b"{", "not_json", "$"),
        (b"null", "wrong_type", "$"),
        (b"5", "wrong_type", "$"),
        (b"\xef\xbb\xbf" + raw(), "not_json", "$"),
        (raw() + b" x", "not_json", "$"),
        (raw() + raw(), "not_json", "$"),
        (raw()[:-1] + b",}", "not_json", "$"),
        (spliced(b'"score":NaN'), "not_json", "$"),
        (spliced(b'"score":-Infinity'), "not_json", "$"),
        (spliced(b'"score":09'), "not_json", "$"),
        (spliced(b'"text":"\x00"'), "not_json", "$"),
        (spliced(b'"text":"\\ud800"'), "not_json", "$"),
        (spliced(b'"text":"\xed\xa0\x80"'), "not_utf8", "$"),
        (spliced(b'"score":1e999'), "out_of_range", "$.score"),
        (spliced(b'"score":-0.0'), "wrong_type", "$.score"),
        (spliced(b'"score":1e1'), "wrong_type", "$.score"),
        (spliced(b'"score":18446744073709551616'), "out_of_range", "$.score"),
        (spliced(b'"score":' + b"9" * 100_000), "out_of_range", "$.score"),
        (spliced(b'"attributes":{"a":1e999}'), "out_of_range", "$.attributes[...]"),
        (spliced(b'"attributes":{"":1}'), "out_of_range", "$.attributes"),
        (raw(revision=2**63), "out_of_range", "$.revision"),
        (raw(version=2), "unknown_version", "$.version"),
        (raw(version=10**40), "unknown_version", "$.version"),
        (raw(version=0), "out_of_range", "$.version"),
        (raw(version="2"), "wrong_type", "$.version"),
        (raw(occurred_at="0000-01-01T00:00:00Z"), "bad_time", "$.occurred_at"),
        (raw(occurred_at="2026-03-02T18:20:00+99:00"), "bad_time", "$.occurred_at"),
    ],
)
def test_a_bad_value_has_its_reason_and_place(value: bytes, reason: str, path: str) -> None:
    assert why(value) == (reason, path)


def test_a_nul_escape_is_text_and_the_last_of_two_keys_counts() -> None:
    assert only(spliced(b'"text":"a\\u0000b"')).text == "a\x00b"
    assert only(spliced(b'"score":1,"score":2')).score == 2


def test_unknown_fields_are_dropped() -> None:
    event = only(raw(tenant="evil", ingest_time=5, nested={"a": [1, {"b": 2}]}))
    assert event == only(raw())


def test_a_version_that_we_do_not_know_explains_whatever_else_is_wrong() -> None:
    assert why(raw(version=99, metric="joy")) == ("unknown_version", "$.version")
    assert why(raw(version=1, metric="joy")) == ("unknown_value", "$.metric")


def test_the_stage_follows_from_the_reason() -> None:
    assert only(b"{").stage is Stage.DECODE
    assert only(raw(score=7.5)).stage is Stage.VALIDATE


def test_no_detail_and_no_path_holds_a_value_of_the_event() -> None:
    secret = "jane.doe@example.org"
    values = [
        raw(channel=secret),
        raw(score=secret),
        raw(occurred_at=secret),
        raw(attributes={secret: {}}),
        raw(attributes={secret * 20: 1}),
        raw(event_id=secret * 20),
        raw(ref={"ticket": [secret]}),
        raw()[:-1] + b',"text":"' + secret.encode(),
        spliced(b'"text":"' + secret.encode() + b'\xff"'),
        spliced(b'"' + secret.encode() + b'":['),
    ]
    for value in values:
        outcome = only(value)
        assert isinstance(outcome, Rejection)
        assert "jane" not in outcome.path + outcome.detail


# history: two records on one topic


def test_history_takes_both_records() -> None:
    assert isinstance(only(raw(), "history"), Feedback)
    assert isinstance(only(json.dumps(VISIT).encode(), "history"), Touchpoint)


def test_a_touchpoint_that_mentions_a_metric_stays_a_touchpoint() -> None:
    visit = VISIT | {"attributes": {"metric": "nps"}}
    assert isinstance(only(json.dumps(visit).encode(), "history"), Touchpoint)


def test_bad_feedback_on_history_is_explained_as_feedback() -> None:
    assert why(raw(score="9"), "history") == ("wrong_type", "$.score")
    assert why(json.dumps(VISIT | {"channel": "fax"}).encode(), "history") == ("unknown_value", "$.channel")


# limits


def nested(depth: int) -> bytes:
    """An answer whose value is nested `depth` deep: the object itself is 1."""
    return spliced(b'"x":' + b"[" * (depth - 1) + b"]" * (depth - 1))


def test_depth_is_allowed_up_to_the_limit() -> None:
    assert isinstance(only(nested(MAX_DEPTH)), Feedback)
    for depth in (MAX_DEPTH + 1, 1_024, 50_000):
        assert why(nested(depth)) == ("too_deep", "$")


def with_keys(count: int) -> bytes:
    return spliced(b'"x":{' + b",".join(b'"":%d' % i for i in range(count - 6)) + b"}")


def test_keys_are_allowed_up_to_the_limit() -> None:
    assert isinstance(only(with_keys(MAX_KEYS)), Feedback)
    for count in (MAX_KEYS + 1, 30_000):
        assert why(with_keys(count)) == ("too_many_keys", "$")


def test_brackets_and_colons_in_a_text_are_no_structure() -> None:
    text = '{[:"\\' * 200
    assert only(raw(text=text)).text == text


def test_a_limit_does_not_depend_on_the_neighbours() -> None:
    values = [b"5"] * 40 + [nested(MAX_DEPTH + 1)] + [raw()] * 40
    found = decode("feedback", values, [()] * len(values))
    assert found.rejections[40].reason is Reason.TOO_DEEP
    assert all(found.events[41:])


def test_measure_counts_what_a_parser_meets() -> None:
    assert guards.measure(b"") == (0, 0)
    assert guards.measure(b'{"a":{"b":[1,{"c":"}}}}:::"}]}}') == (4, 3)
    assert guards.measure(rb'{"\\":"\"{[","b":1}') == (1, 2)


SIZE = MAX_VALUE_BYTES - 200
HOSTILE: dict[str, bytes] = {
    "1 MB of brackets": b"[" * 1_000_000,
    "brackets within the size": b"[" * MAX_VALUE_BYTES,
    "objects in objects": b'{"a":' * (MAX_VALUE_BYTES // 5),
    "1,000,000 keys": b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}",
    "keys within the size": b"{" + b'"":1,' * (SIZE // 5) + b'"":1}',
    "flat arrays": spliced(b'"x":[' + b"[]," * (SIZE // 3) + b"1]"),
    "quotes": spliced(b'"x":[' + b'"",' * (SIZE // 3) + b"1]"),
    "backslashes": spliced(b'"x":"' + b"\\\\" * (SIZE // 2) + b'"'),
    "escapes": spliced(b'"text":"' + b"\\u0041" * (SIZE // 6) + b'"'),
    "digits": spliced(b'"revision":' + b"9" * SIZE),
    "structure in a text": spliced(b'"x":"' + b":{[" * (SIZE // 3) + b'"'),
    "spaces": b" " * MAX_VALUE_BYTES,
    "not UTF-8": b"\xff" * MAX_VALUE_BYTES,
    "base64": b'{"specversion":"1.0","type":"touchline.feedback.v1","id":"e","source":"s","data_base64":"'
    + b"A" * (SIZE // 4 * 4)
    + b'"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_is_cheap(name: str) -> None:
    def seconds() -> float:
        begin = time.process_time()
        only(HOSTILE[name])
        return time.process_time() - begin

    assert min(seconds() for _ in range(5)) < HOSTILE_SECONDS


# envelopes (each with a file under schemas/examples/envelope is tested there; here what a file cannot hold)

ATTRIBUTES = {"specversion": "1.0", "id": "e1", "source": "/survey", "type": "touchline.feedback.v1"}
BINARY: envelopes.Headers = tuple((f"ce_{name}", text.encode()) for name, text in ATTRIBUTES.items())
STRUCTURED: envelopes.Headers = (("content-type", b"Application/CloudEvents+json; charset=utf-8"),)


@pytest.mark.parametrize("prefix", [b"\x00\x00\x00\x00\x07", b"\x01" + b'{["\\:0123456789a'])
def test_confluent_framing_is_taken_off(prefix: bytes) -> None:
    assert only(prefix + raw()) == only(raw())
    assert why(prefix + raw(score="9")) == ("wrong_type", "$.score")
    assert why(prefix) == ("bad_envelope", "$")
    assert why(prefix[:3]) == ("bad_envelope", "$")
    framed = decode("feedback", [prefix + raw(), prefix, raw(), b"", prefix + raw()], [()] * 5)
    assert sorted(framed.rejections) == [1, 3]


def test_a_framed_value_may_hold_an_envelope() -> None:
    envelope = json.dumps(ATTRIBUTES | {"data": ANSWER}).encode()
    assert only(b"\x00\x00\x00\x00\x07" + envelope) == only(raw())
    assert only(b"\x00\x00\x00\x00\x07" + raw(), headers=BINARY) == only(raw())


def test_headers_that_are_no_envelope_change_nothing() -> None:
    others: envelopes.Headers = (
        ("traceparent", b"00-1"),
        ("content-type", b"application/json"),
        ("ce_partitionkey", b"c"),
    )
    assert only(raw(), headers=others) == only(raw())
    assert why(raw(score="9"), headers=others) == ("wrong_type", "$.score")


def test_structured_and_binary_say_the_same_as_bare() -> None:
    envelope = json.dumps(ATTRIBUTES | {"data": ANSWER}).encode()
    assert only(envelope) == only(envelope, headers=STRUCTURED) == only(raw(), headers=BINARY) == only(raw())


def test_a_valid_bare_event_with_envelope_words_is_read_as_bare() -> None:
    event = raw(specversion="1.0", type="com.example.other", data={})
    assert only(event) == only(raw())
    assert only(event, headers=(("traceparent", b"x"),)) == only(raw())


def test_headers_that_are_not_text_are_a_bad_envelope() -> None:
    broken = tuple((name, b"\xff" if name == "ce_id" else content) for name, content in BINARY)
    assert why(raw(), headers=broken) == ("bad_envelope", "headers.ce_id")
    assert why(raw(), headers=(("ce_type", b"touchline.feedback.v1"),)) == ("bad_envelope", "headers.ce_specversion")


def test_data_that_are_null_win_over_the_envelope() -> None:
    event = only(raw(customer_id=None), headers=(*BINARY, ("ce_subject", b"c-1")))
    assert event.customer_id is None


def test_data_that_are_empty_or_broken_stay_so_in_an_envelope() -> None:
    assert why(b"{}", headers=BINARY) == ("missing_field", "$.occurred_at")
    assert why(b"{", headers=BINARY) == ("not_json", "$")
    assert why(b"[1]", headers=BINARY) == ("wrong_type", "$")
    assert why(nested(MAX_DEPTH + 1), headers=BINARY) == ("too_deep", "$")


def test_limits_hold_inside_of_base64() -> None:
    coded = base64.b64encode(nested(MAX_DEPTH + 1)).decode()
    envelope = json.dumps(ATTRIBUTES | {"data_base64": coded}).encode()
    assert why(envelope) == ("too_deep", "$")


def test_a_tombstone_in_an_envelope_is_a_tombstone() -> None:
    assert decode("feedback", [None], [BINARY]).tombstones == [0]


# profiles, encode, check


def test_a_profile_is_decoded_and_its_envelope_stands_in() -> None:
    value = b'{"segments":["gold"]}'
    headers = tuple(
        (f"ce_{name}", text.encode())
        for name, text in {
            **ATTRIBUTES,
            "type": "touchline.profile.v1",
            "subject": "c-1",
            "time": "2026-03-02T18:20:00Z",
        }.items()
    )
    assert decode_profile(value, headers) == Profile(customer="c-1", valid_from=NOW, segments=["gold"])
    outcome = decode_profile(value)
    assert isinstance(outcome, Rejection)
    assert outcome.path == "$.customer"


def test_encode_leaves_defaults_out_and_gives_equal_bytes_for_equal_events() -> None:
    def event(**changes: Any) -> Feedback:
        return Feedback(event_id="e1", occurred_at=NOW, channel=Channel.APP, metric=Metric.NPS, score=0, **changes)

    assert encode(event()) == (
        b'{"event_id":"e1","occurred_at":"2026-03-02T18:20:00Z","channel":"app","metric":"nps","score":0}'
    )
    assert encode(event(ref=Reference(order="o1"), attributes={"b": 1, "a": 2})).endswith(
        b'"ref":{"order":"o1"},"attributes":{"a":2,"b":1}}'
    )
    assert encode(only(encode(event()))) == encode(event())


def answer(metric: Metric = Metric.NPS, **changes: Any) -> Feedback:
    return Feedback(event_id="e1", occurred_at=NOW, channel=Channel.APP, metric=metric, **changes)


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        (answer(score=0), None),
        (answer(score=10, scale_min=0, scale_max=10), None),
        (answer(score=11), (Reason.OUT_OF_RANGE, "$.score")),
        (answer(score=-1), (Reason.OUT_OF_RANGE, "$.score")),
        (answer(), (Reason.MISSING_FIELD, "$.score")),
        (answer(score=3, scale_min=1, scale_max=5), (Reason.BAD_SCALE, "$.scale_min")),
        (answer(score=3, scale_max=10), (Reason.BAD_SCALE, "$.scale_min")),
        (answer(Metric.CES, score=7), None),
        (answer(Metric.CES, score=7, scale_min=1, scale_max=5), (Reason.OUT_OF_RANGE, "$.score")),
        (answer(Metric.SENTIMENT_ONLY, text="fine"), None),
        (answer(Metric.SENTIMENT_ONLY, text=""), (Reason.MISSING_FIELD, "$.text")),
        (answer(Metric.SENTIMENT_ONLY, text="fine", score=3), (Reason.BAD_SCALE, "$.score")),
        (answer(Metric.SENTIMENT_ONLY, text="fine", scale_max=3), (Reason.BAD_SCALE, "$.scale_min")),
    ],
)
def test_an_answer_fits_its_scale_or_is_rejected(feedback: Feedback, expected: tuple[Reason, str] | None) -> None:
    outcome = check(feedback)
    assert (outcome and (outcome.reason, outcome.path)) == expected


def test_the_fast_way_and_the_careful_way_agree() -> None:
    values = [raw(score=i % 13, text="x" * i) for i in range(40)] + [
        b"{",
        raw(channel="fax"),
        nested(17),
        with_keys(70),
    ]
    found = decode("feedback", values, [()] * len(values))
    assert [found.rejections.get(i) or found.events[i] for i in range(len(values))] == [
        decode_record(Feedback, value) for value in values
    ]
