"""A guess: from names that we know and values that fit; never a zone, never a day where two would do."""

from __future__ import annotations

import pytest

from pipeline.intake.guessing import guessed
from pipeline.intake.moments import DAY_FIRST


def test_a_survey_export_is_recognised() -> None:
    header = ["Response ID", "NPS Score", "Comment", "User Id", "Created At", "Colour"]
    found = guessed(
        header, [["r1", "9", "fine", "u1", "2026-01-31 12:00", "red"], ["r2", "10", "", "u2", "2026-02-01 08:00", ""]]
    )
    assert found.columns == {
        "submission_id": "Response ID",
        "customer_id": "User Id",
        "score": "NPS Score",
        "text": "Comment",
    }
    assert found.constants == {"metric": "nps", "channel": "survey"}
    assert (found.time, found.form) == ("Created At", "")


@pytest.mark.parametrize(
    ("column", "cells", "metric"),
    [
        ("Stars", ["5", "1"], "rating"),
        ("CSAT", ["5", "1"], "csat"),
        ("CES score", ["5"], "ces"),
        ("Score", ["5", "1"], "csat"),
        ("Score", ["5", "8"], "nps"),
        ("Score", ["5", "0"], "nps"),
        ("Score", ["", "n/a"], "nps"),
    ],
)
def test_what_a_score_measures_follows_from_its_name_or_its_values(column: str, cells: list[str], metric: str) -> None:
    assert guessed([column], [[cell] for cell in cells]).constants["metric"] == metric


@pytest.mark.parametrize(
    ("cells", "form"),
    [(["31.01.2026", "03.04.2026"], DAY_FIRST), (["01.02.2026", "03.04.2026"], ""), (["2026-01-02", "2026-03-04"], "")],
)
def test_day_or_month_is_told_only_by_a_number_beyond_12(cells: list[str], form: str) -> None:
    found = guessed(["Datum", "Text"], [[cell, "x"] for cell in cells])
    assert (found.time, found.form) == ("Datum", form)


def test_our_own_names_need_no_mapping_and_reviews_are_reviews() -> None:
    found = guessed(["eventId", "metric", "score", "touchpoint", "review_text"], [["e", "csat", "4", "shop", "x"]])
    assert found.columns == {
        "event_id": "eventId",
        "metric": "metric",
        "score": "score",
        "touchpoint": "touchpoint",
        "text": "review_text",
    }
    assert found.constants == {"channel": "review", "source": "review"}
    assert found.time == ""


def test_a_table_of_strangers_gives_nothing() -> None:
    found = guessed(["Colour", "Size"], [["red", "9"]])
    assert (found.columns, found.time) == ({}, "")
