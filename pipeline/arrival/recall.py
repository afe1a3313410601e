"""What accept's state of a partition is in terms of the ledger: how it is asked for, and how it follows from rows.

The queries are texts for whoever does the asking, with ClickHouse's named parameters (`topic`, `epoch`, `part` and
what stands in each); `of_rows` says the same over a frame of ledger rows. After a restart, a rebalance or a dropped
slice the state is made from this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival.fingerprints import NO_INTS, Flags, Ints
from pipeline.arrival.identities import Firsts, Ids
from pipeline.arrival.revisions import Standing
from pipeline.arrival.ring import NO_NUMBERS, Numbers
from pipeline.slices import Partition

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
_PAGE = f"{_WHERE} AND off >= {{low:Int64}} AND {_FIRST}"
#: A page of first events, newest first; all that is asked lies in the table's order, so nothing else is read.
FIRSTS_SQL = f"""SELECT event_hash, off, payload_hash, ingest_ms {_PAGE}
ORDER BY off DESC LIMIT {{limit:UInt64}}"""
#: A page of rows of answers, newest first.
ANSWERS_SQL = f"""SELECT answer_hash, off, ingest_ms {_PAGE} AND answer_hash != 0
ORDER BY off DESC LIMIT {{limit:UInt64}}"""
#: What stands of all answers with a row from `low` on, by all their rows.
STANDING_SQL = f"""SELECT answer_hash, max(ledger.revision) AS greatest,
    max(if(disposition = 'aggregated', off, -1)) AS stands, max(ledger.ingest_ms) AS newest_ms
{_WHERE} AND {_FIRST} AND answer_hash IN (SELECT answer_hash {_PAGE} AND answer_hash != 0) GROUP BY answer_hash"""
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
    """What the ledger knows of a partition beside its ids and answers.

    `moved_ms` is the greatest event time of rows that are no dead letters, capped at each row's ingest time; 0 when
    there is none. `invalid` tells of the newest rows, oldest first, whether they are dead letters.
    """

    moved_ms: int = 0
    ingest_ms: int = 0
    invalid: Flags | tuple[bool, ...] = ()


class Kept(NamedTuple):
    """The newest ids and answers of some partitions, as many as the memory has room for, whichever hold them.

    `whole_*` says of each partition whether these are all that it has; their order gives the numbers in `which`.
    """

    whole_ids: Mapping[Partition, bool]
    ids: list[Ids]
    whole_answers: Mapping[Partition, bool]
    which: Numbers = NO_NUMBERS
    standing: Standing = Standing()
    newest_ms: Ints = NO_INTS


def of_rows(rows: pl.DataFrame) -> tuple[Recalled, Firsts, Standing]:
    """What follows from all ledger rows of one partition (columns of ACCEPTED), in any order; oldest first."""
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
    return (
        Recalled(
            moved_ms=_greatest(moved.to_series()),
            ingest_ms=_greatest(rows["ingest_ms"]),
            invalid=(rows["disposition"] == "dead_letter").to_numpy().astype(np.bool_),
        ),
        Firsts(*(firsts[name].to_numpy() for name in ("event_hash", "off", "payload_hash"))),
        Standing(*(standing[name].to_numpy() for name in ("answer_hash", "revision", "stands"))),
    )


def kept_of(partition: Partition, firsts: Firsts, standing: Standing, ingest_ms: Ints = NO_INTS) -> Kept:
    """The ids and answers of one partition that has no others; `ingest_ms` of the ids, zeros by default."""
    times = ingest_ms if len(ingest_ms) else np.zeros(len(firsts.hashes), dtype=np.int64)
    ids = Ids(
        np.zeros(len(times), dtype=np.uint16),
        firsts.hashes,
        firsts.offsets,
        firsts.payloads.astype(np.uint32),
        (times // 1000).astype(np.uint32),
    )
    of_answers = np.zeros(len(standing.hashes), dtype=np.int64)
    return Kept(
        {partition: True},
        [ids.part(slice(None, None, -1))],
        {partition: True},
        of_answers.astype(np.uint16),
        standing,
        of_answers,
    )


def _greatest(values: pl.Series) -> int:
    return int(values.to_numpy().max(initial=0))
