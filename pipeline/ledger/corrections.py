"""What a ledger row becomes when it is corrected later: late answers counted after all, doubles taken out (pure).

Only rows of one partition meet here. What they were before goes into the table `changes`, so that "as known then" can
put it back.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from pipeline.ledger.retractions import blank, retract
from pipeline.slices import LEDGER, OLD
from schemas.vocabulary import Disposition, Reason

#: Columns of a note: a row is named by its offset, `minute` is one that it changes.
NOTE: Final[dict[str, pl.DataType]] = {
    "off": pl.Int64(),
    "minute": pl.UInt32(),
    "reason": pl.String(),
    "was": pl.String(),
}


class Corrected(NamedTuple):
    """Ledger rows as they are to be, and the notes: which minutes change and what the rows were."""

    rows: pl.DataFrame
    notes: pl.DataFrame


def counted_late(late: pl.DataFrame, standing: pl.DataFrame) -> Corrected:
    """Late rows counted after all; `standing` are the counted rows of the same answers.

    Of an answer only the greatest revision counts: a late one below what stands is superseded, one above it takes back
    what stands, as if it had come in time.
    """
    stands = (
        standing.filter(pl.col("answer_hash") != 0)
        .sort("off")
        .group_by("answer_hash")
        .agg(pl.col("revision").last().alias("standing"), pl.col("off").last().alias("stands"))
    )
    judged = (
        late.sort("off")
        .join(stands, on="answer_hash", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("answer_hash") == 0)
            .then(pl.lit(True))
            .otherwise(
                (pl.col("revision") > pl.col("standing").fill_null(-1))
                & (pl.col("off") == pl.col("off").get(pl.col("revision").arg_max()).over("answer_hash"))
            )
            .alias("counts")
        )
        .with_columns(
            _either("counts", Disposition.AGGREGATED, Disposition.IGNORED).alias("disposition"),
            _either("counts", Reason.RESTATED, Reason.SUPERSEDED).alias("reason"),
            pl.when("counts").then(pl.col("stands").fill_null(-1)).otherwise(-1).alias("old_off"),
        )
        .drop("standing", "stands", "counts")
    )
    rows = _retracted(judged, standing)
    restated = rows.filter(pl.col("reason") == str(Reason.RESTATED))
    return Corrected(rows, _notes(restated, str(Disposition.LATE)))


def without_doubles(rows: pl.DataFrame, superseding: pl.DataFrame) -> Corrected:
    """Rows with the same event id in one partition: all but the first become duplicates.

    `superseding` are rows that take one of them back: from now on they take back the first.
    """
    marked = rows.sort("off").with_columns(
        pl.col("off").first().over("event_hash").alias("first"),
        pl.col("payload_hash").first().over("event_hash").alias("payload"),
    )
    doubles = marked.filter(pl.col("off") > pl.col("first"))
    was = doubles.select("off", pl.col("disposition").alias("was"))
    same = pl.col("payload_hash") == pl.col("payload")
    taken = blank(
        doubles.with_columns(
            pl.lit(str(Disposition.DUPLICATE)).alias("disposition"),
            _either(same, Reason.SAME_EVENT, Reason.CONFLICT).alias("reason"),
            pl.lit(-1, pl.Int64).alias("old_off"),
        ).drop(*OLD)
    )
    firsts = dict(zip(doubles["off"].to_list(), doubles["first"].to_list(), strict=True))
    kept = superseding.filter(pl.col("off").is_in(list(firsts)).not_())
    moved = _retracted(
        kept.with_columns(pl.col("old_off").replace_strict(firsts, default=pl.col("old_off"))),
        rows,
    )
    counted = doubles.filter(pl.col("disposition") == str(Disposition.AGGREGATED))
    notes = _notes(counted.with_columns(pl.lit(str(Reason.SAME_EVENT)).alias("reason")), "").drop("was")
    # Not under their own reason: that note says since when they count.
    moved_notes = _notes(moved.with_columns(pl.lit(str(Reason.SAME_EVENT)).alias("reason")), "")
    return Corrected(
        pl.concat([taken.select(LEDGER), moved.select(LEDGER)]),
        pl.concat([notes.join(was, on="off").select(*NOTE), moved_notes]),
    )


def _retracted(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of what they take back filled in from `standing`."""
    bare = rows.drop(*OLD)
    if bare.is_empty():
        return rows.select(LEDGER)
    before = [standing.select(bare.columns)] if standing.height else []
    return retract(bare, before).select(LEDGER)


def _notes(rows: pl.DataFrame, was: str) -> pl.DataFrame:
    """One note for each minute that a row changes: its own, and that of what it takes back."""
    own = rows.select("off", _minute("occurred_ms"), "reason")
    taken = rows.filter(pl.col("old_off") >= 0).select("off", _minute("old_occurred_ms"), "reason")
    return pl.concat([own, taken]).unique().with_columns(pl.lit(was).alias("was")).select(*NOTE).cast(NOTE)  # type: ignore[arg-type]


def _either(condition: str | pl.Expr, one: str, other: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(str(one))).otherwise(pl.lit(str(other)))


def _minute(name: str) -> pl.Expr:
    return (pl.col(name) // 60_000 * 60).cast(pl.UInt32).alias("minute")
