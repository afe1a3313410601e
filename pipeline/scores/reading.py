"""Reads scores for any group and window [I/O]: sums histograms in ClickHouse, then applies the SQL functions tl_*.

Groups that a stored cut answers come from the table `windows`; other crossings are counted from the `ledger`.
Column names come from closed lists here, everything a person typed travels as a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.meters import FORMS
from pipeline.slices import CORE, FURTHER
from schemas.limits import MAX_BINS
from schemas.vocabulary import MODE_OF, Sentiment

#: What a reader may group and filter by. A segment is one of the customer's set, the mode follows from the channel.
DIMENSIONS: tuple[str, ...] = (*CORE, "mode", *("segment" if name == "segments" else name for name in FURTHER))

_MINUTE = 60
_DAY = 86_400
#: Events on the input topics are at most 30 days old and 5 minutes ahead (design.md 4); one day more for the calendar.
_OLDEST_DAYS = 31
#: An offset never changes its ingest day, a window row never its year: no merge over partitions is needed.
_SETTINGS: dict[str, Any] = {"do_not_merge_across_partitions_select_final": 1}
_LABELS = (Sentiment.NEGATIVE.value, Sentiment.NEUTRAL.value, Sentiment.POSITIVE.value)


class Database(Protocol):
    """The part of pipeline.clickhouse.ClickHouse that is needed here."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> pl.DataFrame:
        """Rows of a SELECT."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which scores: `start` (inclusive) and `end` in Unix seconds, both widened to whole windows.

    `grain_s` is the width of a window in whole minutes, None for one window from start to end. `filters` keeps the
    rows whose dimension has one of the given values. Raises UsageError for what cannot be asked.
    """

    metric: str
    start: int
    end: int
    grain_s: int | None = None
    by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.metric not in FORMS:
            raise UsageError(f"there is no score {self.metric!r}; there are {', '.join(FORMS)}")
        for name in (*self.by, *self.filters):
            if name not in DIMENSIONS:
                raise UsageError(f"there is no dimension {name!r}; there are {', '.join(DIMENSIONS)}")
        if len(set(self.by)) != len(self.by):
            raise UsageError(f"a dimension is named twice in {','.join(self.by)}")
        if self.grain_s is not None and (self.grain_s < _MINUTE or self.grain_s % _MINUTE):
            raise UsageError(f"a grain of {self.grain_s} s is not a whole number of minutes")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")

    @property
    def first(self) -> int:
        """Begin of the first window."""
        step = self.grain_s or _MINUTE
        return self.start // step * step

    @property
    def last(self) -> int:
        """End of the last window."""
        step = self.grain_s or _MINUTE
        return -(-self.end // step) * step

    @property
    def seconds(self) -> int:
        """Width of a window."""
        return self.grain_s or self.last - self.first

    @property
    def cut(self) -> str | None:
        """The stored cut that answers this, None when only the ledger can."""
        used = {*self.by, *self.filters}
        further = used - {*CORE, "mode"}
        if not further:
            return "core"
        if len(further) == 1 and used - further <= {"brand"}:
            name = further.pop()
            return "segments" if name == "segment" else name
        return None


def read_scores(client: Database, question: Question) -> pl.DataFrame:
    """One row a window, group and scale: start, seconds, `by`, scale, n, score, low, high, score_unit, method, status,
    histogram, s1, s2; in order of time, then group. Windows without an answer have no row."""
    parameters = _parameters(question)
    source = _from_ledger(question) if question.cut is None else _from_windows(question)
    names = "".join(f"{name}, " for name in question.by)
    sql = f"""
        SELECT start, toUInt32({{seconds:UInt32}}) AS seconds, {names}scale,
            tl_n(histogram) AS n,
            tl_score({{metric:String}}, scale, histogram) AS score,
            tl_low({{metric:String}}, scale, histogram) AS low,
            tl_high({{metric:String}}, scale, histogram) AS high,
            tl_unit({{metric:String}}) AS score_unit,
            tl_method({{metric:String}}) AS method,
            tl_status({{metric:String}}, histogram) AS status,
            histogram, s1, s2
        FROM ({source})
        WHERE arraySum(histogram) != 0
        ORDER BY start, {names}scale"""
    return client.query(sql, parameters, _SETTINGS)


def _parameters(question: Question) -> dict[str, Any]:
    given = {f"only_{name}": list(values) for name, values in question.filters.items()}
    return {
        "metric": question.metric,
        "cut": question.cut or "",
        "first": question.first,
        "last": question.last,
        "seconds": question.seconds,
        "channels": [channel.value for channel in MODE_OF],
        "modes": [mode.value for mode in MODE_OF.values()],
        "labels": list(_LABELS),
        "from_day": max(question.first - _DAY, 0),
        "to_day": question.last + _OLDEST_DAYS * _DAY,
        **given,
    }


def _column(name: str, further: str | None) -> str:
    """The SQL of a dimension; `further` is the column that holds the further dimension, None for its own name."""
    if name == "mode":
        return "transform(toString(channel), {channels:Array(String)}, {modes:Array(String)}, '')"
    if name in CORE:
        return name
    return further or ("segments" if name == "segment" else name)


def _selected(question: Question, further: str | None) -> str:
    """`expression AS name, ` for each dimension of the group. A customer in three segments counts in each of them."""
    parts = []
    for name in question.by:
        column = _column(name, further)
        if name == "segment":
            members = f"splitByChar(',', toString({column}))"
            if name in question.filters:
                members = f"arrayFilter(member -> has({{only_segment:Array(String)}}, member), {members})"
            column = f"arrayJoin({members})"
        parts.append(f"{column} AS {name}_ , ")
    return "".join(parts)


def _kept(question: Question, further: str | None) -> str:
    """` AND ...` for each filter, and for each further dimension of the group: rows without it are in no such cut."""
    parts = [f" AND {_column(name, further)} != ''" for name in question.by if name not in (*CORE, "mode")]
    for name in question.filters:
        column = _column(name, further)
        if name == "segment":
            parts.append(f" AND hasAny(splitByChar(',', toString({column})), {{only_segment:Array(String)}})")
        else:
            parts.append(f" AND has({{only_{name}:Array(String)}}, toString({column}))")
    return "".join(parts)


def _grouped(question: Question, counters: str, rows: str, moment: str) -> str:
    """Sums of `counters` over `rows` by window, group and scale; `moment` is the SQL of the Unix second."""
    names = "".join(f"{name}_ AS {name}, " for name in question.by)
    keys = "".join(f"{name}_, " for name in question.by)
    first = "{first:UInt32}"
    window = f"toUInt32({first} + intDiv({moment} - {first}, {{seconds:UInt32}}) * {{seconds:UInt32}})"
    return f"SELECT {window} AS start, {names}scale, {counters} FROM ({rows}) GROUP BY start, {keys}scale"


def _from_windows(question: Question) -> str:
    further = None if question.cut == "core" else "dim"
    bins = [f"b{i}" for i in range(MAX_BINS)]
    rows = f"""SELECT {_selected(question, further)}minute, scale, {", ".join(bins)}, s1 AS p, s2 AS pp
        FROM windows FINAL
        PREWHERE cut = {{cut:String}} AND metric = {{metric:String}}
            AND minute >= {{first:UInt32}} AND minute < {{last:UInt32}}{_kept(question, further)}"""
    counters = f"[{', '.join(f'sum({name})' for name in bins)}] AS histogram, sum(p) AS s1, sum(pp) AS s2"
    return _grouped(question, counters, rows, "minute")


def _from_ledger(question: Question) -> str:
    """Every aggregated row counts once, and takes its superseded predecessor back."""
    bins = [f"sumIf(times, bin = {i})" for i in range(MAX_BINS)]
    counters = f"[{', '.join(bins)}] AS histogram, sum(times * p) AS s1, sum(times * pp) AS s2"
    rows = f"{_ledger_rows(question, '')} UNION ALL {_ledger_rows(question, 'old_')}"
    return _grouped(question, counters, rows, "second")


def _ledger_rows(question: Question, prefix: str) -> str:
    """Contributions of the rows themselves (prefix '') or of what they supersede ('old_'), one sign each."""
    wanted = {"channel", *(_column(name, None) for name in (*question.by, *question.filters) if name != "mode")}
    columns = "".join(f"{prefix}{name} AS {name}, " for name in sorted(wanted))
    if question.metric == "sentiment":
        answer = (
            f"{prefix}tier AS scale, indexOf({{labels:Array(String)}}, toString({prefix}label)) - 1 AS bin, "
            f"toInt64({prefix}p) AS p, intDiv(p * p + 5000, 10000) AS pp"
        )
        counted = f"has({{labels:Array(String)}}, toString({prefix}label))"
    else:
        answer = f"{prefix}scale AS scale, toInt64({prefix}bin) AS bin, toInt64(0) AS p, toInt64(0) AS pp"
        counted = f"{prefix}metric = {{metric:String}} AND {prefix}bin >= 0"
    moment = f"intDiv({prefix}occurred_ms, 1000)"
    superseding = " AND old_off >= 0" if prefix else ""
    facts = f"""SELECT {columns}{answer}, {moment} AS second, toInt64({-1 if prefix else 1}) AS times
        FROM ledger FINAL
        WHERE disposition = 'aggregated' AND {counted}{superseding}
            AND {moment} >= {{first:UInt32}} AND {moment} < {{last:UInt32}}
            AND day >= toDate(toDateTime({{from_day:UInt32}}, 'UTC'))
            AND (topic = 'history' OR day <= toDate(toDateTime({{to_day:UInt32}}, 'UTC')))"""
    return f"""SELECT {_selected(question, None)}second, scale, bin, p, pp, times
        FROM ({facts}) WHERE 1{_kept(question, None)}"""
