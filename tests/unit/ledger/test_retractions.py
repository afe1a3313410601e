"""A revised answer carries what its predecessor counted, wherever that stands; one that counted nothing is left."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.ledger.retractions import blank, retract, wanted
from pipeline.slices import OLD
from tests.rows import ledger_like


def rows(first: int, olds: list[int], dispositions: list[str] | None = None) -> pl.DataFrame:
    found = ledger_like(len(olds), seed=first, first=first).with_columns(
        pl.Series("old_off", olds, dtype=pl.Int64),
        pl.Series("disposition", dispositions or ["aggregated"] * len(olds)),
        pl.lit("nps").alias("metric"),
        pl.lit("0-10").alias("scale"),
        pl.Series("bin", [off % 11 for off in range(first, first + len(olds))], dtype=pl.Int8),
    )
    return found.drop(OLD)


def old(found: pl.DataFrame) -> list[tuple[int, int]]:
    return found.select("old_off", "old_bin").rows()


def test_predecessors_of_earlier_slices_are_wanted_those_of_this_one_are_not() -> None:
    assert wanted(rows(10, [-1, 3, 10, 9])) == [3, 9]


def test_the_predecessor_of_the_same_slice_of_an_earlier_one_and_of_the_ledger_is_carried() -> None:
    ledger, earlier = rows(0, [-1] * 4), rows(4, [-1] * 4)
    found = retract(rows(8, [2, 5, 9, -1]), [earlier, ledger])
    assert old(found) == [(2, 2), (5, 5), (9, 9), (-1, -1)]
    carried = found.row(0, named=True)
    before = ledger.row(2, named=True)
    for name in ("occurred_ms", "metric", "scale", "label", "p", "tier", "brand", "unit", "segments", "stage"):
        assert carried[f"old_{name}"] == before[name]


@pytest.mark.parametrize("disposition", ["late", "duplicate", "dead_letter", "ignored"])
def test_a_predecessor_that_counted_nothing_leaves_nothing_to_take_back(disposition: str) -> None:
    found = retract(rows(1, [0]), [rows(0, [-1], [disposition])])
    assert old(found) == [(-1, -1)]
    assert found.select("old_brand", "old_occurred_ms").row(0) == ("", 0)


def test_a_predecessor_that_is_nowhere_leaves_nothing_to_take_back() -> None:
    assert old(retract(rows(5, [2]), [pl.DataFrame()])) == [(-1, -1)]


def test_a_late_revision_takes_nothing_back() -> None:
    assert old(retract(rows(1, [0], ["late"]), [rows(0, [-1])])) == [(-1, -1)]


def test_order_and_columns_stay_as_they_are() -> None:
    given = rows(8, [2, -1, 8, 5])
    found = retract(given, [rows(0, [-1] * 8)])
    assert found["off"].to_list() == given["off"].to_list()
    assert found.drop(*OLD, "old_off").equals(given.drop("old_off"))
    assert [found.schema[name] for name in OLD] == list(OLD.values())
    assert blank(given).schema == retract(given.with_columns(pl.lit(-1, pl.Int64).alias("old_off")), []).schema
