"""Scores from answer histograms: NPS, CSAT, CES, stars, net sentiment, each with n and a 95 % interval. Pure.

Everything derives from integer histograms, so larger windows and groups are sums, never averages of scores.
Shapes: `histograms` is int64 [n, 11], bin = answer - lowest answer of the scale. The functions tl_* of
deploy/migrations/0004_score_views.sql say the same in SQL, operation for operation; a test holds both together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UsageError
from pipeline.scores.intervals import (
    P_UNIT,
    Counts,
    Floats,
    Interval,
    Moments,
    Net,
    adjusted_wald,
    mean_and_variance,
    net_score,
    normal,
    wilson,
)
from schemas.limits import MAX_BINS

#: Under this many answers no interval keeps its promise, and a score would be read as more than it is.
ENOUGH = 10
#: Answers that count as satisfied, by scale: the top two boxes, the one of two for a binary question.
TOP_BOX: dict[str, tuple[int, ...]] = {"1-5": (4, 5), "1-7": (6, 7), "1-10": (9, 10), "0-1": (1,)}
Unit = Literal["points", "share", "mean", "count"]
Method = Literal["adjusted_wald", "wilson", "normal", "count"]
Status = Literal["ok", "insufficient"]

#: What a score is measured in and how its interval is made, by metric. A count is exact: it has no interval.
FORMS: dict[str, tuple[Unit, Method]] = {
    "nps": ("points", "adjusted_wald"),
    "sentiment": ("points", "adjusted_wald"),
    "csat": ("share", "wilson"),
    "ces": ("mean", "normal"),
    "rating": ("mean", "normal"),
    "volume": ("count", "count"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One score as it is published; score and interval are None while the status is `insufficient`."""

    score: float | None
    n: int
    low: float | None
    high: float | None
    unit: Unit
    method: Method
    status: Status
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """Many scores of one metric and scale as columns; NaN where a `Reading` says None."""

    score: Floats
    n: Counts
    low: Floats
    high: Floats
    enough: NDArray[np.bool_]
    unit: Unit
    method: Method
    histograms: Counts

    def __len__(self) -> int:
        return len(self.n)

    def row(self, index: int) -> Reading:
        """One of them."""

        def known(values: Floats) -> float | None:
            value = float(values[index])
            return None if math.isnan(value) else value

        return Reading(
            score=known(self.score),
            n=int(self.n[index]),
            low=known(self.low),
            high=known(self.high),
            unit=self.unit,
            method=self.method,
            status="ok" if self.enough[index] else "insufficient",
            histogram=tuple(int(count) for count in self.histograms[index]),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """The accumulator of every metric: eleven counters and, for sentiment, the sums of p and p^2 / 10,000."""

    counts: tuple[int, ...]
    s1: int = 0
    s2: int = 0

    @classmethod
    def zero(cls) -> Tally:
        """Nothing counted yet."""
        return cls((0,) * MAX_BINS)

    def add(self, bin: int, p: int = 0, times: int = 1) -> Tally:
        """With one more answer; `times` -1 takes one back. Raises UsageError for a bin outside 0..10."""
        if not 0 <= bin < MAX_BINS:
            raise UsageError(f"bin {bin} is outside 0..{MAX_BINS - 1}: an invalid answer is rejected, never counted")
        counts = list(self.counts)
        counts[bin] += times
        # Half up, in integers: the same in Python, polars and SQL.
        square = (p * p + P_UNIT // 2) // P_UNIT
        return replace(self, counts=tuple(counts), s1=self.s1 + times * p, s2=self.s2 + times * square)

    def merge(self, other: Tally) -> Tally:
        """Both together; the order never matters."""
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return Tally(counts, self.s1 + other.s1, self.s2 + other.s2)

    def read(self, metric: str, scale: str) -> Reading:
        """The score of what was counted."""
        return read(metric, scale, [self.counts]).row(0)


def bounds(scale: str) -> tuple[int, int]:
    """Lowest and highest answer of "1-5"; (0, 0) for a scale without numbers, such as a labelling tier."""
    low, _, high = scale.partition("-")
    return (int(low), int(high)) if low.isdigit() and high.isdigit() else (0, 0)


def lower_is_better(metric: str, scale: str) -> bool:
    """True for CES 1.0 alone: it asks for effort (1-5), CES 2.0 (1-7) for ease."""
    return metric == "ces" and scale == "1-5"


def read(metric: str, scale: str, histograms: ArrayLike) -> Readings:
    """Scores, intervals and n of many histograms of one metric and scale. Raises UsageError for an unknown metric."""
    if metric not in FORMS:
        raise UsageError(f"there is no score {metric!r}; there are {', '.join(FORMS)}")
    unit, method = FORMS[metric]
    counts = histograms_of(histograms)
    n = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score, interval = _score(metric, scale, counts)
    enough = (n >= ENOUGH) | (method == "count")
    score, low, high = (np.where(enough, values, np.nan) for values in (score, interval.low, interval.high))
    return Readings(score, n, low, high, enough, unit, method, counts)


def _score(metric: str, scale: str, counts: Counts) -> tuple[Floats, Interval]:
    method = FORMS[metric][1]
    if method == "adjusted_wald":
        net = net_of(metric, counts)
        low, high = adjusted_wald(net)
        return 100.0 * net_score(net), Interval(np.maximum(100.0 * low, -100.0), np.minimum(100.0 * high, 100.0))
    if method == "wilson":
        hits, n = top_box(scale, counts)
        return hits / n, wilson(hits, n)
    if method == "normal":
        lowest, highest = bounds(scale)
        sample = mean_and_variance(moments(scale, counts))
        low, high = normal(sample)
        return sample.mean, Interval(np.maximum(low, float(lowest)), np.minimum(high, float(highest)))
    n = counts.sum(axis=1).astype(np.float64)
    return n, Interval(np.full_like(n, np.nan), np.full_like(n, np.nan))


def histograms_of(histograms: ArrayLike) -> Counts:
    """Histograms as int64 [n, 11]. Raises UsageError for another shape."""
    counts = np.atleast_2d(np.asarray(histograms, dtype=np.int64))
    if counts.ndim != 2 or counts.shape[1] != MAX_BINS:
        raise UsageError(f"histograms have {MAX_BINS} bins each, not the shape {counts.shape}")
    return counts


# Three classes: NPS and net sentiment, as fractions (published in points, times 100).


def net_of(metric: str, histograms: ArrayLike) -> Net:
    """The three classes: for NPS 0-6, 7-8 and 9-10, for sentiment the bins negative, neutral and positive."""
    counts = histograms_of(histograms)
    negative, positive = (slice(0, 7), slice(9, 11)) if metric == "nps" else (slice(0, 1), slice(2, 3))
    parts = (counts[:, negative].sum(axis=1), counts[:, positive].sum(axis=1), counts.sum(axis=1))
    return Net(*(part.astype(np.float64) for part in parts))


# Shares: CSAT, and the agreeing share of CES 2.0.


def top_box(scale: str, histograms: ArrayLike) -> tuple[Floats, Floats]:
    """Satisfied answers and all answers. Raises UsageError for a scale without a top box."""
    if scale not in TOP_BOX:
        raise UsageError(f"csat has no top box on the scale {scale!r}; it has on {', '.join(TOP_BOX)}")
    return _hits(scale, TOP_BOX[scale], histograms_of(histograms))


def agree_share(histograms: ArrayLike) -> tuple[Floats, Floats]:
    """CES 2.0 (1-7): answers 5-7 and all answers; `wilson` gives the interval of their ratio."""
    return _hits("1-7", (5, 6, 7), histograms_of(histograms))


def net_easy(histograms: ArrayLike) -> Net:
    """CES 2.0 (1-7) as three classes: 1-3 hard, 6-7 easy."""
    counts = histograms_of(histograms)
    easy, n = _hits("1-7", (6, 7), counts)
    return Net(_hits("1-7", (1, 2, 3), counts)[0], easy, n)


def _hits(scale: str, answers: Sequence[int], counts: Counts) -> tuple[Floats, Floats]:
    bins = [answer - bounds(scale)[0] for answer in answers]
    return counts[:, bins].sum(axis=1).astype(np.float64), counts.sum(axis=1).astype(np.float64)


# Means: CES and stars.


def moments(scale: str, histograms: ArrayLike) -> Moments:
    """Count, sum and sum of squares of the answers themselves (not of the bins)."""
    counts = histograms_of(histograms)
    answers = np.arange(MAX_BINS, dtype=np.int64) + bounds(scale)[0]
    return Moments(counts.sum(axis=1), counts @ answers, counts @ (answers * answers))


def lower_median(scale: str, histograms: ArrayLike) -> Counts:
    """The smallest answer that at least half of the answers do not exceed."""
    counts = histograms_of(histograms)
    reached = 2 * counts.cumsum(axis=1) >= counts.sum(axis=1, keepdims=True)
    return np.asarray(reached.argmax(axis=1) + bounds(scale)[0], dtype=np.int64)


def effort_as_ease(answer: float) -> float:
    """A CES 1.0 answer (1 very low effort .. 5) on the scale of CES 2.0 (7 .. 1), for a picture; never for merging."""
    return 1.0 + 1.5 * (5.0 - answer)
