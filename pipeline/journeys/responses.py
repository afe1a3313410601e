"""Reads how long something takes [I/O]: from an invitation to the answer, from a question to the reply.

Cases are counted in the cohort in which they began: answers and invitations that merely fall into the same window say
nothing when volumes change. What has not come yet is censored (Kaplan-Meier), not left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.journeys.answers import METRICS
from pipeline.journeys.contrasts import gap
from pipeline.journeys.facts import DAY_S, SETTINGS, Database, Filters, between, check_filters, kept, parameters
from pipeline.journeys.refusing import Refusal
from pipeline.journeys.waiting import come_by, median_of_closed, quantile, waits, within
from pipeline.scores.meters import ENOUGH, TOP_BOX, top_box
from pipeline.scores.reading import Question, read_scores

#: The word that stands for any answer, review or text of the customer instead of a touchpoint.
FEEDBACK = "feedback"
COHORTS: tuple[str, ...] = ("all", "day", "week")
#: The first events of a customer that are looked at, as for journeys.
_MOST_EVENTS = 5_000
_SPAN = {"day": DAY_S, "week": 7 * DAY_S}


@dataclass(frozen=True, slots=True)
class WaitQuestion:
    """From a touchpoint `begin` in [start, end) to the same customer's next `finish`: a touchpoint or FEEDBACK.

    `horizon_days`: the time in which it should come; a further `begin` in it is a reminder, not another case. `now`
    (Unix seconds) is the present: what has not come by then is open. Raises UsageError.
    """

    begin: str
    finish: str
    start: int
    end: int
    now: int
    horizon_days: int = 7
    cohort: str = "all"
    filters: Filters = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.begin or not self.finish or self.begin == self.finish:
            raise UsageError("a wait needs a touchpoint that begins it and another thing that ends it")
        if self.cohort not in COHORTS:
            raise UsageError(f"there is no cohort {self.cohort!r}; there are {', '.join(COHORTS)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        if not 1 <= self.horizon_days <= 365:
            raise UsageError(f"a horizon of {self.horizon_days} days; it must be from 1 to 365")
        check_filters(self.filters)


@dataclass(frozen=True, slots=True)
class WaitTimes:
    """One record a cohort, in order of time; seconds."""

    question: WaitQuestion
    cohorts: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        question = self.question
        return {
            "begin": question.begin,
            "finish": question.finish,
            "from": question.start,
            "to": question.end,
            "horizon_days": question.horizon_days,
            "where": {name: list(values) for name, values in question.filters.items()},
            "cohorts": self.cohorts,
        }


def read_waits(client: Database, question: WaitQuestion) -> WaitTimes:
    """By cohort: the share that came `within` the horizon, open cases censored, and the times; all `open` ones counted.

    `decided` is the plain share among the cases that came in time or are older than the horizon, for comparison.
    """
    given = parameters(question.start, max(question.now, question.end), question.filters) | {
        "begin": question.begin,
        "finish": question.finish,
        "horizon_ms": question.horizon_days * DAY_S * 1000,
        "end_ms": question.end * 1000,
        "span_ms": _SPAN.get(question.cohort, question.end - question.start) * 1000,
    }
    found = client.query(_sql(question), given, SETTINGS, long=True)
    if not found.height:
        return WaitTimes(question, [])
    parts = found.sort("cohort").partition_by("cohort", maintain_order=True)
    return WaitTimes(question, [_cohort(question, part) for part in parts])


def _sql(question: WaitQuestion) -> str:
    finish = (
        "metric != 'volume'" if question.finish == FEEDBACK else "metric = 'volume' AND touchpoint = {finish:String}"
    )
    begin = "metric = 'volume' AND touchpoint = {begin:String} AND occurred_ms < {end_ms:Int64}"
    # An event as a number: its time twice, one more for what ends a wait. So they sort by time, a begin first.
    events = f"""SELECT groupArraySorted({_MOST_EVENTS})(toInt64(occurred_ms) * 2 + ({finish})) AS codes
        FROM ledger FINAL WHERE (({begin}) OR ({finish})) AND {between()}{kept(question.filters)}
        GROUP BY brand, customer"""
    begun = f"""SELECT arrayFilter(code -> code % 2 = 0, codes) AS begins,
            arrayFilter(code -> code % 2 = 1, codes) AS ends,
            arrayMap(code -> arrayFirst(later -> later > code, ends), begins) AS answers,
            arrayFilter((code, before, answer) -> before = 0 OR code - before >= 2 * {{horizon_ms:Int64}}
                    OR (answer > 0 AND answer < code),
                begins, arrayPushFront(arrayPopBack(begins), toInt64(0)),
                arrayPushFront(arrayPopBack(answers), toInt64(0))) AS cases
        FROM ({events}) WHERE notEmpty(begins)"""
    # A case that another one follows was not answered before that one began.
    times = """arrayMap((code, following, answer) -> (
            intDiv(intDiv(code, 2) - {begin_ms:Int64}, {span_ms:Int64}),
            answer > 0 AND (following = 0 OR answer < following),
            multiIf(answer > 0 AND (following = 0 OR answer < following), answer - code,
                following > 0, following - code, 2 * {finish_ms:Int64} - code)),
        cases, arrayPushBack(arrayPopFront(cases), toInt64(0)),
        arrayMap(code -> arrayFirst(later -> later > code, ends), cases))"""
    return f"""SELECT toInt64(one.1) AS cohort, one.2 AS came, intDiv(one.3, 2000) AS seconds, count() AS n
        FROM (SELECT arrayJoin({times}) AS one FROM ({begun}))
        GROUP BY cohort, came, seconds ORDER BY cohort, seconds, came"""


def _cohort(question: WaitQuestion, cases: pl.DataFrame) -> dict[str, Any]:
    times = cases["n"].to_numpy().astype(np.int64)
    took = np.repeat(cases["seconds"].to_numpy().astype(np.float64), times)
    came = np.repeat(cases["came"].to_numpy().astype(np.bool_), times)
    curve = waits(took, came)
    span = _SPAN.get(question.cohort, question.end - question.start)
    first = question.start + int(cases["cohort"][0]) * span
    found: dict[str, Any] = {
        "from": first,
        "to": min(first + span, question.end),
        "n": curve.n,
        "open": curve.open,
        "within": {"value": None, "low": None, "high": None, "n": curve.n, "status": "insufficient"},
        "decided": {"value": None, "low": None, "high": None, "n": 0, "status": "insufficient"},
        "median_seconds": None,
        "p90_seconds": None,
        "median_of_closed": None,
    }
    if curve.n < ENOUGH:
        return found
    share = come_by(curve, question.horizon_days * DAY_S)
    closed = median_of_closed(took, came)
    found["within"] |= {"value": share.value, "low": share.low, "high": share.high, "status": "ok"}
    decided = within(took, came, question.horizon_days * DAY_S) if _decided(took, came, question) else None
    if decided is not None:
        ends = {"value": decided.value, "low": decided.low, "high": decided.high}
        found["decided"] |= {**ends, "n": decided.n, "status": "ok"}
    found["median_seconds"], found["p90_seconds"] = quantile(curve), quantile(curve, 0.9)
    found["median_of_closed"] = None if np.isnan(closed) else closed
    return found


def _decided(took: np.ndarray, came: np.ndarray, question: WaitQuestion) -> bool:
    """Whether ten cases either came in time or are older than the horizon."""
    horizon = question.horizon_days * DAY_S
    return int(((came & (took <= horizon)) | (took > horizon)).sum()) >= ENOUGH


@dataclass(frozen=True, slots=True)
class GapQuestion:
    """What those who answer for it believe (`believed` yes of `asked`) against what customers say in [start, end)."""

    believed: int
    asked: int
    start: int
    end: int
    metric: str = "csat"
    filters: Filters = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.believed <= self.asked or self.asked == 0:
            raise UsageError(f"{self.believed} of {self.asked} cannot believe something; write 290/362")
        if self.metric not in METRICS:
            raise UsageError(f"customers give no answers of {self.metric!r}; they do of {', '.join(METRICS)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        check_filters(self.filters)


def read_gap(client: Database, question: GapQuestion) -> dict[str, Any]:
    """The delivery gap: believed share less the customers' top box, with Newcombe's interval. Points are fractions."""
    asked = Question(metric=question.metric, start=question.start, end=question.end, filters=question.filters)
    rows = [row for row in read_scores(client, asked).to_dicts() if row["scale"] in TOP_BOX]
    if not rows:
        return Refusal(f"no {question.metric} answer on a scale with a top box in this time", 0, ENOUGH).document()
    most = max(rows, key=lambda row: int(row["n"]))
    hits, n = (int(value[0]) for value in top_box(most["scale"], [most["histogram"]]))
    found = gap((question.believed, hits), (question.asked, n))
    if isinstance(found, Refusal):
        return found.document()
    shares = {"believed": question.believed / question.asked, "said": hits / n, "scale": most["scale"]}
    ends = {"value": found.difference, "low": found.low, "high": found.high}
    return {**ends, **shares, "asked": question.asked, "n": n, "status": "ok"}
