"""Revised answers: a superseding row carries what its predecessor counted.

So each fold is a function of one row, and a rebuild stays one query.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline import blanks
from pipeline.slices import CORE, FURTHER, OLD
from schemas.vocabulary import Disposition

#: What is carried, from which column of the predecessor.
_CARRIED: dict[str, str] = {
    "old_occurred_ms": "occurred_ms",
    "old_metric": "metric",
    "old_scale": "scale",
    "old_bin": "bin",
    "old_label": "label",
    "old_p": "p",
    "old_tier": "tier",
    **{f"old_{name}": name for name in (*CORE, *FURTHER)},
    "old_others": "others",
}
#: Nothing to retract, by column.
_NOTHING: dict[str, str | int] = {
    name: "" if dtype == pl.String else (-1 if name == "old_bin" else 0) for name, dtype in OLD.items()
}


def wanted(rows: pl.DataFrame) -> list[int]:
    """Offsets of predecessors that lie before this slice and are looked for elsewhere."""
    first = rows["off"][0]
    old = rows["old_off"]
    return old.filter((old >= 0) & (old < first)).to_list()


def blank(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with nothing to retract."""
    return rows.hstack([blanks.blank(value, OLD[name], rows.height).alias(name) for name, value in _NOTHING.items()])


def retract(rows: pl.DataFrame, before: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Fills the old_* columns of superseding rows; `before` holds predecessors of earlier slices and of the ledger.

    A predecessor that counted in no score (late, rejected, gone) leaves nothing to retract: old_off becomes -1.
    """
    if not (rows["old_off"] >= 0).any():
        return blank(rows)
    columns = ["off", "disposition", *dict.fromkeys(_CARRIED.values())]
    found = pl.concat(
        [
            frame.select(pl.col(name).cast(rows.schema[name]) for name in columns)
            for frame in (*before, rows)
            if frame.width
        ]
    )
    carried = (
        found.filter(pl.col("disposition") == Disposition.AGGREGATED)
        .unique("off")
        .select(pl.col("off").alias("old_off"), *(pl.col(name).alias(old) for old, name in _CARRIED.items()))
        .with_columns(pl.lit(True).alias("found"))
    )
    joined = rows.join(carried, on="old_off", how="left", maintain_order="left")
    counts = pl.col("found").fill_null(False) & (pl.col("disposition") == Disposition.AGGREGATED)
    return joined.with_columns(
        pl.when(counts).then(pl.col("old_off")).otherwise(-1).alias("old_off"),
        *(
            pl.when(counts)
            .then(pl.col(name))
            .otherwise(pl.lit("" if dtype == pl.String else (-1 if name == "old_bin" else 0), dtype))
            .cast(dtype)
            .alias(name)
            for name, dtype in OLD.items()
        ),
    ).drop("found")
