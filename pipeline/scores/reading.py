"""Reads scores for any group and window [I/O]: sums histograms in ClickHouse, then reads them by their definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.comparing import detectable
from pipeline.scores.defined import read_definitions
from pipeline.scores.definitions import Definition, Definitions
from pipeline.scores.meters import bounds
from pipeline.scores.privacy import LEAST, added_up, enough, together
from pipeline.scores.sources import statement
from pipeline.scores.spans import sessions
from pipeline.slices import CORE, FURTHER

#: What a reader may group and filter by. A segment is one of the customer's set, the mode follows from the channel.
DIMENSIONS: tuple[str, ...] = (*CORE, "mode", *("segment" if name == "segments" else name for name in FURTHER))

#: Fractions of a sample in the unit of its score.
TIMES: Mapping[str, float] = {"points": 100.0, "share": 1.0, "mean": 1.0}

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
#: An offset never changes its ingest day, a window row never its day: no merge over partitions is needed, and none
#: at all in one that is a single part.
_SETTINGS: dict[str, Any] = {"do_not_merge_across_partitions_select_final": 1}


class Database(Protocol):
    """The part of pipeline.clickhouse.ClickHouse that is needed here."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> pl.DataFrame:
        """Rows of a SELECT."""


@cache
def bundled() -> Definitions:
    """The definitions that come with the package."""
    return read_definitions()


@dataclass(frozen=True, slots=True)
class Question:
    """Which scores: `start` (inclusive) and `end` in Unix seconds, both widened to whole windows.

    `metric` names the score, by the bundled definitions unless `definition` says what it means. `grain_s` is the width
    of a window in whole minutes, None for one window from start to end; with `step_s` windows hop by that step, with
    `edges` (seconds, whole minutes) they lie between neighbours, with `gap_s` a window is a run of answers without a
    pause that long. `filters` keeps the rows whose dimension has one of the given values. `one_voice` counts the newest
    answer of each customer in a window, `as_of_ms` what was counted when the newest window before that moment was
    closed. Employees with fewer than `least_by_agent` answers are never shown alone. Raises UsageError for what cannot
    be asked.
    """

    metric: str
    start: int
    end: int
    grain_s: int | None = None
    by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    definition: Definition | None = None
    step_s: int | None = None
    gap_s: int | None = None
    edges: tuple[int, ...] = ()
    one_voice: bool = False
    as_of_ms: int | None = None
    least_by_agent: int = LEAST

    def __post_init__(self) -> None:
        if self.definition is None:
            bundled().find(self.metric)
        for name in (*self.by, *self.filters):
            if name not in DIMENSIONS:
                raise UsageError(f"there is no dimension {name!r}; there are {', '.join(DIMENSIONS)}")
        if len(set(self.by)) != len(self.by):
            raise UsageError(f"a dimension is named twice in {','.join(self.by)}")
        if self.grain_s is not None and (self.grain_s < _MINUTE or self.grain_s % _MINUTE):
            raise UsageError(f"a grain of {self.grain_s} s is not a whole number of minutes")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        self._check_windows()

    def _check_windows(self) -> None:
        if self.step_s is not None and (
            self.grain_s is None or self.step_s < _MINUTE or self.step_s % _MINUTE or self.grain_s % self.step_s
        ):
            raise UsageError(f"windows of {self.grain_s} s cannot hop by {self.step_s} s: a grain is a multiple of it")
        if self.gap_s is not None and self.gap_s < 1:
            raise UsageError("a session ends after a pause of at least a second")
        if self.gap_s is not None and self.one_voice:
            raise UsageError("a session has no voices: a customer's newest answer depends on where the session ends")
        if self.chosen_agents and len(self.filters["agent"]) > 1 and (self.one_voice or self.gap_s is not None):
            raise UsageError("voices and sessions of several employees are not added up: name one, or group by agent")
        if self.edges and (len(self.edges) < 2 or any(edge % _MINUTE for edge in self.edges)):
            raise UsageError("windows need at least two edges on whole minutes")

    @property
    def defined(self) -> Definition:
        """What the score means."""
        return self.definition or bundled().find(self.metric)

    @property
    def _step(self) -> int:
        return self.step_s or self.grain_s or _MINUTE

    @property
    def first(self) -> int:
        """Begin of the first window."""
        return self.edges[0] if self.edges else self.start // self._step * self._step

    @property
    def last(self) -> int:
        """End of the last window."""
        return self.edges[-1] if self.edges else -(-self.end // self._step) * self._step

    @property
    def seconds(self) -> int:
        """Width of a window; of windows between edges the width of the whole."""
        return self.last - self.first if self.edges else self.grain_s or self.last - self.first

    @property
    def chosen_agents(self) -> bool:
        """Whether employees are chosen and added up: each of them is judged by what was answered about them alone."""
        return "agent" in self.filters and "agent" not in self.by

    def hourly(self, until: int) -> bool:
        """Whether all windows before `until` (Unix seconds) begin and end with an hour."""
        bounds = [edge for edge in self.edges or (self.first, self.last) if edge < until]
        widths = [width for width in (self.grain_s, self.step_s) if width is not None and not self.edges]
        return not any(seconds % _HOUR for seconds in (*bounds, *widths))

    @property
    def cut(self) -> str | None:
        """The stored cut that answers this, None when only the ledger can."""
        if self.one_voice or self.as_of_ms is not None or self.gap_s is not None:
            return None
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
    histogram, s1, s2, detectable; in order of time, then group. Windows without an answer have no row."""
    return with_detectable(question, scored(question, counted(client, question)))


def counted(client: Database, question: Question) -> pl.DataFrame:
    """The same without scores: start, seconds, `by`, scale, histogram, s1, s2, of scales that the definition reads."""
    if question.chosen_agents:
        return added_up(counted(client, replace(question, by=(*question.by, "agent"))), question.by)
    until = rolled_until(client, question) if question.cut is not None else 0
    sql, parameters = statement(question, until)
    rows = client.query(sql, parameters, _SETTINGS)
    if rows.is_empty():
        return pl.DataFrame(schema=_empty(question))
    rows = rows.with_columns(pl.col("start").cast(pl.Int64), pl.col("histogram").cast(pl.List(pl.Int64)))
    if question.gap_s is not None:
        rows = sessions(rows, (*question.by, "scale"), question.gap_s)
    elif question.edges:
        widths = dict(zip(question.edges, np.diff(question.edges).tolist(), strict=False))
        rows = rows.with_columns(pl.col("start").replace_strict(widths, return_dtype=pl.Int64).alias("seconds"))
    else:
        rows = rows.with_columns(pl.lit(question.seconds, pl.Int64).alias("seconds"))
    known = [scale for scale in rows["scale"].unique() if question.defined.boxes(scale) is not None]
    rows = rows.filter(pl.col("scale").is_in(known)).select(*_empty(question))
    if "agent" in question.filters:
        return enough(rows, question.least_by_agent)
    return together(rows, question.by, question.least_by_agent) if "agent" in question.by else rows


def closed_until(client: Database, as_of_ms: int | None) -> int:
    """End (Unix seconds) of the newest window that was closed, by that moment where one is given; 0: none yet."""
    rows = client.query(
        "SELECT max(window_end) AS until FROM frontiers WHERE topic = 'feedback' AND closed_ms <= {as_of:Int64}",
        {"as_of": 2**62 if as_of_ms is None else as_of_ms},
    )
    return int(rows["until"][0] or 0) if rows.height else 0


def rolled_until(client: Database, question: Question) -> int:
    """End (Unix seconds) of the newest day that is kept by the hour; 0 where the question lies behind all of them."""
    rows = client.query("SELECT max(day) AS day, count() AS n FROM rolled")
    until = (int(rows["day"][0]) + 1) * _DAY if rows.width and rows["n"][0] else 0
    return until if question.first < until else 0


def _empty(question: Question) -> dict[str, Any]:
    names = dict.fromkeys((*question.by, "scale"), pl.String)
    return {"start": pl.Int64, "seconds": pl.Int64, **names, "histogram": pl.List(pl.Int64)} | dict.fromkeys(
        ("s1", "s2"), pl.Int64
    )


def scored(question: Question, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `counted` with the columns of their score; further columns are kept behind."""
    definition = question.defined
    further = [name for name in rows.columns if name not in _columns(question)]
    parts = [_read(definition, str(scale), part) for (scale,), part in rows.group_by("scale", maintain_order=True)]
    if not parts:
        return rows.with_columns(
            *(pl.lit(None, pl.Float64).alias(name) for name in ("score", "low", "high")),
            pl.lit(0, pl.Int64).alias("n"),
            *(pl.lit("", pl.String).alias(name) for name in ("score_unit", "method", "status")),
        ).select(*_columns(question), *further)
    return pl.concat(parts).sort("start", *question.by, "scale").select(*_columns(question), *further)


def _columns(question: Question) -> tuple[str, ...]:
    rest = ("n", "score", "low", "high", "score_unit", "method", "status", "histogram", "s1", "s2")
    return ("start", "seconds", *question.by, "scale", *rest)


def _read(definition: Definition, scale: str, rows: pl.DataFrame) -> pl.DataFrame:
    found = definition.read(scale, matrix(rows))
    return rows.with_columns(
        pl.Series("n", found.n),
        *(
            pl.Series(name, values).fill_nan(None)
            for name, values in (("score", found.score), ("low", found.low), ("high", found.high))
        ),
        pl.lit(found.unit).alias("score_unit"),
        pl.lit(found.method).alias("method"),
        pl.Series("status", np.where(found.enough, "ok", "insufficient").tolist(), dtype=pl.String),
    )


def with_detectable(question: Question, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `scored` with `detectable`: the smallest drop that so many answers in such a window can show.

    In the unit of the score; null where there is no score, of counts, and of sessions, whose width says nothing.
    """
    none = pl.lit(None, pl.Float64).alias("detectable")
    definition = question.defined
    if definition.form == "count" or question.gap_s is not None or rows.is_empty():
        return rows.with_columns(none)
    places = rows.with_row_index("place")
    parts = []
    for (scale,), part in places.group_by("scale", maintain_order=True):
        sample = definition.sample(str(scale), matrix(part))
        # Means are measured in steps of their scale: a tenth of its range is what a tenth is of a share.
        low, high = bounds(str(scale))
        width = float(high - low) if definition.form == "mean" and high > low else 1.0
        seconds = part["seconds"].to_numpy().astype(np.float64)
        found = detectable(sample.variance / width**2, sample.n, seconds) * width * TIMES[definition.unit]
        enough = part["status"].to_numpy() == "ok"
        parts.append(part.with_columns(pl.Series("detectable", np.where(enough, found, np.nan)).fill_nan(None)))
    return pl.concat(parts).sort("place").drop("place")


def matrix(rows: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The histograms of rows as int64 [n, 11]."""
    return rows["histogram"].list.to_array(11).to_numpy()
