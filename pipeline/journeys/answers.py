"""Answers as numbers: the SQL of each customer's last answer, and what each bin is worth. Pure.

One voice a customer: whoever answers a hundred times counts once, so that intervals mean what they say.
"""

from __future__ import annotations

import numpy as np

from pipeline.errors import UsageError
from pipeline.journeys.facts import Filters, between, kept
from pipeline.scores.intervals import Floats
from pipeline.scores.meters import FORMS, TOP_BOX, bounds
from schemas.limits import MAX_BINS
from schemas.vocabulary import Sentiment

#: Metrics that answers have; a volume is no answer.
METRICS: tuple[str, ...] = tuple(metric for metric in FORMS if metric != "volume")
#: Begin of the time in which answers count; what was met before may have happened earlier.
_START = "{start_ms:Int64}"
_END = "{finish_ms:Int64}"
LABELS: tuple[str, ...] = (Sentiment.NEGATIVE.value, Sentiment.NEUTRAL.value, Sentiment.POSITIVE.value)


def check_metric(metric: str) -> None:
    """Raises UsageError for what is no answer."""
    if metric not in METRICS:
        raise UsageError(f"customers give no answers of {metric!r}; they do of {', '.join(METRICS)}")


def columns(metric: str) -> tuple[str, str, str]:
    """SQL of scale, bin and the condition of an answer."""
    if metric == "sentiment":
        labels = "[" + ", ".join(f"'{label}'" for label in LABELS) + "]"
        return "toString(tier)", f"indexOf({labels}, toString(label)) - 1", f"has({labels}, toString(label))"
    return "toString(scale)", "toInt64(bin)", "metric = {metric:String} AND bin >= 0"


def scales(metric: str, filters: Filters, until: str = _END) -> str:
    """SELECT of the scales of a window with the number of answers on each, most first."""
    scale, _, counted = columns(metric)
    return f"""SELECT {scale} AS scale_, count() AS n FROM ledger FINAL
        WHERE {counted} AND {between(_START, until)}{kept(filters)} GROUP BY scale_ ORDER BY n DESC, scale_"""


def said(metric: str, filters: Filters) -> tuple[str, str]:
    """SQL of the bin of a row, and of whether it is an answer on the scale asked for, in time."""
    scale, bin_, counted = columns(metric)
    return bin_, f"{counted} AND {scale} = {{scale:String}} AND occurred_ms >= {_START}{kept(filters)}"


def last_answers(metric: str, filters: Filters, until: str = _END) -> str:
    """SELECT of brand, customer, bin_ and said_ms: the last answer of each customer, a revised one in its last form."""
    scale, bin_, counted = columns(metric)
    return f"""SELECT brand, customer, argMax({bin_}, (occurred_ms, revision)) AS bin_, max(occurred_ms) AS said_ms
        FROM ledger FINAL
        WHERE {counted} AND {scale} = {{scale:String}} AND {between(_START, until)}{kept(filters)}
        GROUP BY brand, customer"""


def worth(metric: str, scale: str) -> Floats:
    """What each bin counts for the score: -1, 0, +1; 0 or 1 of a top box; else the answer itself."""
    low, _ = bounds(scale)
    answers = np.arange(MAX_BINS) + low
    if metric == "nps":
        return np.where(answers >= 9, 1.0, np.where(answers >= 7, 0.0, -1.0))
    if metric == "sentiment":
        return np.where(answers <= 2, answers - 1.0, 0.0)
    if metric == "csat":
        return np.isin(answers, TOP_BOX[scale]).astype(np.float64)
    return answers.astype(np.float64)


def factor(metric: str) -> float:
    """What turns a worth into the unit that is shown: points are 100 times a fraction."""
    return 100.0 if FORMS[metric][0] == "points" else 1.0


def classes(metric: str, scale: str) -> list[tuple[str, tuple[int, ...]]]:
    """Groups of answers from the least to the most satisfied, as bins; for most scales each answer is one."""
    low, high = bounds(scale)
    if metric == "nps":
        return [("detractors", tuple(range(7))), ("passives", (7, 8)), ("promoters", (9, 10))]
    if metric == "sentiment":
        return [(label, (place,)) for place, label in enumerate(LABELS)]
    found: list[tuple[str, tuple[int, ...]]] = [(str(answer), (answer - low,)) for answer in range(low, high + 1)]
    return found[::-1] if (metric, scale) == ("ces", "1-5") else found
