"""What accept's state of a partition is in terms of the ledger: how it is asked for, and how it follows from rows.

The queries are texts for whoever does the asking, with ClickHouse's named parameters (`topic`, `epoch`, `part` and
what stands in each); `of_rows` says the same over a frame of ledger rows. After a restart, a rebalance or a dropped
slice the state is made from this and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival.fingerprints import NO_INTS, Flags, Ints
from pipeline.arrival.identities import Firsts
from pipeline.arrival.revisions import Standing

#: Only rows below what is taken next: an insert that was given up may land above it, and nothing supersedes itself.
_WHERE = """FROM ledger FINAL WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}
    AND off < {next_off:Int64}"""
#: Rows that hold the first of an event id: neither dead letters, nor duplicates, nor tombstones.
_FIRST = "(disposition IN ('aggregated', 'late') OR reason = 'superseded')"

#: One row: what moved the clock furthest (without the lag), and ingest time. Zeros when there are no rows.
TIMES_SQL = f"""SELECT
    max(if({_FIRST} OR disposition = 'duplicate', least(occurred_ms, ingest_ms), 0)) AS moved_ms,
    max(ledger.ingest_ms) AS latest_ms
{_WHERE}"""
#: The newest `limit` first events, newest first: fewer rows than `limit` mean that these are all.
FIRSTS_SQL = f"""SELECT event_hash, off, payload_hash, ingest_ms {_WHERE} AND {_FIRST}
ORDER BY off DESC LIMIT {{limit:UInt64}}"""
#: What stands of the newest `limit` answers, newest first.
STANDING_SQL = f"""SELECT answer_hash, max(ledger.revision) AS greatest,
    max(if(disposition = 'aggregated', off, -1)) AS stands
{_WHERE} AND answer_hash != 0 AND {_FIRST} GROUP BY answer_hash ORDER BY max(off) DESC LIMIT {{limit:UInt64}}"""
#: Whether each of the newest `limit` rows from `released` on was invalid, newest first.
INVALID_SQL = f"""SELECT disposition = 'dead_letter' AS invalid {_WHERE} AND off >= {{released:Int64}}
ORDER BY off DESC LIMIT {{limit:UInt64}}"""
#: The offset from which an operator's last release lets the breaker count anew; 0 when there was none.
RELEASED_SQL = """SELECT max(toInt64OrZero(splitByChar(':', body)[2])) AS released FROM requests FINAL
WHERE kind = 'release' AND done_ms > 0 AND topic = {topic:String} AND part = {part:UInt16}
    AND startsWith(body, concat(toString({epoch:UInt16}), ':'))"""
#: Answers to `Questions.ids` (`hashes`) and `Questions.answers`.
KNOWN_IDS_SQL = f"""SELECT event_hash, min(off) AS first, argMin(ledger.payload_hash, off) AS payload
{_WHERE} AND {_FIRST} AND event_hash IN {{hashes:Array(UInt64)}} GROUP BY event_hash"""
KNOWN_ANSWERS_SQL = f"""SELECT answer_hash, max(ledger.revision) AS greatest,
    max(if(disposition = 'aggregated', off, -1)) AS stands
{_WHERE} AND {_FIRST} AND answer_hash IN {{hashes:Array(UInt64)}} GROUP BY answer_hash"""


class Recalled(NamedTuple):
    """What the ledger knows of a partition, each part oldest first.

    `moved_ms` is the greatest event time of rows that are no dead letters, capped at each row's ingest time; 0 when
    there is none. `invalid` tells of the newest rows whether they are dead letters. `whole_*`: nothing was left out.
    """

    moved_ms: int = 0
    ingest_ms: int = 0
    firsts: Firsts = Firsts()
    firsts_ingest_ms: Ints = NO_INTS
    standing: Standing = Standing()
    invalid: Flags | tuple[bool, ...] = ()
    whole_ids: bool = True
    whole_answers: bool = True


def of_rows(rows: pl.DataFrame) -> Recalled:
    """What follows from all ledger rows of one partition (columns of ACCEPTED), in any order."""
    rows = rows.sort("off")
    first = pl.col("disposition").is_in(["aggregated", "late"]) | (pl.col("reason") == "superseded")
    moved = rows.filter(first | (pl.col("disposition") == "duplicate")).select(
        pl.min_horizontal("occurred_ms", "ingest_ms")
    )
    firsts = rows.filter(first)
    counts = pl.when(pl.col("disposition") == "aggregated").then("off").otherwise(-1)
    standing = (
        firsts.filter(pl.col("answer_hash") != 0)
        .group_by("answer_hash", maintain_order=True)
        .agg(pl.col("revision").max(), counts.max().alias("stands"), pl.col("off").max().alias("newest"))
        .sort("newest")
    )
    return Recalled(
        moved_ms=_greatest(moved.to_series()),
        ingest_ms=_greatest(rows["ingest_ms"]),
        firsts=Firsts(*(firsts[name].to_numpy() for name in ("event_hash", "off", "payload_hash"))),
        firsts_ingest_ms=firsts["ingest_ms"].to_numpy(),
        standing=Standing(*(standing[name].to_numpy() for name in ("answer_hash", "revision", "stands"))),
        invalid=(rows["disposition"] == "dead_letter").to_numpy().astype(np.bool_),
    )


def _greatest(values: pl.Series) -> int:
    return int(values.to_numpy().max(initial=0))
