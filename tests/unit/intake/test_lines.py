"""Lines of NDJSON: topic, key and verdict of each."""

from __future__ import annotations

import orjson

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.intake.lines import judge
from schemas.vocabulary import Reason

TOUCH = (
    b'{"event_id":"e1","occurred_at":"2026-11-18T11:00:00Z","channel":"web","touchpoint":"checkout","customer_id":"c1"}'
)
ANSWER = b'{"event_id":"e2","occurred_at":"2026-11-18T11:00:00Z","channel":"web","metric":"nps","score":9}'


def test_the_topic_is_guessed_from_the_metric_and_the_key_is_the_customer_or_the_event() -> None:
    touch, answer = judge([TOUCH, ANSWER], None, 1, None)
    assert (touch.topic, touch.key, touch.rejection) == ("touchpoints", b"c1", None)
    assert (answer.topic, answer.key, answer.rejection) == ("feedback", b"e2", None)


def test_a_submission_is_the_key_where_no_customer_is_known() -> None:
    line = ANSWER.replace(b'"score"', b'"submission_id":"s7","score"')
    assert judge([line], None, 1, None)[0].key == b"s7"


def test_a_bad_line_names_reason_and_path_and_does_not_touch_its_neighbours() -> None:
    eleven = ANSWER.replace(b":9", b":11")
    verdicts = judge([TOUCH, eleven, b"{", ANSWER], None, 5, None)
    assert [bool(line.rejection) for line in verdicts] == [False, True, True, False]
    assert verdicts[1].rejection is not None
    assert (verdicts[1].rejection.reason, verdicts[1].rejection.path) == (Reason.OUT_OF_RANGE, "$.score")
    assert verdicts[2].key == b"row:7"


def test_a_line_of_simulate_carries_its_topic_and_key_and_a_broken_value_as_a_string() -> None:
    good = b'{"topic":"history","key":"c1","value":' + ANSWER + b"}"
    broken = b'{"topic":"feedback","key":"c9","value":"{\\"event_id\\""}'
    first, second = judge([good, broken], None, 1, None)
    assert (first.topic, first.value, first.rejection) == ("history", ANSWER, None)
    assert (second.topic, second.key, second.value) == ("feedback", b"c9", b'{"event_id"')
    assert second.rejection is not None


def test_an_unknown_topic_in_a_line_is_refused() -> None:
    line = b'{"topic":"ticks","key":"c1","value":' + ANSWER + b"}"
    rejection = judge([line], None, 1, None)[0].rejection
    assert rejection is not None
    assert rejection.path == "$.topic"


def test_a_pseudonym_deployment_gets_the_pseudonym_in_key_and_value_and_never_twice() -> None:
    pseudonyms = Pseudonyms(1, bytes(range(32)))
    (once,) = judge([TOUCH], None, 1, pseudonyms)
    assert once.key == orjson.loads(once.value)["customer_id"].encode() == pseudonyms.text("c1").encode()
    assert b'"c1"' not in once.value
    (twice,) = judge([once.value], None, 1, pseudonyms)
    assert (twice.key, twice.value) == (once.key, once.value)


def test_without_pseudonyms_the_bytes_stay_as_they_came() -> None:
    spaced = TOUCH.replace(b",", b" , ").replace(b'"c1"', b'"c1","unknown_to_us":1')
    assert judge([spaced], None, 1, None)[0].value == spaced
