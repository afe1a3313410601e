"""Scores of single employees: nobody with few answers is shown alone (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

#: Answers under which an employee is not shown alone: a reader could tell who said what.
LEAST: Final = 10
#: Stands for those who are put together.
OTHERS: Final = "(others)"


def together(rows: pl.DataFrame, by: Sequence[str], least: int) -> pl.DataFrame:
    """Counted rows by agent, with those of fewer than `least` answers put together within each window and group.

    The sum of those put together must not give one of them away: where it is below `least` itself, the next smallest
    joins them, and where nobody is left to join, they are left out.
    """
    others = [name for name in by if name != "agent"]
    keys = ["start", "seconds", *others, "scale"]
    ordered = rows.with_columns(pl.col("histogram").list.sum().alias("n")).sort(*keys, "n", "agent")
    running = ordered.with_columns(
        pl.col("n").cum_sum().over(keys).alias("so_far"), (pl.col("n") < least).any().over(keys).alias("some")
    )
    # Smallest first: everybody until those put together are enough, and everybody who is too small alone.
    small = pl.col("some") & ((pl.col("n") < least) | (pl.col("so_far") - pl.col("n") < least))
    bins = [f"h{i}" for i in range(11)]
    joined = (
        running.with_columns(pl.when(small).then(pl.lit(OTHERS)).otherwise("agent").alias("agent"))
        .with_columns(pl.col("histogram").list.to_array(11).arr.to_struct(bins).struct.unnest())
        .group_by(*keys, "agent")
        .agg(pl.col(*bins, "s1", "s2").sum(), pl.len().alias("people"))
        .with_columns(pl.concat_list(bins).alias("histogram"))
    )
    shown = (pl.col("agent") != OTHERS) | ((pl.col("histogram").list.sum() >= least) & (pl.col("people") > 1))
    return joined.filter(shown).select(rows.columns).sort("start", *by, "scale")


def enough(rows: pl.DataFrame, least: int) -> pl.DataFrame:
    """Counted rows by agent of chosen ones, without those of fewer than `least` answers: with a name that is chosen
    beside them, or left out, the difference of two sums would be theirs."""
    return rows.filter(pl.col("histogram").list.sum() >= least)


def added_up(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Counted rows by agent as rows by `by` alone."""
    keys, bins = ["start", "seconds", *by, "scale"], [f"h{i}" for i in range(11)]
    return (
        rows.with_columns(pl.col("histogram").list.to_array(11).arr.to_struct(bins).struct.unnest())
        .group_by(keys)
        .agg(pl.col(*bins, "s1", "s2").sum())
        .with_columns(pl.concat_list(bins).alias("histogram"))
        .select(*keys, "histogram", "s1", "s2")
        .sort(keys)
    )
