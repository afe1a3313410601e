"""Columns that cost next to nothing: of one value from top to bottom, cut from one that is kept; put into a frame as
they are.

Of the sixty columns of a slice forty are mostly empty. Filling each anew for every slice costs its pages, not its work.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

#: Rows of a column that is kept: a slice has a few thousand.
_ROWS = 8_192

_kept: dict[tuple[str | float | None, pl.DataType], pl.Series] = {}


def blank(value: str | float | None, dtype: pl.DataType, count: int) -> pl.Series:
    """`count` times the same value, without memory of its own. For values of the program, not those of events."""
    kept = _kept.get((value, dtype))
    if kept is None or kept.len() < count:
        kept = pl.Series([value], dtype=dtype).new_from_index(0, max(count, _ROWS))
        _kept[value, dtype] = kept
    return kept.head(count)


def put(rows: pl.DataFrame, columns: Iterable[pl.Series]) -> pl.DataFrame:
    """The rows with these columns in place of those of their names, or behind them.

    As `with_columns` does, but without a query of its own: each of those is handed to another thread and waited for,
    which on a busy machine takes longer than most columns do.
    """
    return pl.DataFrame({column.name: column for column in (*rows.get_columns(), *columns)})
