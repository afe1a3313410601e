"""The checksum of window rows: the same in any order, another with any other row."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.ledger.rebuild import checksum
from pipeline.scores.recompute import ROW
from pipeline.scores.windows import COUNTS


def rows() -> pl.DataFrame:
    """Rows of two minutes, one before and one after ten digits of seconds begin with another number of digits."""
    words = {name: ["core", "core", "core"] for name in ROW}
    frame = pl.DataFrame({**words, **{name: [1, 0, 2] for name in COUNTS}})
    return frame.with_columns(
        pl.Series("minute", [60, 120, 1_795_000_020], dtype=pl.UInt32),
        pl.lit(1, pl.UInt16).alias("epoch"),
        pl.Series("part", [2, 10, 2], dtype=pl.UInt16),
        pl.Series("unit", ["a", "ab", "b"]),
    )


def test_rows_in_any_order_have_one_checksum() -> None:
    assert checksum(rows()) == checksum(rows().reverse()) == checksum(rows()[[1, 2, 0]])


@pytest.mark.parametrize("name", [*COUNTS, "minute", "part"])
def test_a_number_that_differs_is_another_checksum(name: str) -> None:
    assert checksum(rows().with_columns(pl.col(name) + 1)) != checksum(rows())


def test_words_do_not_run_into_each_other() -> None:
    one = rows().with_columns(pl.lit("a").alias("unit"), pl.lit("bc").alias("channel"))
    other = rows().with_columns(pl.lit("ab").alias("unit"), pl.lit("c").alias("channel"))
    assert checksum(one) != checksum(other)


def test_a_row_more_or_less_is_another_checksum() -> None:
    assert len({checksum(rows()), checksum(rows()[:2]), checksum(rows().clear())}) == 3
