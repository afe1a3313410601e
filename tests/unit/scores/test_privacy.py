"""Nobody with few answers is shown alone, and no sum gives one away."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scores.privacy import LEAST, OTHERS, enough, together


def rows(counts: dict[str, int], start: int = 0) -> pl.DataFrame:
    schema = {"start": pl.Int64, "seconds": pl.Int64, "agent": pl.String, "scale": pl.String}
    schema |= {"histogram": pl.List(pl.Int64), "s1": pl.Int64, "s2": pl.Int64}  # type: ignore[dict-item]
    made = [(start, 60, agent, "0-10", [n, *[0] * 10], 0, 0) for agent, n in counts.items()]
    return pl.DataFrame(made, schema=schema, orient="row")


def shown(counts: dict[str, int]) -> dict[str, int]:
    found = together(rows(counts), ["agent"], LEAST)
    return {row["agent"]: sum(row["histogram"]) for row in found.iter_rows(named=True)}


def test_those_with_few_answers_are_put_together() -> None:
    assert shown({"a": 30, "b": 20, "c": 6, "d": 5}) == {"a": 30, "b": 20, OTHERS: 11}
    assert shown({"a": 30, "b": 20}) == {"a": 30, "b": 20}


def test_the_next_smallest_joins_where_the_sum_would_give_one_away() -> None:
    assert shown({"a": 30, "b": 20, "c": 4}) == {"a": 30, OTHERS: 24}
    assert shown({"a": 30, "b": 4}) == {OTHERS: 34}
    assert shown({"b": 4, "c": 3}) == {}
    assert shown({"b": 4}) == {}


def test_windows_are_judged_each_for_itself() -> None:
    two = pl.concat([rows({"a": 12, "b": 11}), rows({"a": 12, "b": 2}, start=60)])
    found = together(two, ["agent"], LEAST)
    assert found.select("start", "agent").rows() == [(0, "a"), (0, "b"), (60, OTHERS)]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), max_size=8))
def test_nobody_small_is_shown_and_nothing_is_invented(counts: dict[str, int]) -> None:
    found = shown(counts)
    assert all(n >= LEAST for n in found.values())
    assert sum(found.values()) in (sum(counts.values()), 0) or OTHERS not in found
    alone = {agent: n for agent, n in found.items() if agent != OTHERS}
    assert alone.items() <= counts.items()
    hidden = len(counts) - len(alone)
    assert hidden != 1 or OTHERS not in found


def test_a_chosen_agent_with_few_answers_is_not_shown() -> None:
    assert enough(rows({"a": 9, "b": 10}), LEAST)["agent"].to_list() == ["b"]
