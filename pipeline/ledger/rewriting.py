"""Ledger rows whose facts change after they were counted: relabelled, merged, erased (pure).

A row keeps its disposition and its offset; what it said before is kept as `facts`, so that "as known then" can put it
back. Where a later answer takes the row back, that answer's retraction changes with it: each fold stays a function of
one row. Of what is erased nothing is kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from pipeline.ledger.corrections import NOTE
from pipeline.ledger.retractions import retract
from pipeline.slices import LABELLED, LEDGER, OLD
from schemas.vocabulary import Reason

#: Columns that may change while a row stays the same event: the label of its text, whose it is, its segments.
CHANGING: Final = (*LABELLED, "customer", "key_id", "segments")
#: What is kept of a row before it changed; the last four are what it takes back of its predecessor.
FACTS: Final = (
    *("label", "p", "tier", "customer", "key_id", "segments"),
    *("old_label", "old_p", "old_tier", "old_segments"),
)
#: Columns of the rewritings: as NOTE, without `was`.
REWRITE: Final[dict[str, pl.DataType]] = {
    "off": pl.Int64(),
    "minute": pl.UInt32(),
    "reason": pl.String(),
    "facts": pl.String(),
}


class Rewritten(NamedTuple):
    """Ledger rows as they are to be; notes for `changes`; and what the rows said before, by minute, for `rewrites`."""

    rows: pl.DataFrame
    notes: pl.DataFrame
    former: pl.DataFrame


def rewritten(before: pl.DataFrame, after: pl.DataFrame, superseding: pl.DataFrame, reason: Reason) -> Rewritten:
    """Those of `after` that differ from `before` (the same offsets), and the `superseding` rows that take them back.

    `superseding` may hold more rows, and rows of `before` too. An erasure keeps nothing of what was.
    """
    same = before.select("off", *CHANGING)
    changed = after.join(same, on=["off", *CHANGING], how="anti")
    moving = pl.concat([superseding.select(LEDGER), after.select(LEDGER)])
    moving = changed_first(moving, changed).filter(pl.col("old_off").is_in(changed["off"].implode()))
    moved = _taking_back(moving, after)
    rows = pl.concat([changed.filter(pl.col("off").is_in(moved["off"].implode()).not_()).select(LEDGER), moved])
    was = changed_first(pl.concat([before.select(LEDGER), superseding.select(LEDGER)]), before)
    touched = was.filter(pl.col("off").is_in(rows["off"].implode()))
    notes = _notes(touched, reason)
    kept = notes.clear() if reason is Reason.ERASED else notes
    former = kept.join(_facts(touched), on="off").select(*REWRITE).cast(REWRITE)  # type: ignore[arg-type]
    return Rewritten(rows.select(LEDGER).sort("off"), notes, former)


def changed_first(rows: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Each offset once: as `first` has it, else as `rows` has it."""
    others = rows.filter(pl.col("off").is_in(first["off"].implode()).not_()).unique("off", maintain_order=True)
    return pl.concat([first.select(LEDGER), others.select(LEDGER)])


def _taking_back(moving: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Superseding rows with the columns of what they take back filled in from `standing`."""
    if moving.is_empty():
        return moving.select(LEDGER)
    bare = moving.drop(*OLD)
    return retract(bare, [standing.select(bare.columns)]).select(LEDGER)


def _notes(was: pl.DataFrame, reason: Reason) -> pl.DataFrame:
    """A note for each minute that a row counts in: its own, and that of what it takes back."""
    own = was.select("off", _minute("occurred_ms"), "disposition")
    taken = was.filter(pl.col("old_off") >= 0).select("off", _minute("old_occurred_ms"), "disposition")
    noted = pl.concat([own, taken]).unique().with_columns(pl.lit(str(reason)).alias("reason"))
    return noted.rename({"disposition": "was"}).select(*NOTE).cast(NOTE)  # type: ignore[arg-type]


def _facts(was: pl.DataFrame) -> pl.DataFrame:
    """`off` and what the row said, as one JSON object."""
    return was.select("off", pl.struct(*FACTS).struct.json_encode().alias("facts"))


def _minute(name: str) -> pl.Expr:
    return (pl.col(name) // 60_000 * 60).cast(pl.UInt32).alias("minute")


def relabelled(rows: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rows with the labels (`off` and LABELLED) that a model gives their texts now; rows without one stay."""
    fresh = labels.select("off", *(pl.col(name).cast(rows.schema[name]).alias(f"{name}_new") for name in LABELLED))
    joined = rows.join(fresh, on="off", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(f"{name}_new", name).alias(name) for name in LABELLED).drop(
        f"{name}_new" for name in LABELLED
    )


def merged(rows: pl.DataFrame, into: tuple[int, int], profile: pl.DataFrame) -> pl.DataFrame:
    """Rows of one customer as those of another, `into` (key, number), with the other's segments as of each event.

    `profile` has `valid_from_ms` and `segments`, in order of time; before its first row an event keeps its own.
    """
    known = profile.select(pl.col("valid_from_ms"), pl.col("segments").alias("theirs")).sort("valid_from_ms")
    joined = rows.sort("occurred_ms").join_asof(known, left_on="occurred_ms", right_on="valid_from_ms")
    return (
        joined.with_columns(
            pl.coalesce("theirs", "segments").alias("segments"),
            pl.lit(into[0], rows.schema["key_id"]).alias("key_id"),
            pl.lit(into[1], rows.schema["customer"]).alias("customer"),
        )
        .select(rows.columns)
        .sort("off")
    )


def erased(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of nobody: what was answered stays and counts, who answered is gone."""
    return rows.with_columns(
        pl.lit(0, rows.schema["customer"]).alias("customer"), pl.lit(0, rows.schema["key_id"]).alias("key_id")
    )
