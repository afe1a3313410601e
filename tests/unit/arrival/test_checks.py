"""The column checks reject exactly what the check of one event rejects."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import polars as pl
import pytest

from pipeline.arrival import checks, columns
from pipeline.arrival.rules import ArrivalRules, Form
from schemas.codec import check
from schemas.feedback import SCALES, Feedback
from schemas.vocabulary import Channel, Metric, Reason

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def feedback(**fields: Any) -> Feedback:
    given = {"event_id": "e", "occurred_at": NOON, "channel": Channel.WEB, "metric": Metric.NPS, **fields}
    return Feedback(**given)


def scaled(events: list[Feedback]) -> checks.Scaled:
    found, scores = columns.of_feedback(events)
    return checks.scaled(found.own["metric"], found.own["text"], scores)


def test_columns_and_single_events_are_judged_alike() -> None:
    steps = (None, -1, 0, 1, 3, 5, 7, 10, 11)
    events = [
        feedback(metric=metric, score=score, scale_min=low, scale_max=high, text=text)
        for metric, score, low, high, text in product(Metric, steps, steps, steps, (None, "good", ""))
    ]
    found = scaled(events)
    assert found.unfit.tolist() == [row for row, event in enumerate(events) if check(event) is not None]
    assert set(checks.unfit(events, found.unfit)) == set(found.unfit.tolist())


def test_without_a_scale_the_first_of_the_metric_holds() -> None:
    rated = [metric for metric in Metric if SCALES[metric]]
    found = scaled([feedback(metric=metric, score=5) for metric in rated])
    assert found.scale.to_list() == ["0-10", "1-5", "1-7", "1-5"]
    assert found.bin.to_list() == [5, 4, 4, 4]
    assert found.answer.to_list() == [5, 5, 5, 5]


def test_a_text_alone_has_no_bin() -> None:
    found = scaled([feedback(metric=Metric.SENTIMENT_ONLY, text="good")])
    assert (found.scale[0], found.answer[0], found.bin[0]) == ("", 0, -1)
    assert not len(found.unfit)


@pytest.mark.parametrize(
    ("fields", "reason", "path"),
    [
        ({"score": 11}, Reason.OUT_OF_RANGE, "$.score"),
        ({"score": -1}, Reason.OUT_OF_RANGE, "$.score"),
        ({}, Reason.MISSING_FIELD, "$.score"),
        ({"score": 5, "scale_min": 1, "scale_max": 9}, Reason.BAD_SCALE, "$.scale_min"),
        ({"score": 5, "scale_max": 10}, Reason.BAD_SCALE, "$.scale_min"),
    ],
)
def test_what_is_wrong_is_said_with_reason_and_path(fields: dict[str, int], reason: Reason, path: str) -> None:
    events = [feedback(score=3), feedback(**fields)]
    found = checks.unfit(events, scaled(events).unfit)
    assert {row: (each.reason, each.path) for row, each in found.items()} == {1: (reason, path)}


@pytest.mark.parametrize(
    ("form", "wrong"), [("plain", [False, False, False, True]), ("pseudonym", [False, True, True, False])]
)
def test_an_id_in_the_other_form_is_found(form: Form, wrong: list[bool]) -> None:
    customers = pl.Series(["", "ann", "k1:0123456789ABCDEF", "k12:0123456789abcdef"])
    assert checks.other_form(customers, form).tolist() == wrong


def test_the_text_of_a_bad_time_names_the_rule() -> None:
    assert checks.bad_time("feedback", ArrivalRules()).detail == (
        "not between 30 days before and 5 minutes after its arrival"
    )
    assert "1970" in checks.bad_time("history", ArrivalRules()).detail
