"""Why a number changed [I/O]: what a window counted at each closing, and the reasons of every difference.

A row is known from the first closing whose frontier reaches it; a row that was rewritten later, from its note in
`changes` on. The first number of a window is what its own closing counted.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.errors import UsageError
from pipeline.scores import formerly
from pipeline.scores.meters import Reading
from pipeline.scores.reading import Database, Question
from pipeline.scores.sources import contribution, counters_of, kept, parameters_of, selected, window_of

#: Reason of what came after its window's closing without one of its own: the partition had been at its end.
AFTER: Final = "delayed"
#: Reason of rows that were counted at the closing.
ON_TIME: Final = "on time"

#: Per partition, when an offset was first counted by a closing; earlier closings cannot have counted the span.
_KNOWN = """SELECT topic AS topic_, epoch AS epoch_, part AS part_, off AS until,
        min(frontiers.closed_ms) AS known_closed
    FROM frontiers FINAL WHERE window_end >= {first:UInt32} GROUP BY topic, epoch, part, off"""
_NOTES = """SELECT topic AS topic_, epoch AS epoch_, part AS part_, off AS off_,
        argMin(changes.was, changes.known_ms) AS former, min(changes.known_ms) AS noted_ms, toUInt8(1) AS noted
    FROM changes FINAL WHERE was != '' AND minute >= {first:UInt32} AND minute < {last:UInt32}
        AND reason NOT IN ('relabelled', 'merged', 'erased')
    GROUP BY topic, epoch, part, off"""


@dataclass(frozen=True, slots=True)
class Revision:
    """One number of a window: since when it was known (ms), what it was, and how many rows changed it, by reason."""

    known_ms: int
    reading: Reading
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class History:
    """All numbers of one window, group and scale, oldest first. `closed_ms` is None while the window is open."""

    start: int
    seconds: int
    scope: dict[str, str]
    scale: str
    closed_ms: int | None
    revisions: tuple[Revision, ...]


def histories(client: Database, question: Question) -> list[History]:
    """The history of every window and group, in order of time. UsageError for windows that are not plain."""
    if question.one_voice or question.gap_s is not None or question.step_s is not None or question.as_of_ms is not None:
        raise UsageError(
            "the history of a number is that of plain windows: without --session, --hop, --voices, --as-of"
        )
    if "agent" in (*question.by, *question.filters):
        raise UsageError("there is no history of single employees")
    rows = client.query(_sql(question), parameters_of(question))
    if rows.is_empty():
        return []
    ends = client.query(
        """SELECT window_end, min(closed_ms) AS closed_ms FROM frontiers FINAL
        WHERE topic = 'feedback' AND window_end > {first:UInt32} GROUP BY window_end ORDER BY window_end""",
        {"first": question.first},
    )
    widths = dict(zip(question.edges, question.edges[1:], strict=False))
    found = []
    for key, part in rows.group_by("start", *question.by, "scale", maintain_order=True):
        start, scale = int(str(key[0])), str(key[-1])
        if question.defined.boxes(scale) is None:
            continue
        end = widths.get(start, start + question.seconds)
        scope = dict(zip(question.by, (str(value) for value in key[1:-1]), strict=True))
        closed = _closing(ends, end)
        found.append(History(start, end - start, scope, scale, closed, _revisions(question, scale, part, closed)))
    return found


def too_late(client: Database, question: Question) -> int:
    """Events of the question's span that came too late and count in no score: `touchline restate` counts them."""
    columns, answer, counted = contribution(question, "")
    rows = client.query(
        f"""SELECT count() AS n FROM (
            SELECT {columns}{answer} FROM ledger FINAL WHERE disposition = 'late' AND {counted}
                AND intDiv(occurred_ms, 1000) >= {{first:UInt32}} AND intDiv(occurred_ms, 1000) < {{last:UInt32}}
        ) WHERE 1{kept(question, None)}""",
        parameters_of(question),
    )
    return int(rows["n"][0])


def _closing(ends: pl.DataFrame, end: int) -> int | None:
    """When the first window that ends at or after `end` was closed."""
    if not ends.width:
        return None
    at = bisect_left(ends["window_end"].to_list(), end)
    return int(ends["closed_ms"][at]) if at < ends.height else None


def _revisions(question: Question, scale: str, part: pl.DataFrame, closed: int | None) -> tuple[Revision, ...]:
    """What was counted up to the closing is the first number; every later moment that changed it is one more."""
    counted = [0] * 11
    histograms: dict[int, list[int]] = {}
    reasons: dict[int, dict[str, int]] = {}
    newest = int(part["known_ms"].cast(pl.Int64).to_list()[-1])
    for row in part.sort("known_ms").iter_rows(named=True):
        on_time = closed is None or row["known_ms"] <= closed
        moment = (newest if closed is None else closed) if on_time else row["known_ms"]
        reason = ON_TIME if on_time else row["reason"] or AFTER
        said = reasons.setdefault(moment, {})
        said[reason] = said.get(reason, 0) + row["rows"]
        counted = [a + b for a, b in zip(counted, row["histogram"], strict=True)]
        histograms[moment] = counted
    numbers = list(histograms.values())
    readings = question.defined.read(scale, numbers)
    return tuple(
        Revision(moment, readings.row(i), reasons[moment])
        for i, moment in enumerate(histograms)
        if i == 0 or numbers[i] != numbers[i - 1]
    )


def _sql(question: Question) -> str:
    names = "".join(f"{name}_ AS {name}, " for name in question.by)
    keys = "".join(f"{name}_, " for name in question.by)
    parts = [_rows(question, prefix, taken_out) for prefix in ("", "old_") for taken_out in (False, True)]
    return f"""SELECT {window_of(question, "second")} AS start, {names}toString(scale) AS scale, known_ms,
            toString(reason) AS reason, uniqExact(row) AS rows, {counters_of("times")}
        FROM ({" UNION ALL ".join(parts)}) GROUP BY start, {keys}scale, known_ms, reason
        ORDER BY start, {keys}scale, known_ms"""


def _rows(question: Question, prefix: str, taken_out: bool) -> str:
    """Contributions with the moment from which they were known; `taken_out` ones count back from their note on."""
    columns, answer, counted = contribution(question, prefix)
    moment = f"intDiv({prefix}occurred_ms, 1000)"
    sign = (-1 if prefix else 1) * (-1 if taken_out else 1)
    # A row that was counted and is not any more stood there from its first closing until its note.
    when = "was.noted = 1 AND was.former = 'aggregated' AND disposition != 'aggregated'"
    which = when if taken_out else f"(disposition = 'aggregated' OR {when})"
    # What no closing has counted yet, or never will (touchpoints), is told minute by minute, not row by row.
    closed = "if(known.known_closed > 0, known.known_closed, intDiv(ingest_ms + 59999, 60000) * 60000)"
    # One restatement is carried out by many owners, each at its own moment: one number for a person.
    noted = "intDiv(was.noted_ms + 59999, 60000) * 60000"
    first = f"if(was.noted = 1 AND was.former != 'aggregated', {noted}, {closed})"
    known = noted if taken_out else first
    ledger, turn, why = "SELECT * FROM ledger FINAL", "1", "reason"
    if formerly.depends(question) and not taken_out:
        # What a row says now it says since its last rewriting; what it said before, it said until then.
        ledger, turn, why = formerly.versions(), "turn", "if(turn_why = '', toString(reason), turn_why)"
        known = f"greatest({known}, turn_ms)"
    superseding = " AND old_off >= 0" if prefix else ""
    facts = f"""SELECT {columns}{answer}, {moment} AS second, toInt64({sign}) * {turn} AS times, {known} AS known_ms,
            if({int(taken_out)} = 0 AND reason IN ('same_event', 'conflict'), '', {why}) AS reason,
            (topic, epoch, part, off) AS row
        FROM ({ledger}) AS ledger
        ASOF LEFT JOIN ({_KNOWN}) AS known
            ON ledger.topic = known.topic_ AND ledger.epoch = known.epoch_ AND ledger.part = known.part_
                AND ledger.off <= known.until
        LEFT JOIN ({_NOTES}) AS was
            ON ledger.topic = was.topic_ AND ledger.epoch = was.epoch_ AND ledger.part = was.part_
                AND ledger.off = was.off_
        WHERE {which} AND {counted}{superseding}
            AND {moment} >= {{first:UInt32}} AND {moment} < {{last:UInt32}}
            AND day >= toDate(toDateTime({{from_day:UInt32}}, 'UTC'))"""
    return f"""SELECT {selected(question, None)}second, scale, bin, p, pp, times, known_ms, reason, row
        FROM ({facts}) WHERE 1{kept(question, None)}"""
