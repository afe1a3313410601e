"""Names: first come, first served; declared ones always; a place is given back after a month."""

from __future__ import annotations

import polars as pl

from pipeline.customers.names import FORGET_DAYS, NAMED, Names
from pipeline.slices import COUNTED

_DAY_MS = 86_400_000


def events(touchpoints: list[str], other: dict[str, list[str]] | None = None, *, day: int = 100) -> pl.DataFrame:
    """Rows with these touchpoints that arrived on a day."""
    empty = {name: [""] * len(touchpoints) for name in COUNTED}
    return pl.DataFrame({**empty, "touchpoint": touchpoints, **(other or {})}).with_columns(
        pl.lit(day * _DAY_MS, pl.Int64).alias("ingest_ms")
    )


def fallen(names: Names, rows: pl.DataFrame, declared: dict[str, set[str]] | None = None) -> list[list[str]]:
    """Of each row the dimensions that count under `other`."""
    found = names.decide(rows, declared or {})
    assert found.dtype == pl.UInt16
    return [[name for bit, name in enumerate(COUNTED) if others >> bit & 1] for others in found]


def test_the_first_names_have_a_place_and_keep_it() -> None:
    names = Names(most=2)
    assert fallen(names, events(["a", "b", "a"])) == [[], [], []]
    assert fallen(names, events(["c", "a", "", "d", "b"])) == [["touchpoint"], [], [], ["touchpoint"], []]
    assert dict(names.others) == {"touchpoint": 2}


def test_each_dimension_has_places_of_its_own_and_the_channel_needs_none() -> None:
    names = Names(most=1)
    first = {name: ["a"] for name in COUNTED if name != "touchpoint"}
    assert fallen(names, events(["a"], first)) == [[]]
    second = {name: ["b"] for name in COUNTED if name != "touchpoint"}
    assert fallen(names, events(["b"], second)) == [[name for name in COUNTED if name in NAMED]]
    assert set(COUNTED) - set(NAMED) == {"channel"}


def test_what_the_registry_declares_counts_by_name_and_takes_no_place() -> None:
    names = Names(most=1)
    declared = {"touchpoint": {"x", "y", "z"}}
    assert fallen(names, events(["x", "y", "a", "z"]), declared) == [[], [], [], []]
    assert fallen(names, events(["x", "b"]), declared) == [[], ["touchpoint"]]


def test_a_name_that_has_not_come_for_a_month_gives_its_place_back() -> None:
    names = Names(most=2)
    fallen(names, events(["a", "b"], day=100))
    fallen(names, events(["b"], day=110))
    assert fallen(names, events(["c"], day=100 + FORGET_DAYS)) == [["touchpoint"]]
    assert fallen(names, events(["c", "b"], day=101 + FORGET_DAYS)) == [[], []]
    assert fallen(names, events(["a"], day=101 + FORGET_DAYS)) == [["touchpoint"]]


def test_news_are_told_once_a_day_and_again_when_they_could_not_be_passed_on() -> None:
    names = Names(most=2)
    fallen(names, events(["a", "b", "c"], day=100))
    news = names.news()
    assert news == {("touchpoint", "a"): 100, ("touchpoint", "b"): 100}
    fallen(names, events(["a"], day=100))
    assert names.news() == {}
    names.unsaid(news)
    fallen(names, events(["a"], day=101))
    assert names.news() == {("touchpoint", "a"): 101, ("touchpoint", "b"): 100}


def test_what_another_worker_gave_a_place_has_it_here_too_and_an_older_day_is_not_believed() -> None:
    names = Names(most=2)
    names.learn([("touchpoint", "a", 100), ("touchpoint", "b", 100), ("touchpoint", "a", 90), ("weather", "rain", 100)])
    assert fallen(names, events(["c", "a", "b"])) == [["touchpoint"], [], []]
    assert names.news() == {}


def test_a_million_names_leave_no_more_than_the_limit_in_memory() -> None:
    names = Names(most=1_000)
    for first in range(0, 1_000_000, 100_000):
        names.decide(events([f"page-{number}" for number in range(first, first + 100_000)]), {})
    assert names.others["touchpoint"] == 999_000
    assert len(names.news()) == 1_000
