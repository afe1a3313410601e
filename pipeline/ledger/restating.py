"""Rows of the ledger rewritten by the owner of their partition [I/O]: late ones counted, doubles taken out, texts
labelled anew, customers merged or erased.

The owner begins the partition anew and rewrites under the new fence, so nothing that is on its way can meet a row half
changed. Notes go first, then the rows; the windows of the noted minutes last, and only then is the request done: after
a crash anywhere the next owner carries it out again, and what is done already stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.errors import UsageError
from pipeline.ledger import identities
from pipeline.ledger.corrections import Corrected, counted_late, without_doubles
from pipeline.ledger.relabelling import RELABEL, TOPICS, relabel
from pipeline.ledger.rewriting import Rewritten
from pipeline.scores.kept import by_width
from pipeline.scores.recompute import Part, recompute, rewritten, stored
from pipeline.scores.rolling import rolled_days
from schemas.vocabulary import Reason

#: Kinds of requests that rewrite ledger rows, or what stands beside them.
RESTATE: Final = "restate"
DUPLICATES: Final = "duplicates"
KINDS: Final = (RESTATE, DUPLICATES, RELABEL, TOPICS, identities.MERGE, identities.ERASE)
#: Reasons under which they are noted.
_REASONS = [str(each) for each in (Reason.RESTATED, Reason.SAME_EVENT, Reason.RELABELLED, Reason.MERGED, Reason.ERASED)]
#: Above every offset: an epoch that is over is read to its end.
ALL: Final = 2**62
#: Minutes of an epoch that is over that are rewritten at once.
_MINUTES: Final = 2_000
_DAY_MS: Final = 86_400_000

_MINE = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16} AND off <= {up_to:Int64}"
#: Rows that are the first of their event id, or would be: as arrival/recall.py says.
_FIRST = "(disposition IN ('aggregated', 'late') OR reason = 'superseded')"
_DOUBLES = f"""event_hash IN (SELECT event_hash FROM ledger FINAL WHERE {_MINE} AND {_FIRST}
    GROUP BY event_hash HAVING count() > 1)"""


def carry_out(
    client: ClickHouse, where: Part, ver: int, request: Mapping[str, Any], labels: pl.DataFrame | None = None
) -> None:
    """Rewrites what a request asks for under the fence `ver`; done before, it finds nothing more to do.

    A request to relabel comes with the `labels` of a portion of its texts.
    """
    corrected = _corrected(client, where, request, labels)
    if corrected is None:
        return
    now = client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0]
    named = [
        pl.lit(where.topic).alias("topic"),
        pl.lit(where.epoch, pl.UInt16).alias("epoch"),
        pl.lit(where.part, pl.UInt16).alias("part"),
        pl.lit(ver, pl.UInt64).alias("ver"),
    ]
    known = [pl.lit(now, pl.Int64).alias("known_ms")]
    _fence(client, where, named)
    client.insert("changes", corrected.notes.with_columns(*named, *known))
    if isinstance(corrected, Rewritten):
        asked = pl.lit(request["asked_ms"], pl.Int64).alias("asked_ms")
        client.insert("rewrites", corrected.former.with_columns(*named, *known, asked))
    for _, day in corrected.rows.group_by(pl.col("ingest_ms") // _DAY_MS, maintain_order=True):
        client.insert("ledger", day.with_columns(*named))


def of_past_epoch(client: ClickHouse, ver: int, request: Mapping[str, Any], labels: pl.DataFrame | None = None) -> None:
    """The same for a partition of an epoch that is over, by who owns the partition now (under a fence above `ver` and
    above all that the epoch has seen); then the windows of the minutes that were noted."""
    where = Part(request["topic"], request["epoch"], request["part"], ALL)
    seen = client.query(
        """SELECT max(ver) AS ver FROM (
            SELECT max(ver) AS ver FROM ledger
            WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}
            UNION ALL SELECT max(ver) FROM progress
            WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16})""",
        {"topic": where.topic, "epoch": where.epoch, "part": where.part},
    )["ver"][0]
    above = max(ver, int(seen) + 1)
    carry_out(client, where, above, request, labels)
    minutes = noted_minutes(client, where, int(request["asked_ms"]))
    where = replace(where, rolled=rolled_days(client, where.topic, where.epoch, where.part))
    for first in range(0, len(minutes), _MINUTES):
        chosen = minutes[first : first + _MINUTES]
        rows = rewritten(recompute(client, where, chosen), stored(client, where, chosen))
        versions = [pl.lit(above, pl.UInt64).alias("ver"), pl.lit(1, pl.UInt64).alias("seq")]
        for table, some in zip(("windows", "windows_1h"), by_width(rows, where.rolled), strict=True):
            client.insert(table, some.with_columns(versions))


def _corrected(
    client: ClickHouse, where: Part, request: Mapping[str, Any], labels: pl.DataFrame | None
) -> Corrected | Rewritten | None:
    if request["kind"] == RESTATE:
        return _late(client, where, request)
    if request["kind"] == DUPLICATES:
        return _doubles(client, where)
    if request["kind"] == RELABEL:
        return None if labels is None else relabel(client, where, request, labels)
    return identities.changed(client, where, request)


def _fence(client: ClickHouse, where: Part, named: list[pl.Expr]) -> None:
    """The new fence in `progress` before any row bears it: `audit` asks there whether an owner has had it."""
    rows = client.query(
        """SELECT position, settled, clock_ms FROM progress FINAL
        WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}""",
        {"topic": where.topic, "epoch": where.epoch, "part": where.part},
    )
    if rows.height:
        client.insert("progress", rows.with_columns(*named, pl.lit(0, pl.UInt64).alias("seq")))


def noted_minutes(client: ClickHouse, where: Part, since_ms: int) -> list[int]:
    """Minutes (seconds) that were noted as changed since a moment, also by an owner who could not finish."""
    rows = client.query(
        """SELECT DISTINCT minute FROM changes FINAL
        WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}
            AND known_ms >= {since:Int64} AND reason IN {reasons:Array(String)}
        ORDER BY minute""",
        {"topic": where.topic, "epoch": where.epoch, "part": where.part, "since": since_ms, "reasons": _REASONS},
    )
    return rows["minute"].to_list() if rows.width else []


def _late(client: ClickHouse, where: Part, request: Mapping[str, Any]) -> Corrected | None:
    start, end = _span(request["body"])
    late = client.query(
        f"""SELECT * FROM ledger FINAL WHERE {_MINE} AND disposition = 'late'
            AND occurred_ms >= {{from_ms:Int64}} AND occurred_ms < {{to_ms:Int64}} ORDER BY off""",
        {**_names(where), "from_ms": start, "to_ms": end},
        FINAL_BY_DAY,
        long=True,
    )
    if late.is_empty():
        return None
    hashes = late.filter(pl.col("answer_hash") != 0)["answer_hash"].unique().to_list()
    standing = client.query(
        f"""SELECT * FROM ledger FINAL WHERE {_MINE} AND disposition = 'aggregated'
            AND answer_hash IN {{hashes:Array(UInt64)}} ORDER BY off""",
        {**_names(where), "hashes": hashes},
        FINAL_BY_DAY,
        long=True,
    )
    return counted_late(late, standing if standing.width else late.clear())


def body_of(from_ms: int, to_ms: int) -> str:
    """What a request to restate says: the span of event time, ms."""
    return orjson.dumps({"from_ms": from_ms, "to_ms": to_ms}).decode()


def _span(body: str) -> tuple[int, int]:
    try:
        found = orjson.loads(body)
        return int(found["from_ms"]), int(found["to_ms"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"a request to restate says no span of time: {body[:100]!r}") from error


def _doubles(client: ClickHouse, where: Part) -> Corrected | None:
    rows = client.query(
        f"SELECT * FROM ledger FINAL WHERE {_MINE} AND {_FIRST} AND {_DOUBLES} ORDER BY off",
        _names(where),
        FINAL_BY_DAY,
        long=True,
    )
    if rows.is_empty():
        return None
    superseding = client.query(
        f"SELECT * FROM ledger FINAL WHERE {_MINE} AND disposition = 'aggregated' AND old_off IN {{offs:Array(Int64)}}",
        {**_names(where), "offs": rows["off"].to_list()},
        FINAL_BY_DAY,
        long=True,
    )
    first = rows.select(pl.col("off").first().over("event_hash")).to_series()
    double = rows.filter(pl.col("off") > first)["off"]
    moved = superseding.filter(pl.col("old_off").is_in(double.implode())) if superseding.width else rows.clear()
    return without_doubles(rows, moved)


def count_doubles(client: ClickHouse, topic: str, epoch: int) -> dict[int, int]:
    """Per partition, how many rows repeat the event id of an earlier one and are not marked as duplicates."""
    rows = client.query(
        f"""SELECT part, sum(n - 1) AS doubles FROM (
            SELECT part, event_hash, count() AS n FROM ledger FINAL
            WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} AND {_FIRST}
            GROUP BY part, event_hash HAVING n > 1) GROUP BY part""",
        {"topic": topic, "epoch": epoch},
        FINAL_BY_DAY,
        long=True,
    )
    return {int(part): int(n) for part, n in rows.iter_rows()} if rows.width else {}


def late_by_lag(client: ClickHouse, from_ms: int, to_ms: int) -> pl.DataFrame:
    """Late rows of a span of event time: topic, epoch, part, lag (how long after it they arrived) and n."""
    return client.query(
        """SELECT topic, epoch, part, multiIf(days < 2, '1-2 days', days < 7, '2-7 days', 'over 7 days') AS lag,
            count() AS n
        FROM (SELECT topic, epoch, part, (ingest_ms - occurred_ms) / 86400000 AS days FROM ledger FINAL
            WHERE disposition = 'late' AND occurred_ms >= {from_ms:Int64} AND occurred_ms < {to_ms:Int64})
        GROUP BY topic, epoch, part, lag ORDER BY topic, epoch, part, lag""",
        {"from_ms": from_ms, "to_ms": to_ms},
        FINAL_BY_DAY,
        long=True,
    )


def _names(where: Part) -> dict[str, Any]:
    return {"topic": where.topic, "epoch": where.epoch, "part": where.part, "up_to": where.up_to}
