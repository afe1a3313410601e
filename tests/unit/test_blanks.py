"""Columns of one value, and columns put into a frame."""

from __future__ import annotations

import polars as pl

from pipeline.blanks import blank, put


def test_what_is_written_into_a_column_of_blanks_stays_there() -> None:
    column = blank("", pl.String(), 3)
    assert column.clone().scatter([1], "x").to_list() == ["", "x", ""]
    assert blank("", pl.String(), 3).to_list() == ["", "", ""]


def test_columns_take_the_place_of_those_of_their_names_and_further_ones_stand_behind() -> None:
    rows = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    found = put(rows, (pl.Series("b", ["p", "q"]), pl.Series("c", [None, b"z"], dtype=pl.Binary)))
    assert found.columns == ["a", "b", "c"]
    assert found.rows() == [(1, "p", None), (2, "q", b"z")]
    assert rows.columns == ["a", "b"]
    assert put(rows.clear(), [pl.Series("c", [], dtype=pl.Int8)]).schema == {
        "a": pl.Int64,
        "b": pl.String,
        "c": pl.Int8,
    }
