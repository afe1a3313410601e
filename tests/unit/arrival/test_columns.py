"""Attributes of events become columns, nothing lost and nothing invented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pipeline.arrival.columns import OWN, of_feedback, of_touchpoints
from pipeline.slices import ACCEPTED
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Channel, Metric, Outcome, Source

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def feedback(**fields: Any) -> Feedback:
    return Feedback(**{"event_id": "e", "occurred_at": NOON, "channel": Channel.WEB, "metric": Metric.NPS, **fields})


def touchpoint(**fields: Any) -> Touchpoint:
    given = {"event_id": "e", "occurred_at": NOON, "channel": Channel.APP, "touchpoint": "cart", **fields}
    return Touchpoint(**given)


def test_every_word_of_feedback_stands_in_its_column() -> None:
    words = {name: f"a {name}" for name in ("brand", "unit", "touchpoint", "stage", "product", "language", "device")}
    event = feedback(
        **words, agent_id="a7", campaign="c7", customer_id="ann", text="good", truncated=True, source=Source.CALL
    )
    own = {name: column[0] for name, column in of_feedback([event])[0].own.items()}
    assert own == {
        **words,
        "agent": "a7",
        "campaign": "c7",
        "customer_id": "ann",
        "text": "good",
        "truncated": 1,
        "source": "call",
        "channel": "web",
        "metric": "nps",
        "value": 0.0,
        "currency": "",
        "duration_ms": 0,
    }


def test_the_reach_of_a_post_stands_where_a_touchpoint_has_its_value() -> None:
    own = of_feedback([feedback(reach=12_000), feedback(reach=0), feedback()])[0].own
    assert own["value"].to_list() == [12_000.0, 0.0, 0.0]


def test_a_touchpoint_counts_in_its_volume_by_outcome() -> None:
    events = [touchpoint(outcome=outcome) for outcome in (None, Outcome.OK, Outcome.FAIL, Outcome.ABANDON)]
    own = of_touchpoints(events).own
    assert own["bin"].to_list() == [0, 1, 2, 3]
    assert own["metric"].to_list() == ["volume"] * 4
    assert own["scale"].to_list() == ["outcome"] * 4


def test_value_currency_and_duration_of_a_touchpoint_are_kept() -> None:
    own = of_touchpoints([touchpoint(value=9.5, currency="EUR", duration_ms=1_200), touchpoint()]).own
    assert own["value"].to_list() == [9.5, 0.0]
    assert own["currency"].to_list() == ["EUR", ""]
    assert own["duration_ms"].to_list() == [1_200, 0]


def test_columns_of_touchpoints_have_the_types_of_a_slice() -> None:
    own = of_touchpoints([touchpoint()]).own
    assert {name: own[name].dtype for name in OWN} == {name: ACCEPTED[name] for name in OWN}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC), 1_795_176_000_123),
        (datetime(2026, 11, 20, 12, 0, 0, 123_999, tzinfo=UTC), 1_795_176_000_123),
        (datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2))), 1_795_176_000_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), -1),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), -62_135_647_200_000),
    ],
)
def test_event_time_is_in_whole_milliseconds_whatever_its_zone(moment: datetime, expected: int) -> None:
    assert of_touchpoints([touchpoint(occurred_at=moment)]).occurred.tolist() == [expected]


@pytest.mark.parametrize("year", [1975, 2004, 2026, 2040])  # in 2004 a product of floats loses 240 of them
def test_every_millisecond_of_a_second_is_exact(year: int) -> None:
    second = datetime(year, 7, 20, 12, 3, 7, tzinfo=UTC)
    events = [touchpoint(occurred_at=second + timedelta(milliseconds=ms)) for ms in range(1_000)]
    occurred = of_touchpoints(events).occurred
    assert (occurred - int(second.timestamp()) * 1_000).tolist() == list(range(1_000))


def test_an_answer_is_known_by_brand_source_submission_and_question() -> None:
    same = {"brand": "b", "source": Source.REVIEW, "submission_id": "s", "question_id": "q"}
    others = [{**same, name: value} for name, value in (("brand", "B"), ("submission_id", "S"), ("question_id", "Q"))]
    others.append({**same, "source": Source.CALL})
    events = [feedback(**same), feedback(**same, event_id="other", revision=3), *(feedback(**each) for each in others)]
    hashes = of_feedback(events)[0].answer_hash.tolist()
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 5


def test_without_a_submission_an_answer_stands_alone() -> None:
    found = of_feedback([feedback(), feedback(submission_id="s"), feedback()])[0].answer_hash.tolist()
    assert [each != 0 for each in found] == [False, True, False]
