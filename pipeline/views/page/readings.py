"""What the page reads from ClickHouse [I/O]: cells of a view, feedback, alerts, restatements, events behind a score.

All calls are blocking and raise Unavailable. Whatever a person typed travels as a parameter; column names come from
closed lists. Texts are the masked ones of the table `texts`; customers' pseudonyms never leave here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.scores.closing import WINDOW_S
from pipeline.scores.kept import kept_rows
from pipeline.scores.reading import Question, read_scores
from pipeline.slices import CORE
from pipeline.views.page.board import BINS, DIMS
from pipeline.views.page.frames import MEASURES, Cells, from_rows
from pipeline.views.page.view import View

#: Feedback that is shown at once; older ones are a question for a report.
NEWEST: Final = 60
#: Events shown behind one score.
BEHIND: Final = 20
#: Weeks whose same hours say what is to be expected: one odd week is a quarter of it.
USUAL_WEEKS: Final = 4
_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
#: An event arrives at most 30 days after it happened, and 5 minutes before.
_LATEST_DAYS: Final = 31

_FACTS: Final = (
    "topic, epoch, part, off, ingest_ms, occurred_ms, disposition, reason, source, metric, scale, answer, "
    "brand, unit, channel, touchpoint, language, label, p, confidence, tier, revision, old_off"
)


def cells_of(client: ClickHouse, view: View, now: int) -> Cells:
    """The cells of a view between its first step and `now`, all from ClickHouse."""
    span, first = view.of_span, view.first(now)
    lines, heats = [], []
    for metric in MEASURES:
        line = Question(metric, first, now + 1, span.grain_s, (), view.chosen)
        lines.append(from_rows(metric, read_scores(client, line), ()))
        heat = Question(metric, first, now + 1, None, ("touchpoint", "channel"), view.chosen)
        heats.append(from_rows(metric, read_scores(client, heat), ("touchpoint", "channel")))
    return Cells(pl.concat(lines), pl.concat(heats), before_of(client, view, now))


def before_of(client: ClickHouse, view: View, now: int) -> pl.DataFrame:
    """What the same view counted its span's `back_s` earlier, up to the same minute."""
    back = view.of_span.back_s
    first = view.first(now) - back
    asked = [Question(metric, first, max(now - back, first + 60), None, (), view.chosen) for metric in MEASURES]
    return pl.concat([from_rows(question.metric, read_scores(client, question), ()) for question in asked])


def earlier_of(client: ClickHouse, view: View, now: int) -> pl.DataFrame:
    """The cells of the line between the earliest step it may begin with and the view's first: the topic `scores` does
    not go back so far."""
    span, first = view.of_span, view.first(now)
    asked = [Question(metric, view.earliest(now), first, span.grain_s, (), view.chosen) for metric in MEASURES]
    return pl.concat([from_rows(question.metric, read_scores(client, question), ()) for question in asked])


def usual_of(client: ClickHouse, view: View, now: int) -> pl.DataFrame:
    """What the same hours of the week counted in the four weeks before a view, as cells; `start` as `slot` has it."""
    width = view.of_span.usual_s
    first = view.earliest(now) // width * width
    reach = min(-(-(now + 1 - first) // width) * width, _WEEK_S)
    weeks = [(first - week * _WEEK_S, first - week * _WEEK_S + reach) for week in range(1, USUAL_WEEKS + 1)]
    minutes = " OR ".join(f"(minute >= {begin} AND minute < {end})" for begin, end in weeks)
    bins = ", ".join(f"sum({name}) AS {name}" for name in BINS)
    return client.query(
        f"""SELECT toString(metric) AS metric, toString(scale) AS scale,
            toInt64(intDiv(minute % {_WEEK_S}, {{width:UInt32}}) * {{width:UInt32}}) AS start, {bins}
        FROM ({kept_rows("*", f"cut = 'core' AND ({minutes})")})
        WHERE has({{metrics:Array(String)}}, toString(metric)){_kept(view.chosen)}
        GROUP BY metric, scale, start""",
        {"width": width, "metrics": list(MEASURES), **_values(view.chosen)},
        FINAL_BY_DAY,
    )


def customer_of(client: ClickHouse, topic: str, place: tuple[int, int, int]) -> tuple[int, int] | None:
    """Key id and number of the customer of one event; None where there is no such event, or it has no customer."""
    epoch, part, off = place
    rows = client.query(
        """SELECT key_id, customer FROM ledger FINAL WHERE topic = {topic:String} AND epoch = {epoch:UInt16}
            AND part = {part:UInt16} AND off = {off:Int64} AND customer != 0""",
        {"topic": topic, "epoch": epoch, "part": part, "off": off},
        FINAL_BY_DAY,
    )
    return (int(rows["key_id"][0]), int(rows["customer"][0])) if rows.height else None


def imported(client: ClickHouse, since: int) -> pl.DataFrame:
    """Cells of the topic `history` since then, columns as on the board: the topic `scores` does not carry them."""
    bins = ", ".join(f"sum({name}) AS {name}" for name in BINS)
    dims = ", ".join(f"toString({name}) AS {name}" for name in DIMS)
    return client.query(
        f"""SELECT toInt64(intDiv(minute, {{window:UInt32}}) * {{window:UInt32}}) AS start, toString(metric) AS metric,
            toString(scale) AS scale, {dims}, {bins}
        FROM ({kept_rows("*", "cut = 'core' AND minute >= {since:UInt32} AND topic = 'history'")})
        GROUP BY start, metric, scale, {", ".join(DIMS)}""",
        {"since": since, "window": WINDOW_S},
        FINAL_BY_DAY,
    )


def restated(client: ClickHouse, view: View, now: int) -> dict[int, dict[str, int]]:
    """Steps of a view whose score was changed after it had been closed, with how often by reason."""
    return changed(client, (view.earliest(now), now + 1, view.of_span.grain_s))


def changed(client: ClickHouse, span: tuple[int, int, int]) -> dict[int, dict[str, int]]:
    """The same for windows from span[0] to before span[1], span[2] seconds wide; all dimensions together.

    What became known before every partition had passed the window's end restates nothing: it was not final.
    """
    first, last, grain = span
    rows = client.query(
        """SELECT toInt64({first:UInt32} + intDiv(minute - {first:UInt32}, {grain:UInt32}) * {grain:UInt32}) AS start,
            toString(reason) AS why, count() AS times
        FROM (SELECT minute, reason, known_ms FROM changes FINAL
            WHERE minute >= {first:UInt32} AND minute < {last:UInt32}) AS c
        INNER JOIN (SELECT toUInt32(window_end - {window:UInt32}) AS w, max(closed_ms) AS closed_ms FROM frontiers FINAL
            WHERE window_end > {first:UInt32} AND window_end <= {last:UInt32} + {window:UInt32} GROUP BY w) AS f
            ON toUInt32(intDiv(c.minute, {window:UInt32}) * {window:UInt32}) = f.w
        WHERE c.known_ms > f.closed_ms
        GROUP BY start, why ORDER BY start, why""",
        {"first": first, "last": last, "grain": grain, "window": WINDOW_S},
    )
    found: dict[int, dict[str, int]] = {}
    for start, why, times in rows.iter_rows():
        found.setdefault(start, {})[why] = times
    return found


def progress(client: ClickHouse) -> pl.DataFrame:
    """How far each partition of the newest epoch is settled, and its clock in ms."""
    return client.query(
        """SELECT toString(topic) AS topic, part, max(epoch) AS newest, argMax(settled, epoch) AS settled,
            argMax(clock_ms, epoch) AS clock_ms FROM progress FINAL GROUP BY topic, part"""
    )


def rejected(client: ClickHouse, since_ms: int) -> dict[str, int]:
    """Dead letters ingested since then, by reason, most first."""
    rows = client.query(
        """SELECT toString(reason) AS why, count() AS n FROM sealed FINAL
        WHERE day >= toDate(toDateTime({day:UInt32}, 'UTC')) AND ingest_ms >= {since:Int64}
        GROUP BY why ORDER BY n DESC, why""",
        {"since": since_ms, "day": since_ms // 1000},
        FINAL_BY_DAY,
    )
    return {str(why): int(n) for why, n in rows.iter_rows()}


def feedback_after(client: ClickHouse, positions: Mapping[tuple[int, int], int]) -> list[dict[str, Any]]:
    """Feedback with an answer or a text above the offsets by (epoch, part), newest first."""
    if not positions:
        return []
    places = " OR ".join(f"(epoch = {e} AND part = {p} AND off > {o})" for (e, p), o in sorted(positions.items()))
    return _events(client, f"topic = 'feedback' AND ({places})", {}, NEWEST)


def feedback_of(
    client: ClickHouse, filters: Mapping[str, tuple[str, ...]], since: int, limit: int
) -> list[dict[str, Any]]:
    """The newest feedback of a selection, ingested since then, newest first."""
    where = "topic = 'feedback' AND day >= toDate(toDateTime({since:UInt32}, 'UTC')) AND ingest_ms >= {since_ms:Int64}"
    return _events(
        client, where + _kept(filters), {"since": since, "since_ms": since * 1000, **_values(filters)}, limit
    )


def behind(
    client: ClickHouse, metric: str, span: tuple[int, int], filters: Mapping[str, tuple[str, ...]]
) -> list[dict[str, Any]]:
    """The newest events that a score counts: of this metric, which happened from span[0] to before span[1]."""
    counted = "label IN ('negative', 'neutral', 'positive')" if metric == "sentiment" else "metric = {metric:String}"
    where = f"""disposition = 'aggregated' AND {counted} AND topic IN ('feedback', 'history')
        AND occurred_ms >= {{first:Int64}} AND occurred_ms < {{last:Int64}}
        AND day >= toDate(toDateTime({{day:UInt32}}, 'UTC'))
        AND (topic = 'history' OR day <= toDate(toDateTime({{until:UInt32}}, 'UTC')))"""
    first, last = span
    given = {"metric": metric, "first": first * 1000, "last": last * 1000}
    days = {"day": max(first - _DAY_S, 0), "until": last + _LATEST_DAYS * _DAY_S}
    return _events(client, where + _kept(filters), {**given, **days, **_values(filters)}, BEHIND, "occurred_ms")


def event(client: ClickHouse, topic: str, place: tuple[int, int, int]) -> dict[str, Any] | None:
    """What the ledger says of one offset, with its masked text; None when there is no such row."""
    epoch, part, off = place
    where = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16} AND off = {off:Int64}"
    found = _events(client, where, {"topic": topic, "epoch": epoch, "part": part, "off": off}, 1)
    return found[0] if found else None


def values(client: ClickHouse, since: int) -> dict[str, list[str]]:
    """The values of each filter that had answers since then."""
    names = ", ".join(f"groupUniqArray(500)(toString({name})) AS {name}" for name in CORE)
    # Values, not counts: whether a day's minutes or its hours hold is all the same, and so is which version.
    table = f"SELECT {', '.join(CORE)} FROM {{}} PREWHERE cut = 'core' AND minute >= {{{{since:UInt32}}}}"
    table += " WHERE metric != 'volume'"
    rows = client.query(
        f"SELECT {names} FROM ({' UNION ALL '.join(map(table.format, ('windows', 'windows_1h')))})",
        {"since": since},
    )
    return {name: sorted(value for value in rows[name][0] if value) for name in CORE} if rows.height else {}


def _events(
    client: ClickHouse, where: str, parameters: Mapping[str, Any], limit: int, order: str = "ingest_ms"
) -> list[dict[str, Any]]:
    """Ledger rows, newest first by `order`, with their texts and topics."""
    names = ", ".join(
        f"toString({name}) AS {name}" if name in _WORDS else name
        for name in (part.strip() for part in _FACTS.split(","))
    )
    wanted = "" if "off = " in where else " AND disposition = 'aggregated' AND (bin >= 0 OR label != '')"
    rows = client.query(
        f"""SELECT {names} FROM (SELECT * FROM ledger FINAL WHERE {where}{wanted}
            ORDER BY {order} DESC, off DESC LIMIT {int(limit)})""",
        parameters,
        FINAL_BY_DAY,
    )
    if rows.is_empty():
        return []
    found = rows.to_dicts()
    texts = _texts(client, found)
    return [{**row, **texts.get((row["topic"], row["epoch"], row["part"], row["off"]), _NO_TEXT)} for row in found]


_NO_TEXT: Final[Mapping[str, Any]] = {"text": "", "topics": [], "truncated": False}


_WORDS: Final = frozenset(
    {"topic", "disposition", "reason", "source", "metric", "scale", "language", "label", "tier", *CORE}
)


def _texts(client: ClickHouse, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int, int, int], Mapping[str, Any]]:
    """The masked texts of ledger rows, and their topics, by their place."""
    rows = [row for row in rows if row["topic"] in ("feedback", "history")]
    if not rows:
        return {}
    places = ", ".join(f"('{row['topic']}', {row['epoch']}, {row['part']}, {row['off']})" for row in rows)
    found = client.query(
        f"""SELECT toString(topic) AS topic, epoch, part, off, text, toString(topics) AS topics, truncated
        FROM texts FINAL
        WHERE (topic, epoch, part, off) IN ({places})""",
        None,
        FINAL_BY_DAY,
    )
    return {
        row[:4]: {"text": row[4], "topics": row[5].split(",") if row[5] else [], "truncated": bool(row[6])}
        for row in found.iter_rows()
    }


def _kept(filters: Mapping[str, tuple[str, ...]]) -> str:
    return "".join(f" AND has({{only_{name}:Array(String)}}, toString({name}))" for name in filters if name in CORE)


def _values(filters: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {f"only_{name}": list(kept) for name, kept in filters.items() if name in CORE}
