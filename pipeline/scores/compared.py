"""Comparison beside each cut [I/O]: the window before, the same hour last week, the trend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.comparing import change, ranked, trend
from pipeline.scores.definitions import Definition
from pipeline.scores.intervals import Sample
from pipeline.scores.reading import TIMES, Database, Question, counted, matrix
from pipeline.scores.spans import earlier

_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY
#: What a change has beside it.
_CHANGE: Final = ("change", "low", "high", "p")


def comparable(question: Question, *, groups: bool = False) -> None:
    """Raises UsageError where there is nothing to compare with, or (`groups`) no groups to rank."""
    if question.defined.form == "count":
        raise UsageError(f"{question.metric} is a count: it has no interval to compare by")
    if question.gap_s is not None:
        raise UsageError("sessions have no window before them to compare with")
    if groups and not question.by:
        raise UsageError("a ranking needs groups: name a dimension with --by")


def compare(client: Database, question: Question, rows: pl.DataFrame, tz: ZoneInfo) -> pl.DataFrame:
    """Rows of `read_scores` with `previous_*` and `week_*` (score, n, change and its interval, p) and `trend*` (change
    per window of the group over the span), in the unit of the score. `comparable` must have passed.
    """
    found = rows
    for name, other, back in _shifts(question, tz):
        found = _beside(found, question, name, _moved(counted(client, other), back))
    return _trends(found, question)


def rank(question: Question, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in order of their shrunken score within each window and scale, best first: `ranked_as` and `rank`.

    A unit with few answers is drawn to the mean of all, so that chance does not lead the list at either end. Those
    with too few answers for a score have no rank and stand last; where no difference can be told, all are first.
    `comparable` must have passed.
    """
    none = [pl.lit(None, pl.Float64).alias("ranked_as"), pl.lit(None, pl.Int64).alias("rank")]
    parts = []
    for (_, scale), part in rows.group_by("start", "scale", maintain_order=True):
        boxes = question.defined.boxes(str(scale))
        worse = boxes is not None and boxes.better == "lower"
        enough = part.filter(pl.col("status") == "ok")
        if enough.height:
            drawn = ranked(_sample(question.defined, str(scale), enough)) * TIMES[question.defined.unit]
            placed = enough.with_columns(pl.Series("ranked_as", drawn)).sort("ranked_as", descending=not worse)
            place = pl.col("ranked_as").rank("min", descending=not worse).cast(pl.Int64)
            parts.append(placed.with_columns(place.alias("rank")))
        parts.append(part.filter(pl.col("status") != "ok").with_columns(none))
    return pl.concat(parts) if parts else rows.with_columns(none)


def _shifts(question: Question, tz: ZoneInfo) -> list[tuple[str, Question, dict[int, int]]]:
    """The questions for what lies before, and for each of their windows' starts the start that it stands beside."""
    if question.edges:
        width = question.edges[1] - question.edges[0]
        days = round(width / _DAY)
        first = earlier(question.edges[:1], days, tz)[0] if days else question.edges[0] - width
        before = (first, *question.edges[:-1])
        week = earlier(question.edges, 7, tz)
        return [
            (name, replace(question, edges=edges), dict(zip(edges, question.edges, strict=True)))
            for name, edges in (("previous", before), ("week", week))
            if all(a < b for a, b in pairwise(edges))
        ]
    starts = range(question.first, question.last, question.step_s or question.seconds)
    return [
        (
            name,
            replace(question, start=question.first - by, end=question.last - by),
            {start - by: start for start in starts},
        )
        for name, by in (("previous", question.seconds), ("week", _WEEK))
    ]


def _moved(rows: pl.DataFrame, back: Mapping[int, int]) -> pl.DataFrame:
    """Rows with the start of the window that they stand beside."""
    moved = pl.col("start").replace_strict(dict(back), default=None, return_dtype=pl.Int64)
    return rows.with_columns(moved).filter(pl.col("start").is_not_null())


def _beside(rows: pl.DataFrame, question: Question, name: str, other: pl.DataFrame) -> pl.DataFrame:
    keys = ["start", *question.by, "scale"]
    joined = rows.join(other.select(*keys, pl.col("histogram").alias("before")), on=keys, how="left")
    parts = []
    for (scale,), part in joined.group_by("scale", maintain_order=True):
        parts.append(_changed(part, question.defined, name, str(scale)))
    none = [pl.lit(None, pl.Float64).alias(f"{name}_{each}") for each in ("score", "n", *_CHANGE)]
    return pl.concat(parts).sort(keys) if parts else rows.with_columns(none)


def _changed(part: pl.DataFrame, definition: Definition, name: str, scale: str) -> pl.DataFrame:
    """The change is there where both windows have enough answers."""
    before = part.with_columns(pl.col("before").fill_null(pl.lit([0] * 11, pl.List(pl.Int64))))
    former = definition.read(scale, before["before"].list.to_array(11).to_numpy())
    now = definition.read(scale, matrix(part))
    found = change(
        definition.sample(scale, former.histograms),
        definition.sample(scale, now.histograms),
    )
    enough, times = former.enough & now.enough, TIMES[definition.unit]
    values = {"change": found.change * times, "low": found.low * times, "high": found.high * times, "p": found.p}
    return part.drop("before").with_columns(
        pl.Series(f"{name}_score", former.score).fill_nan(None),
        pl.Series(f"{name}_n", former.n.astype(np.float64)),
        *(pl.Series(f"{name}_{key}", np.where(enough, each, np.nan)).fill_nan(None) for key, each in values.items()),
    )


def _trends(rows: pl.DataFrame, question: Question) -> pl.DataFrame:
    parts = []
    width = question.step_s or question.seconds
    for key, part in rows.group_by(*question.by, "scale", maintain_order=True):
        at = (
            np.searchsorted(np.array(question.edges), part["start"].to_numpy()).astype(np.float64)
            if question.edges
            else (part["start"].to_numpy() - question.first) / width
        )
        enough = part["status"].to_numpy() == "ok"
        sample = _sample(question.defined, str(key[-1]), part)
        found = trend(at[enough], Sample(*(column[enough] for column in sample)))
        times = TIMES[question.defined.unit]
        values: dict[str, float | None] = dict.fromkeys(("trend", "trend_low", "trend_high"))
        if found is not None:
            values = dict(zip(values, (found.slope * times, found.low * times, found.high * times), strict=True))
        parts.append(part.with_columns(pl.lit(value, pl.Float64).alias(name) for name, value in values.items()))
    none = [pl.lit(None, pl.Float64).alias(name) for name in ("trend", "trend_low", "trend_high")]
    return pl.concat(parts).sort("start", *question.by, "scale") if parts else rows.with_columns(none)


def _sample(definition: Definition, scale: str, rows: pl.DataFrame) -> Sample:
    return definition.sample(scale, matrix(rows))
