"""What the ledger recorded, as the detectors need it [I/O]: windows as they were closed, hours to learn from.

A window that has a frontier is counted up to it: what came or changed later never changes a verdict. A window without
one (imported or older history) is counted as the ledger stands now; live watching never sees such a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.alerts.classes import negative_sql
from pipeline.alerts.scopes import DIMS, HOURS, LOUD, WINDOW_S, Level
from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.scores import recompute
from schemas.limits import MAX_BINS
from schemas.vocabulary import Disposition

#: An event is at most five minutes ahead of its ingest: earlier ingest cannot hold it.
_AHEAD_S = 300
_HOUR_S = 3_600
#: The last day of ClickHouse's dates: no bound.
_LAST_DAY = 65_535
_BEYOND = """(toInt64(epoch), off) > (
            transform(part, {parts:Array(UInt16)}, {epochs:Array(Int64)}, toInt64(0)),
            transform(part, {parts:Array(UInt16)}, {offsets:Array(Int64)}, toInt64(-1)))"""
_SUMS = ", ".join(f"sumIf(w, bin = {i}) AS b{i}" for i in range(MAX_BINS))
#: What one post weighs in a burst, in hundredths: 1 without reach, 2 from 9,000 readers on, 4 at most, from a million
#: on. By orders of magnitude, as reach is: with the number itself the loudest account would decide alone.
_WEIGHT = "least(400, 100 + toInt64(round(100 * log10(1 + greatest(value, 0) / 1000))))"
_LOUD = f""", sumIf(w * ({_WEIGHT} - 100), value > 0 AND {negative_sql("metric", "scale", "bin")}) AS {LOUD[0]},
    sumIf(w * ({_WEIGHT} * {_WEIGHT} - 10000), value > 0 AND {negative_sql("metric", "scale", "bin")}) AS {LOUD[1]}"""


#: End of the window of what counts, Unix seconds.
_END = f"intDiv(c_ms, {WINDOW_S * 1000}) * {WINDOW_S} + {WINDOW_S}"

Offsets = Sequence[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Known:
    """How far the ledger was known at a moment of learning: (epoch, partition, last offset) of `feedback` and of
    `history`; None: as it stands now."""

    feedback: Offsets | None = None
    history: Offsets | None = None


def counted(dims: Sequence[str], moment: str, also: Sequence[str] = ()) -> str:
    """SELECT of (topic, epoch, part, off, moment, metric, scale, bin, w, dims), one row for each contribution.

    `moment` is made of c_ms, the event time of what counts; `also` are further columns of the row.
    """
    names = "".join(f", c_{name} AS {name}" for name in dims)
    where = """topic IN {topics:Array(String)} AND day >= toDate(toDateTime({since:UInt32}, 'UTC'))
        AND day <= toDate({last_day:UInt32})"""
    when = "c_ms >= {from_ms:Int64} AND c_ms < {to_ms:Int64}"
    rows = recompute.contributions(("topic", "epoch", "part", "off", *also), dims, where, when)
    return f"""SELECT topic, epoch, part, off, {moment} AS moment, c_metric AS metric, c_scale AS scale, c_bin AS bin,
        c_w AS w{names}{"".join(f", {name}" for name in also)}
    FROM ({rows})"""


def closed(client: ClickHouse, after: int, until: int | None = None, most: int = 2_016) -> list[int]:
    """Ends of the closed windows after `after` (and up to `until`), oldest first, at most `most`."""
    rows = client.query(
        """SELECT DISTINCT window_end FROM frontiers
        WHERE topic = 'feedback' AND window_end > {after:UInt32} AND window_end <= {until:UInt32}
        ORDER BY window_end LIMIT {most:UInt32}""",
        {"after": after, "until": until if until is not None else 2**32 - 1, "most": most},
    )
    return [int(end) for end in rows["window_end"]] if rows.height else []


def windows(
    client: ClickHouse, ends: Sequence[int], dims: Sequence[str] = DIMS, *, loud: bool = False
) -> dict[int, pl.DataFrame]:
    """Counts of closed windows by their ends: metric, scale, dimensions, bins; up to their frontiers.

    `loud`: and what reach adds (LOUD); an answer that was edited counts with the reach of the edit.
    """
    if not ends:
        return {}
    names = "".join(f", {name}" for name in dims)
    sql = f"""SELECT toUInt32(window_end) AS end, metric, scale{names}, {_SUMS}{_LOUD if loud else ""}
    FROM ({counted(dims, _END, ("value",) if loud else ())}) AS l
    INNER JOIN (
        SELECT window_end, part, epoch AS closed_epoch, off AS closed_off FROM frontiers FINAL
        WHERE topic = 'feedback' AND window_end IN {{ends:Array(UInt32)}}
    ) AS f ON f.window_end = l.moment AND f.part = l.part
    WHERE (l.epoch, l.off) <= (closed_epoch, closed_off)
    GROUP BY end, metric, scale{names}
    ORDER BY end, metric, scale{names}"""
    parameters = span(ends[0] - WINDOW_S, ends[-1], ("feedback",)) | {"ends": list(ends)}
    # What lies up to a frontier came before it was written; one day more for clocks.
    written = client.query(
        "SELECT max(closed_ms) AS ms FROM frontiers WHERE topic = 'feedback' AND window_end IN {ends:Array(UInt32)}",
        {"ends": list(ends)},
    )
    parameters["last_day"] = int(written["ms"][0] or 0) // 86_400_000 + 1 if written.height else _LAST_DAY
    return _by_end(client.query(sql, parameters, FINAL_BY_DAY), ends, dims)


def unclosed(
    client: ClickHouse, ends: Sequence[int], dims: Sequence[str] = DIMS, *, loud: bool = False
) -> dict[int, pl.DataFrame]:
    """Counts of windows without frontiers: everything in the ledger, imported history too."""
    if not ends:
        return {}
    names = "".join(f", {name}" for name in dims)
    sql = f"""SELECT toUInt32(moment) AS end, metric, scale{names}, {_SUMS}{_LOUD if loud else ""}
    FROM ({counted(dims, _END, ("value",) if loud else ())})
    WHERE moment IN {{ends:Array(UInt32)}}
    GROUP BY end, metric, scale{names}
    ORDER BY end, metric, scale{names}"""
    parameters = span(ends[0] - WINDOW_S, ends[-1], ("feedback", "history")) | {"ends": list(ends)}
    return _by_end(client.query(sql, parameters, FINAL_BY_DAY, long=True), ends, dims)


def hours(client: ClickHouse, levels: Sequence[Level], until: int, known: Known) -> dict[Level, pl.DataFrame]:
    """Hourly counts of the HOURS hours before `until` by level: metric, scale, hour, dimensions, bins.

    All levels in one pass over the ledger, and those by segment in a second one: a pass for each costs ten times that.
    """
    start = max(until - HOURS * _HOUR_S, 0)
    parameters = span(start, until, ("feedback", "history"))
    condition, more = as_known(known)
    parameters |= more
    found: dict[Level, pl.DataFrame] = {}
    for some in (
        [level for level in levels if "segment" not in level],
        [level for level in levels if "segment" in level],
    ):
        if some:
            rows = client.query(_hourly(some, condition), parameters, FINAL_BY_DAY, long=True)
            found |= {level: _of_level(rows, level, _names(some)) for level in some}
    return {level: found[level] for level in levels}


def _hourly(levels: Sequence[Level], condition: str) -> str:
    """The query for several levels; `level` in its rows names whose they are. All by segment, or none."""
    segments = "segment" in levels[0]
    names = _names(levels)
    columns = tuple(dict.fromkeys("segments" if name == "segment" else name for name in names))
    selected = "".join(f", {name}" for name in names)
    sets = ", ".join(f"({', '.join(('metric', 'scale', 'hour', *level))})" for level in levels)
    words, out = (", ".join(each) for each in ([f"'{name}'" for name in names], [f"grouping({n})" for n in names]))
    told = f"arrayStringConcat(arrayFilter((name, out) -> NOT out, [{words}], [{out}]), ',')" if names else "''"
    # A customer in three segments counts in each of them.
    split = "arrayJoin(splitByChar(',', toString(segments))) AS segment" if segments else ""
    inner = "".join(f", {split if name == 'segment' else name}" for name in names)
    return f"""SELECT {told} AS level, metric, scale, hour{selected}, {_SUMS}
    FROM (SELECT metric, scale, toUInt32(moment) AS hour, bin, w{inner}
        FROM ({counted(columns, f"intDiv(c_ms, {_HOUR_S * 1000}) * {_HOUR_S}")}) WHERE {condition})
    GROUP BY GROUPING SETS ({sets})"""


def _names(levels: Sequence[Level]) -> tuple[str, ...]:
    """The dimensions of several levels, each once."""
    return tuple(dict.fromkeys(name for level in levels for name in level))


def _of_level(rows: pl.DataFrame, level: Level, names: Sequence[str]) -> pl.DataFrame:
    """The rows of one level, in the order in which scopes get their numbers; an answer without a value is in none."""
    if rows.is_empty():
        return _filled(pl.DataFrame(), ("hour", *level))
    bins = [f"b{i}" for i in range(MAX_BINS)]
    given = [pl.col(name) != "" for name in level if name != "brand"]
    mine = rows.filter(pl.col("level") == ",".join(name for name in names if name in level), *given)
    return _filled(mine.select("metric", "scale", "hour", *level, *bins), ()).sort("metric", "scale", *level, "hour")


def known_at(client: ClickHouse, until: int) -> Known:
    """What live watching knows when it learns up to `until`: the last frontier by then, all history recorded so far."""
    rows = client.query(
        """SELECT epoch, part, off FROM frontiers FINAL WHERE topic = 'feedback' AND window_end = (
            SELECT max(window_end) FROM frontiers WHERE topic = 'feedback' AND window_end <= {until:UInt32})
        ORDER BY epoch, part""",
        {"until": until},
    )
    history = client.query(
        """SELECT epoch, part, max(off) AS off FROM ledger WHERE topic = 'history'
        GROUP BY epoch, part ORDER BY epoch, part"""
    )
    return Known(_offsets(rows) if rows.height else None, _offsets(history))


def _offsets(rows: pl.DataFrame) -> Offsets:
    return [(int(epoch), int(part), int(off)) for epoch, part, off in rows.iter_rows()] if rows.height else []


def as_known(known: Known) -> tuple[str, dict[str, Any]]:
    """The condition that leaves out what was not known then, and its parameters."""
    conditions, parameters = ["1"], {}
    for topic, offsets in (("feedback", known.feedback), ("history", known.history)):
        if offsets is None:
            continue
        if not offsets:
            conditions.append(f"topic != '{topic}'")
            continue
        newest = {part: (epoch, off) for epoch, part, off in sorted(offsets)}
        parameters[f"{topic}_parts"] = list(newest)
        parameters[f"{topic}_epochs"] = [epoch for epoch, _ in newest.values()]
        parameters[f"{topic}_offsets"] = [off for _, off in newest.values()]
        parts = f"part, {{{topic}_parts:Array(UInt16)}}"
        conditions.append(
            f"(topic != '{topic}' OR (toInt64(epoch), off) <= ("
            f"transform({parts}, {{{topic}_epochs:Array(Int64)}}, toInt64(0)), "
            f"transform({parts}, {{{topic}_offsets:Array(Int64)}}, toInt64(-1))))"
        )
    return " AND ".join(conditions), parameters


def span(start: int, end: int, topics: Sequence[str]) -> dict[str, Any]:
    return {
        "from_ms": max(start, 0) * 1000,
        "to_ms": end * 1000,
        "since": max(start - _AHEAD_S, 0),
        "topics": list(topics),
        "last_day": _LAST_DAY,
    }


def _filled(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    if rows.width:
        return rows.with_columns(pl.col(f"b{i}").cast(pl.Int64) for i in range(MAX_BINS))
    texts = {name: pl.String() for name in ("metric", "scale", *columns)}
    return pl.DataFrame(schema={**texts, **{f"b{i}": pl.Int64() for i in range(MAX_BINS)}})


def _by_end(rows: pl.DataFrame, ends: Sequence[int], dims: Sequence[str]) -> dict[int, pl.DataFrame]:
    empty = _filled(pl.DataFrame(), dims)
    if rows.is_empty():
        return dict.fromkeys(ends, empty)
    parts = {int(key[0]): part for key, part in rows.partition_by("end", as_dict=True).items()}
    return {end: _filled(parts[end], dims) if end in parts else empty for end in ends}


def answers_after(client: ClickHouse, positions: Offsets, since_ms: int, most: int = 2_000) -> pl.DataFrame:
    """Recorded answers of `feedback` beyond the positions, with texts and topics: for rules about single events.

    Only of the ingest days from `since_ms` on: what an outage held back for longer calls nobody at once.
    """
    newest = {part: (epoch, off) for epoch, part, off in sorted(positions)}
    parameters: dict[str, Any] = {
        "parts": list(newest),
        "epochs": [epoch for epoch, _ in newest.values()],
        "offsets": [off for _, off in newest.values()],
        "most": most,
        "since_ms": since_ms,
    }
    beyond = f"""topic = 'feedback' AND {_BEYOND if newest else "1"}
        AND day >= toDate(fromUnixTimestamp64Milli({{since_ms:Int64}}, 'UTC'))"""
    columns = ("epoch", "part", "off", "occurred_ms", "metric", "scale", "bin", "label", "tier", *DIMS)
    return client.query(
        f"""SELECT {", ".join(f"l.{name} AS {name}" for name in columns)}, t.text AS text,
            toString(t.topics) AS topics FROM (
            SELECT topic, {", ".join(columns)} FROM ledger FINAL
            WHERE {beyond}
                AND disposition = '{Disposition.AGGREGATED}'
            ORDER BY part, epoch, off LIMIT {{most:UInt32}}
        ) AS l LEFT JOIN (
            SELECT topic, epoch, part, off, text, topics FROM texts FINAL
            WHERE {beyond}
        ) AS t USING (topic, epoch, part, off)
        ORDER BY part, epoch, off""",
        parameters,
        FINAL_BY_DAY,
    )


def positions_now(client: ClickHouse) -> Offsets:
    """(epoch, partition, last offset) of `feedback` that is recorded now."""
    return _offsets(
        client.query(
            """SELECT epoch, part, max(off) AS off FROM ledger WHERE topic = 'feedback'
            GROUP BY epoch, part ORDER BY epoch, part"""
        )
    )
