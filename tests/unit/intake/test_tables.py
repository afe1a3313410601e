"""Tables: cells become fields exactly, or the row is refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import UsageError
from pipeline.intake.tables import Plan, When, event_id, event_of, places_of
from schemas.explain import Rejection
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Channel, Metric, Reason

HEADER = ["When", "Stars", "Text", "Order"]
PLAN = Plan(
    columns={"score": "Stars", "text": "Text", "ref.order": "Order"},
    constants={"metric": "rating", "channel": "review", "source": "review"},
    when=When(column="When", zone=ZoneInfo("Europe/Berlin")),
    digest="f00d",
)


def outcome(cells: list[str], plan: Plan = PLAN, number: int = 1) -> Feedback | Touchpoint | Rejection:
    return event_of(plan, places_of(plan, HEADER), len(HEADER), number, cells)


def test_a_row_becomes_feedback_with_its_time_in_the_named_zone() -> None:
    event = outcome(["2026-01-31 12:00", "4", "fine", "o1"])
    assert isinstance(event, Feedback)
    assert (event.metric, event.channel, event.score, event.text) == (Metric.RATING, Channel.REVIEW, 4, "fine")
    assert event.occurred_at == datetime(2026, 1, 31, 11, 0, tzinfo=UTC)
    assert event.ref is not None
    assert event.ref.order == "o1"


@pytest.mark.parametrize(
    ("cells", "reason", "path"),
    [
        (["2026-01-31", "7.5", "x", ""], Reason.WRONG_TYPE, "$.score"),
        (["2026-01-31", "nine", "x", ""], Reason.WRONG_TYPE, "$.score"),
        (["yesterday", "4", "x", ""], Reason.BAD_TIME, "$.occurred_at"),
        (["2026-01-31", "4", "x"], Reason.MISSING_FIELD, "$"),
        (["2026-01-31", "4", "x", "", "more"], Reason.MISSING_FIELD, "$"),
        (["2026-01-31", "4", "caf\udce9", ""], Reason.NOT_UTF8, "$"),
        (["0001-01-01", "4", "x", ""], Reason.BAD_TIME, "$.occurred_at"),
    ],
)
def test_a_bad_row_is_refused_with_reason_and_path(cells: list[str], reason: Reason, path: str) -> None:
    refused = outcome(cells)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.path) == (reason, path)


def test_an_empty_cell_is_a_field_that_was_not_given() -> None:
    event = outcome(["2026-01-31", "", "", ""])
    assert isinstance(event, Feedback)
    assert (event.score, event.text, event.ref) == (None, None, None)


def test_a_time_without_a_zone_is_refused_and_never_guessed() -> None:
    plan = replace(PLAN, when=When(column="When"))
    refused = outcome(["2026-01-31 12:00", "4", "x", ""], plan)
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.BAD_TIME
    assert isinstance(outcome(["2026-01-31 12:00+02:00", "4", "x", ""], plan), Feedback)


def test_a_time_in_another_form_is_read_with_its_format() -> None:
    plan = replace(PLAN, when=When(column="When", zone=UTC, form="%d.%m.%Y %H:%M"))
    event = outcome(["31.01.2026 12:00", "4", "x", ""], plan)
    assert isinstance(event, Feedback)
    assert event.occurred_at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_ids_are_the_same_in_every_run_and_differ_by_row_file_and_mapping() -> None:
    other_file = replace(PLAN, digest="beef")
    other_answer = replace(PLAN, constants={**PLAN.constants, "question_id": "q2"})
    ids = [event_id(PLAN, 1), event_id(PLAN, 2), event_id(other_file, 1), event_id(other_answer, 1)]
    assert len(set(ids)) == 4
    assert event_id(replace(PLAN), 1) == ids[0]


def test_rows_without_a_metric_are_touchpoints() -> None:
    plan = Plan({}, {"channel": "store", "touchpoint": "store_visit"}, When(at=datetime(2026, 1, 1, tzinfo=UTC)), "x")
    assert isinstance(outcome(["", "", "", ""], plan), Touchpoint)


@pytest.mark.parametrize(
    ("columns", "when"),
    [
        ({"scor": "Stars"}, When(column="When")),
        ({"occurred_at": "When"}, When(column="When")),
        ({"ref.nothing": "Order"}, When(column="When")),
        ({"score": "Stars"}, When()),
        ({"score": "Stars"}, When(column="When", at=datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(columns: dict[str, str], when: When) -> None:
    with pytest.raises(UsageError):
        Plan(columns, {"metric": "rating"}, when)


def test_a_missing_column_is_named_before_the_first_row() -> None:
    with pytest.raises(UsageError, match=r"'Stars'"):
        places_of(PLAN, ["When", "Text", "Order"])


@pytest.mark.parametrize(
    ("cell", "score"), [("8,0", 8), ("8", 8), ("8.0", 8), ("8,5", None), ("1.000,0", None), ("acht", None)]
)
def test_a_decimal_comma_is_read_where_it_was_said_and_nothing_is_rounded(cell: str, score: int | None) -> None:
    found = outcome(["2026-01-31", cell, "x", ""], replace(PLAN, decimal_comma=True))
    assert (found.score if isinstance(found, Feedback) else None) == score


def test_numbers_with_a_comma_become_values_and_texts_keep_theirs() -> None:
    plan = replace(
        PLAN,
        columns={"value": "Stars", "attributes.note": "Text"},
        constants={"channel": "store", "touchpoint": "till"},
        decimal_comma=True,
    )
    found = outcome(["2026-01-31", "1.234,50", "1,5", ""], plan)
    assert isinstance(found, Touchpoint)
    assert (found.value, found.attributes) == (1234.5, {"note": "1,5"})


def test_a_date_without_being_told_which_comes_first_is_refused_with_the_question() -> None:
    refused = outcome(["03.04.2026", "4", "x", ""])
    assert isinstance(refused, Rejection)
    assert "--day-first or --month-first" in refused.detail
