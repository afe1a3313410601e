"""Windows recomputed from the ledger [I/O]: what cold minutes, `rebuild` and `audit` stand on.

One query, the same arithmetic as pipeline/scores/windows.py: a test folds the same events both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.scores.kept import FINGERPRINT, counted_as, kept_rows, starts
from pipeline.scores.windows import COUNTS, KEY
from pipeline.slices import CORE, FURTHER
from schemas.limits import MAX_BINS
from schemas.vocabulary import Disposition

#: Columns that name a window row in the table.
ROW: tuple[str, ...] = (*KEY, "topic", "epoch", "part")

_LABEL_BINS = "transform({0}label, ['negative', 'neutral', 'positive'], [0, 1, 2], -1)"

#: One ledger row counts at most four times: its answer, its label, and both of its predecessor with -1. Of each: the
#: prefix of its columns, metric, scale, bin, weight, p, and the rows that have it.
_KINDS: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    ("", "metric", "scale", "bin", "1", "0", "bin >= 0"),
    ("", "toLowCardinality('sentiment')", "tier", _LABEL_BINS.format(""), "1", "p", "label != ''"),
    ("old_", "old_metric", "old_scale", "old_bin", "-1", "0", "old_off >= 0 AND old_bin >= 0"),
    (
        "old_",
        "toLowCardinality('sentiment')",
        "old_tier",
        _LABEL_BINS.format("old_"),
        "-1",
        "old_p",
        "old_off >= 0 AND old_label != ''",
    ),
)

_CUTS = "arrayFilter(t -> t.1 = 'core' OR t.2 != '', [('core', ''), {}])".format(
    ", ".join(f"('{name}', toString(c_{name}))" for name in FURTHER)
)


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of one epoch, how far the ledger is to be read (inclusive), and which days are kept by the hour."""

    topic: str
    epoch: int
    part: int
    up_to: int
    rolled: frozenset[int] = frozenset()


def contributions(columns: Sequence[str], dims: Sequence[str], where: str, when: str = "1") -> str:
    """SELECT of what ledger rows count: `columns`, then c_ms, c_metric, c_scale, c_bin, c_w, c_p and c_ of each dim.

    `where` chooses rows; `when` is a condition on c_ms, the event time of what counts. Four readings instead of an
    arrayJoin of tuples: each reads the columns that it needs, and words stay codes: a third of the time.
    """
    return "\nUNION ALL\n".join(
        f"""SELECT {"".join(f"{name}, " for name in columns)}{old}occurred_ms AS c_ms, {metric} AS c_metric,
    {scale} AS c_scale, toInt8({bin_}) AS c_bin, toInt64({weight}) AS c_w, toInt64({p}) AS c_p
    {"".join(f", {counted_as(name, old)} AS c_{name}" for name in dims)}
FROM ledger FINAL
WHERE disposition = '{Disposition.AGGREGATED}' AND {where} AND {there} AND ({when}) AND c_bin >= 0"""
        for old, metric, scale, bin_, weight, p, there in _KINDS
    )


def recompute(client: ClickHouse, where: Part, minutes: list[int] | None = None) -> pl.DataFrame:
    """Window rows (ROW and COUNTS) of one partition from its ledger; `minutes` (seconds) restricts them.

    A row of a day that is kept by the hour is a whole hour's; `minutes` then names the hours that they lie in.
    """
    fresh, parameters = _fresh(where, minutes)
    return client.query(f"{fresh}\nORDER BY {', '.join(KEY)}", parameters, FINAL_BY_DAY, long=True)


def _fresh(where: Part, minutes: list[int] | None) -> tuple[str, dict[str, object]]:
    """SQL and parameters of the window rows that `recompute` reads."""
    parameters: dict[str, object] = {
        "topic": where.topic,
        "epoch": where.epoch,
        "part": where.part,
        "up_to": where.up_to,
    }
    chosen, when, hourly = "1", "1", ""
    if where.rolled:
        parameters["rolled"] = sorted(where.rolled)
        hourly = "has({rolled:Array(UInt32)}, toUInt32(intDiv(c_ms, 86400000)))"
    if minutes is not None:
        alone, hours = starts(minutes, where.rolled)
        parameters |= {"minutes": alone, "hours": hours, "day": min(minutes) // 86_400 - 1}
        # An event is at most five minutes ahead of its ingest: earlier ingest days cannot hold it. A retraction
        # comes later still.
        chosen = "day >= toDate({day:Int64})"
        when = "intDiv(c_ms, 60000) * 60 IN {minutes:Array(Int64)}"
        if hours:
            when += " OR intDiv(c_ms, 3600000) * 3600 IN {hours:Array(Int64)}"
    mine = f"part = {{part:UInt16}} AND off <= {{up_to:Int64}} AND {chosen}"
    return _grouped(mine, when, hourly), parameters


def _grouped(mine: str, when: str, hourly: str) -> str:
    """Window rows from the ledger; `hourly` is the SQL of whether what counts at c_ms counts in an hour's row."""
    start = "intDiv(c_ms, 60000) * 60"
    if hourly:
        start = f"if({hourly}, intDiv(c_ms, 3600000) * 3600, {start})"
    counts = ", ".join(f"sumIf(c_w, c_bin = {i}) AS b{i}" for i in range(MAX_BINS))
    core = ", ".join(f"if(cut = 'core', toString(c_{name}), '') AS {name}" for name in CORE[1:])
    counted = contributions(
        ("part",), (*CORE, *FURTHER), f"topic = {{topic:String}} AND epoch = {{epoch:UInt16}} AND {mine}", when
    )
    return f"""
SELECT cut, c_metric AS metric, c_scale AS scale, c_brand AS brand, unit, channel, touchpoint, dim,
    toUInt32(at) AS minute, {{topic:String}} AS topic, toUInt16({{epoch:UInt16}}) AS epoch, part,
    {counts}, sum(if(c_metric = 'sentiment', c_w * c_p, 0)) AS s1,
    sum(if(c_metric = 'sentiment', c_w * intDiv(c_p * c_p + 5000, 10000), 0)) AS s2
FROM (
    SELECT part, {start} AS at, c_metric, c_scale, c_bin, c_w, c_p, c_brand,
        arrayJoin({_CUTS}) AS t, t.1 AS cut, t.2 AS dim, {core}
    FROM ({counted})
)
GROUP BY cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, part
"""


_NONZERO = " OR ".join(f"{name} != 0" for name in COUNTS)


#: The days that are kept by the hour, of all partitions of a topic together.
_HOURLY = """(part, toUInt32(intDiv(c_ms, 86400000))) IN (
    SELECT part, day FROM rolled WHERE topic = {topic:String} AND epoch = {epoch:UInt16})"""


def fingerprints(client: ClickHouse, topic: str, epoch: int, up_to: dict[int, int]) -> pl.DataFrame:
    """Per partition: rows and fingerprint of the windows in the table (n, print) and from the ledger (n_, print_).

    `up_to` is the offset up to which each partition's ledger is read. Zero rows do not count.
    """
    parameters: dict[str, object] = {
        "topic": topic,
        "epoch": epoch,
        "parts": list(up_to),
        "offsets": list(up_to.values()),
    }
    # The windows first, close to the moment at which the offsets were read: their owner goes on writing.
    ours = "topic = {topic:String} AND epoch = {epoch:UInt16}"
    there = client.query(
        f"SELECT part, {FINGERPRINT} FROM ({kept_rows('*', ours)}) WHERE {_NONZERO} GROUP BY part",
        parameters,
        FINAL_BY_DAY,
        long=True,
    )
    mine = "off <= transform(part, {parts:Array(UInt16)}, {offsets:Array(Int64)}, toInt64(-1))"
    fresh = client.query(
        f"SELECT part, {FINGERPRINT} FROM ({_grouped(mine, '1', _HOURLY)}) WHERE {_NONZERO} GROUP BY part",
        parameters,
        FINAL_BY_DAY,
        long=True,
    )
    return there.join(fresh, on="part", how="full", coalesce=True, suffix="_").fill_null(0)


def _stored(where: Part, minutes: list[int] | None) -> tuple[str, dict[str, object]]:
    """Condition and parameters of the rows in the tables that belong to a partition and begin in `minutes`."""
    parameters: dict[str, object] = {"topic": where.topic, "epoch": where.epoch, "part": where.part}
    ours = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}"
    if minutes is not None:
        alone, hours = starts(minutes, where.rolled)
        parameters["starts"] = alone + hours
        ours += " AND minute IN {starts:Array(UInt32)}"
    return ours, parameters


def differing(client: ClickHouse, where: Part, minutes: list[int] | None = None) -> list[int]:
    """Where window rows of one partition begin (seconds) that are not what its ledger says; `minutes` restricts it.

    Ledger rows up to `where.up_to` count. Rows that their owner wrote beyond it meanwhile differ too.
    """
    ours, parameters = _stored(where, minutes)
    by_start = f"SELECT minute, {FINGERPRINT} FROM ({{}}) WHERE {_NONZERO} GROUP BY minute"
    there = client.query(by_start.format(kept_rows("*", ours)), parameters, FINAL_BY_DAY, long=True)
    rows, parameters = _fresh(where, minutes)
    fresh = client.query(by_start.format(rows), parameters, FINAL_BY_DAY, long=True)
    both = there.join(fresh, on="minute", how="full", coalesce=True, suffix="_").fill_null(0)
    return both.filter((pl.col("n") != pl.col("n_")) | (pl.col("print") != pl.col("print_")))["minute"].sort().to_list()


def stored(client: ClickHouse, where: Part, minutes: list[int] | None = None) -> pl.DataFrame:
    """Window rows of one partition as the table has them, zero rows left out.

    PREWHERE holds columns of the sorting key only, so all versions of a row pass or none does; without it FINAL
    merges the whole table first: 2.4 s instead of 0.1 for the last half hour among 1,600,000 rows.
    """
    ours, parameters = _stored(where, minutes)
    columns = f"{', '.join(ROW)}, {', '.join(COUNTS)}"
    rows = kept_rows(columns, ours) if where.rolled else f"SELECT {columns} FROM windows FINAL PREWHERE {ours}"
    return client.query(
        f"SELECT * FROM ({rows}) WHERE {_NONZERO} ORDER BY {', '.join(KEY)}",
        parameters,
        long=True,
    )


def rewritten(fresh: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """What must be upserted so that the table equals `fresh`: its rows, and zero rows for keys that are gone."""
    gone = there.join(fresh, on=list(ROW), how="anti").with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTS)
    columns = [*ROW, *COUNTS]
    return pl.concat([fresh.select(columns), gone.select(columns)])


def nonzero(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that count something."""
    return rows.filter(pl.any_horizontal(pl.col(name) != 0 for name in COUNTS))


def together(client: ClickHouse, spans: Sequence[tuple[Part, int, int]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`recompute` and `stored` of several partitions of a topic, of each from its first to its last minute (seconds).

    No day among them may be kept by the hour.
    """
    # Numbers, written out: so the primary key finds the rows.
    mine = " OR ".join(f"(part = {each.part} AND off <= {each.up_to})" for each, _, _ in spans)
    when = " OR ".join(
        f"(part = {each.part} AND c_ms >= {first * 1000} AND c_ms < {(last + 60) * 1000})"
        for each, first, last in spans
    )
    there = " OR ".join(
        f"(part = {each.part} AND minute >= {first} AND minute <= {last})" for each, first, last in spans
    )
    parameters: dict[str, object] = {
        "topic": spans[0][0].topic,
        "epoch": spans[0][0].epoch,
        "day": min(first for _, first, _ in spans) // 86_400 - 1,  # as in `recompute`
    }
    fresh = client.query(
        _grouped(f"({mine}) AND day >= toDate({{day:Int64}})", when, ""), parameters, FINAL_BY_DAY, long=True
    )
    stored = client.query(
        f"""SELECT {", ".join(ROW)}, {", ".join(COUNTS)} FROM windows FINAL
        PREWHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} AND ({there}) WHERE {_NONZERO}""",
        parameters,
        long=True,
    )
    return fresh, stored


def touched(client: ClickHouse, parts: Sequence[tuple[Part, int]]) -> dict[int, list[int]]:
    """Minutes (seconds) that ledger rows above an offset, up to the partition's `up_to`, touch; by partition."""
    # Numbers, as above.
    new = [
        f"(part = {each.part} AND off > {above} AND off <= {each.up_to})" for each, above in parts if above < each.up_to
    ]
    if not new:
        return {}
    rows = client.query(
        f"""SELECT part, groupUniqArrayArray(if(old_off >= 0,
                [intDiv(occurred_ms, 60000) * 60, intDiv(old_occurred_ms, 60000) * 60],
                [intDiv(occurred_ms, 60000) * 60])) AS minutes
        FROM ledger FINAL
        WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} AND ({" OR ".join(new)})
          AND disposition = '{Disposition.AGGREGATED}'
        GROUP BY part""",
        {"topic": parts[0][0].topic, "epoch": parts[0][0].epoch},
        FINAL_BY_DAY,
        long=True,
    )
    return {part: sorted(minutes) for part, minutes in rows.iter_rows()} if rows.width else {}
