"""Reads how even the experience is between units, channels, products or people [I/O]: the consistency index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.journeys import answers
from pipeline.journeys.consistency import Consistency, consistency
from pipeline.journeys.facts import Database, Filters, check_filters
from pipeline.journeys.refusing import Refusal
from pipeline.scores.comparing import change
from pipeline.scores.intervals import Sample
from pipeline.scores.privacy import LEAST
from pipeline.scores.reading import DIMENSIONS, Question, read_scores

#: Windows of a trend: a year of weeks fits on a screen.
_MOST_WINDOWS = 60


@dataclass(frozen=True, slots=True)
class EvennessQuestion:
    """How even a score is between the values of the dimension `by`, in [start, end). Raises UsageError."""

    start: int
    end: int
    by: str
    metric: str = "nps"
    filters: Filters = field(default_factory=dict)
    least_by_agent: int = LEAST

    def __post_init__(self) -> None:
        answers.check_metric(self.metric)
        if self.by not in DIMENSIONS:
            raise UsageError(f"there is no dimension {self.by!r}; there are {', '.join(DIMENSIONS)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        check_filters(self.filters)


@dataclass(frozen=True, slots=True)
class Evenness:
    """The index of the scale with the most answers, and each group with its own and its shrunken score."""

    question: EvennessQuestion
    scale: str
    index: dict[str, Any]
    groups: list[dict[str, Any]]
    left_out: dict[str, int]

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        question = self.question
        return {
            "from": question.start,
            "to": question.end,
            "metric": question.metric,
            "scale": self.scale,
            "by": question.by,
            "where": {name: list(values) for name, values in question.filters.items()},
            "index": self.index,
            "groups": self.groups,
            "answers_on_other_scales": self.left_out,
        }


def read_evenness(client: Database, question: EvennessQuestion) -> Evenness:
    """The consistency index, or why there is none; groups by their shrunken score, the lowest first."""
    asked = _asked(question, None)
    found = read_scores(client, asked)
    if not found.height:
        return Evenness(question, "", Refusal("no answer in this time", 0).document(), [], {})
    found = found.filter(pl.col(question.by) != "")
    totals = dict(
        found.group_by("scale").agg(pl.col("n").sum()).sort("n", "scale", descending=[True, False]).iter_rows()
    )
    scale = next(iter(totals), "")
    return evenness_of(question, scale, found.filter(pl.col("scale") == scale), totals)


def read_trend(client: Database, question: EvennessQuestion, grain_s: int) -> list[dict[str, Any]]:
    """The index of each window of `grain_s` seconds (start, seconds, index fields), oldest first, of the scale with the
    most answers. Raises UsageError for a grain that is none."""
    asked = _asked(question, grain_s)
    if asked.last - asked.first > _MOST_WINDOWS * grain_s:
        raise UsageError(f"more than {_MOST_WINDOWS} windows: take a wider --grain or less time")
    found = read_scores(client, asked)
    found = found.filter(pl.col(question.by) != "") if found.height else found
    if not found.height:
        return []
    scale = found.group_by("scale").agg(pl.col("n").sum()).sort("n", "scale", descending=[True, False])["scale"][0]
    return [
        {"start": int(str(start)), "seconds": grain_s, **evenness_of(question, scale, part, {}).index}
        for (start,), part in found.filter(pl.col("scale") == scale).group_by("start", maintain_order=True)
    ]


def _asked(question: EvennessQuestion, grain_s: int | None) -> Question:
    return Question(
        metric=question.metric,
        start=question.start,
        end=question.end,
        grain_s=grain_s,
        by=(question.by,),
        filters=question.filters,
        least_by_agent=question.least_by_agent,
    )


def evenness_of(question: EvennessQuestion, scale: str, found: pl.DataFrame, totals: dict[str, int]) -> Evenness:
    """From the score rows of one scale to the index and the groups."""
    unit = answers.factor(question.metric)
    worth = answers.worth(question.metric, scale)
    counts = np.array(found["histogram"].to_list(), dtype=np.int64).reshape(found.height, len(worth))
    n = counts.sum(axis=1).astype(np.float64)
    mean = counts @ worth / n
    groups = Sample(mean, np.maximum(counts @ worth**2 / n - mean * mean, 0.0), n)
    possible = worth[: _bins(scale, question.metric)]
    result = consistency(groups, float(possible.max() - possible.min()) / 2.0)
    rows = [
        {
            "group": row[question.by],
            **{name: row[name] for name in ("score", "n", "low", "high", "status")},
            "unit": row["score_unit"],
            "shrunk": _shrunk(result, place, unit),
        }
        for place, row in enumerate(found.to_dicts())
    ]
    names = [row["group"] for row in rows]
    rows.sort(key=lambda row: (row["shrunk"] is None, row["shrunk"] or 0.0))
    others = {name: total for name, total in totals.items() if name != scale}
    index = result.document() if isinstance(result, Refusal) else _index(result, groups, names, unit)
    return Evenness(question, scale, index, rows, others)


def _bins(scale: str, metric: str) -> int:
    return 3 if metric == "sentiment" else sum(len(bins) for _, bins in answers.classes(metric, scale))


def _shrunk(result: Consistency | Refusal, place: int, unit: float) -> float | None:
    if isinstance(result, Refusal) or np.isnan(result.shrunk[place]):
        return None
    return unit * float(result.shrunk[place])


def _index(result: Consistency, groups: Sample, names: list[str], unit: float) -> dict[str, Any]:
    low, high = result.worst
    pair = change(*(Sample(*(column[[place]] for column in groups)) for place in (low, high)))
    return {
        "value": result.index,
        "low": result.low,
        "high": result.high,
        "n": result.n,
        "groups": result.groups,
        "spread": unit * result.tau,
        "mean": unit * result.mean,
        "p": result.p,
        "uneven": result.uneven,
        "worst_pair": {
            "low": names[low],
            "high": names[high],
            "difference": {
                name: unit * float(end[0])
                for name, end in (("value", pair.change), ("low", pair.low), ("high", pair.high))
            },
        },
        "status": "ok",
    }
