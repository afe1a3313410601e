"""Units as a tree: parents are exactly their children and themselves, and a re-organisation keeps its history."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.scores.tree import Place, Tree, View, finer, plain_edges, rolled_up

HOUR = 3600
EVER = 2**32 - 1
#: u1 moves from north to south at half past the first hour; u2 stays; both regions stand under the country.
PLACES = [
    Place("u1", "north", 0, HOUR // 2),
    Place("u1", "south", HOUR // 2, EVER),
    Place("u2", "south", 0, EVER),
    Place("north", "country", 0, EVER),
    Place("south", "country", 0, EVER),
]
EDGES = (0, HOUR, 2 * HOUR)


def counted(cells: list[tuple[int, str, int]], **more: str) -> pl.DataFrame:
    schema: dict[str, Any] = {"start": pl.Int64, "unit": pl.String, "histogram": pl.List(pl.Int64)}
    rows = pl.DataFrame([(start, unit, [n, *[0] * 10]) for start, unit, n in cells], schema=schema, orient="row")
    return rows.with_columns(
        pl.lit(60).alias("seconds"), pl.lit("0-10").alias("scale"),
        pl.lit(0, pl.Int64).alias("s1"), pl.lit(0, pl.Int64).alias("s2"),
        *(pl.lit(value).alias(name) for name, value in more.items()),
    )  # fmt: skip


def sums(rows: pl.DataFrame, view: View) -> dict[tuple[int, str, str], int]:
    found = rolled_up(rows, EDGES, Tree(PLACES), [], view)
    return {(r["start"], r["parent"], r["unit"]): sum(r["histogram"]) for r in found.iter_rows(named=True)}


def test_a_re_organisation_keeps_its_history() -> None:
    tree = Tree(PLACES)
    assert finer(EDGES, tree) == (0, HOUR // 2, HOUR, 2 * HOUR)
    rows = counted([(0, "u1", 3), (HOUR // 2, "u1", 4), (0, "u2", 5), (HOUR, "u1", 2)])
    assert sums(rows, "then") == {
        (0, "", "country"): 12,
        (0, "country", "north"): 3,
        (0, "north", "u1"): 3,
        (0, "country", "south"): 9,
        (0, "south", "u1"): 4,
        (0, "south", "u2"): 5,
        (HOUR, "", "country"): 2,
        (HOUR, "country", "south"): 2,
        (HOUR, "south", "u1"): 2,
    }
    now = sums(rows, "now")
    assert (now[0, "country", "south"], now[0, "south", "u1"], now[0, "", "country"]) == (12, 7, 12)
    assert (0, "country", "north") not in now


def test_children_come_under_their_parents_and_a_unit_nobody_entered_stands_alone() -> None:
    rows = counted([(0, "u2", 1), (0, "u1", 1), (0, "stray", 1), (0, "", 1)])
    found = rolled_up(rows, EDGES, Tree(PLACES), [], "then")
    assert found.select("depth", "unit").rows() == [
        (0, ""), (0, "country"), (1, "north"), (2, "u1"), (1, "south"), (2, "u2"), (0, "stray"),
    ]  # fmt: skip
    assert found["seconds"].unique().to_list() == [HOUR]


def test_other_dimensions_stay_apart() -> None:
    rows = pl.concat([counted([(0, "u1", 1)], channel="app"), counted([(0, "u1", 2)], channel="web")])
    found = rolled_up(rows, EDGES, Tree(PLACES), ["channel"], "then")
    tops = {r["channel"]: sum(r["histogram"]) for r in found.iter_rows(named=True) if r["unit"] == "country"}
    assert tops == {"app": 1, "web": 2}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["then", "now"]))
def test_every_parent_is_exactly_its_children_and_what_it_was_given_itself(seed: int, view: View) -> None:
    random = Random(seed)
    names = [f"n{i}" for i in range(9)]
    # Parents have smaller numbers, so nobody stands above himself; some move in between.
    places = []
    for i, name in enumerate(names[1:], 1):
        moved = random.randrange(60, 2 * HOUR, 60)
        first, second = (names[random.randrange(i)] for _ in range(2))
        places += [Place(name, first, 0, moved), Place(name, second, moved, EVER)]
    tree = Tree(places)
    fine = finer(EDGES, tree)
    given_ = {(start, name): random.randrange(5) for start in fine[:-1] for name in names}
    rows = counted([(start, name, n) for (start, name), n in given_.items() if n])
    found = rolled_up(rows, EDGES, tree, [], view)
    for window in EDGES[:-1]:
        here = [r for r in found.iter_rows(named=True) if r["start"] == window]
        total = sum(n for (start, _), n in given_.items() if window <= start < window + HOUR)
        assert sum(sum(r["histogram"]) for r in here if r["depth"] == 0) == total
        own: Counter[str] = Counter()
        for parent in here:
            below = [r for r in here if r["path"].startswith(parent["path"] + "\x1f")]
            children = sum(sum(r["histogram"]) for r in below if r["depth"] == parent["depth"] + 1)
            own[parent["unit"]] += sum(parent["histogram"]) - children
        given_here = Counter(
            {
                name: sum(n for (s, u), n in given_.items() if u == name and window <= s < window + HOUR)
                for name in names
            }
        )
        assert +own == +given_here, (
            "whatever is not a child's was given to the unit itself, nothing lost, nothing twice"
        )
        assert min(own.values(), default=0) >= 0


def test_lines_that_go_round_in_a_circle_end() -> None:
    assert Tree([Place("a", "b", 0, EVER), Place("b", "a", 0, EVER)]).path("a", 5) == ("b", "a")


def test_too_many_windows_are_refused() -> None:
    assert plain_edges(0, 180, 60) == (0, 60, 120, 180)
    with pytest.raises(UsageError, match="choose a larger grain"):
        plain_edges(0, 60 * 5001, 60)
