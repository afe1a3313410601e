"""Reads what drives a score [I/O]: what customers met before they answered, or what the answer itself belongs to.

For things met before (touchpoints, moments, stages, channels) each customer's last answer counts once. For dimensions
of the answer itself (unit, product, segment, ...) every answer counts, as in `touchline scores`. Topics: mentions.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.journeys import answers
from pipeline.journeys.facts import (
    DAY_S,
    SETTINGS,
    Database,
    Filters,
    between,
    check_filters,
    column,
    parameters,
    place,
)
from pipeline.journeys.impacts import Drivers, Exposed, drivers_of
from pipeline.journeys.mentions import mentions
from pipeline.scores.privacy import LEAST
from pipeline.scores.reading import DIMENSIONS, Question, read_scores

#: Things that are met before an answer; a moment is a touchpoint with how it ended.
MET: tuple[str, ...] = ("touchpoint", "moment", "stage", "channel", "mode")
#: What the text of the answer is about.
TOPIC = "topic"
#: Things that are told apart: one bit each, and one bit stays free. The rarer ones are left out.
MOST = 63
#: Days before an answer that are looked at.
WITHIN_DAYS = 30
#: The newest touchpoints of a customer that are looked at: who never stops fills no more.
_MOST_EVENTS = 5_000
#: Outcomes in the order of the ledger's bins.
_OUTCOMES = ("", "ok", "fail", "abandon")


@dataclass(frozen=True, slots=True)
class DriverQuestion:
    """What drives the answers of [start, end) (Unix seconds): things of the kind `of`, met `within_days` before.

    `of` is one of MET, TOPIC, or a dimension of the answer written as `answer.unit`. `filters` choose answers.
    `critical_top` and `critical_reach` say what is critical: among so many strongest drivers, met by such a share.
    Raises UsageError.
    """

    start: int
    end: int
    metric: str = "nps"
    of: str = "touchpoint"
    within_days: int = WITHIN_DAYS
    filters: Filters = field(default_factory=dict)
    critical_top: int = 3
    critical_reach: float = 0.1
    least_by_agent: int = LEAST

    def __post_init__(self) -> None:
        answers.check_metric(self.metric)
        if self.own is None and self.of not in (*MET, TOPIC):
            raise UsageError(
                f"{self.of!r} drives nothing; met before an answer are {', '.join(MET)}; {TOPIC} is what its text is "
                f"about, and answer.DIMENSION what the answer belongs to: {', '.join(DIMENSIONS)}"
            )
        if self.own is not None and self.own not in DIMENSIONS:
            raise UsageError(f"there is no dimension {self.own!r}; there are {', '.join(DIMENSIONS)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        if not 1 <= self.within_days <= 365:
            raise UsageError(f"within {self.within_days} days; it must be from 1 to 365")
        check_filters(self.filters)

    @property
    def own(self) -> str | None:
        """The dimension of the answer, None for things met before."""
        return self.of.removeprefix("answer.") if self.of.startswith("answer.") else None


def read_drivers(client: Database, question: DriverQuestion) -> Drivers:
    """Drivers with reach, lift, leave-one-out impact and relative weight, each with n and interval."""
    if question.of == TOPIC:
        return drivers_of(mentions(client, question), question)
    if question.own is not None:
        return drivers_of(_of_answers(client, question), question)
    given = _parameters(question)
    scales = client.query(answers.scales(question.metric, question.filters), given, SETTINGS, long=True)
    if not scales.width or not scales.height:
        return drivers_of(Exposed.nothing(), question)
    scale = scales["scale_"][0]
    names = _names(client, question, given)
    bit, places = _placed(question, names)
    found = client.query(_sql(question, bit), given | places | {"scale": scale}, SETTINGS, long=True)
    met, bins = found["met"].to_numpy(), found["bin_"].to_numpy()
    columns = (met[:, None] >> np.arange(len(names), dtype=np.uint64)[None, :]) & np.uint64(1)
    others = dict(zip(scales["scale_"].to_list()[1:], scales["n"].to_list()[1:], strict=True))
    shown = tuple(" ".join(name).strip() for name in names)
    times = found["n"].to_numpy().astype(np.int64)
    return drivers_of(Exposed(scale, shown, columns.astype(np.int64), bins, times, True, others), question)


def _parameters(question: DriverQuestion) -> dict[str, Any]:
    begin = max(question.start - question.within_days * DAY_S, 0)
    return parameters(begin, question.end, question.filters) | {
        "start_ms": question.start * 1000,
        "within_ms": question.within_days * DAY_S * 1000,
        "metric": question.metric,
    }


def _names(client: Database, question: DriverQuestion, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Words that are met, with the outcome where a moment is asked for ("" else); the most frequent first."""
    moment = question.of == "moment"
    word = column("touchpoint" if moment else question.of)
    outcome = "transform(bin, [1, 2, 3], ['ok', 'fail', 'abandon'], '')" if moment else "''"
    found = client.query(
        f"""SELECT {word} AS node, {outcome} AS outcome, count() AS n FROM ledger FINAL
        WHERE metric = 'volume' AND {between()} AND node != ''
        GROUP BY node, outcome ORDER BY n DESC, node, outcome LIMIT {MOST}""",
        given,
        SETTINGS,
        long=True,
    )
    return [(row["node"], row["outcome"]) for row in found.to_dicts()] if found.height else []


def _placed(question: DriverQuestion, names: list[tuple[str, str]]) -> tuple[str, dict[str, Any]]:
    """The SQL of the bit of an event, MOST for none, and its parameters."""
    if question.of != "moment":
        places = list(range(len(names)))
        return place(question.of, str(MOST)), {"nodes": [word for word, _ in names], "places": places}
    words = list(dict.fromkeys(word for word, _ in names))
    bits = [MOST] * (4 * len(words) + 4)
    for bit, (word, outcome) in enumerate(names):
        bits[4 * words.index(word) + _OUTCOMES.index(outcome)] = bit
    given = {"nodes": words, "places": [4 * at for at in range(len(words))], "bits": bits, "none": 4 * len(words)}
    return f"{{bits:Array(UInt8)}}[{place('touchpoint', '{none:UInt16}')} + greatest(bin, 0) + 1]", given


def _sql(question: DriverQuestion, bit: str) -> str:
    """One pass: each customer's last answer, and the bits of what was met in the time before it.

    A touchpoint as a number: its time and its bit, turned round so that the newest come first when they are bounded.
    """
    bin_, said = answers.said(question.metric, question.filters)
    rows = f"""SELECT brand, customer, occurred_ms, revision, {bin_} AS bin_, ({said}) AS said,
            if(metric = 'volume', {bit}, {MOST}) AS bit
        FROM ledger FINAL WHERE {between()} AND (metric = 'volume' OR said)"""
    lives = f"""SELECT argMaxIf(bin_, (occurred_ms, revision), said) AS answer, maxIf(occurred_ms, said) AS said_ms,
            groupArraySortedIf({_MOST_EVENTS})(bitNot(toUInt64(occurred_ms) * 64 + bit), bit < {MOST}) AS codes,
            arrayFilter(code -> toInt64(bitShiftRight(bitNot(code), 6)) <= said_ms
                AND toInt64(bitShiftRight(bitNot(code), 6)) > said_ms - {{within_ms:Int64}}, codes) AS before,
            arrayReduce('groupBitOr',
                arrayMap(code -> bitShiftLeft(toUInt64(1), bitAnd(bitNot(code), 63)), before)) AS met
        FROM ({rows}) GROUP BY brand, customer HAVING countIf(said) > 0"""
    return f"""SELECT met, toInt64(answer) AS bin_, count() AS n FROM ({lives})
        GROUP BY met, bin_ ORDER BY met, bin_"""


def _of_answers(client: Database, question: DriverQuestion) -> Exposed:
    """The histograms of the answers by one of their own dimensions, as exposures: one row a value and bin."""
    own = question.own or ""

    def asked(*by: str) -> pl.DataFrame:
        return read_scores(
            client,
            Question(
                metric=question.metric,
                start=question.start,
                end=question.end,
                by=by,
                filters=question.filters,
                least_by_agent=question.least_by_agent,
            ),
        )

    whole = asked()
    if not whole.width or not whole.height:
        return Exposed.nothing()
    by_n = whole.sort("n", descending=True)
    scale = by_n["scale"][0]
    found = asked(own).filter((pl.col("scale") == scale) & (pl.col(own) != ""))
    names = found.sort("n", descending=True)[own].to_list()[:MOST]
    inside = np.array([found.row(by_predicate=pl.col(own) == name, named=True)["histogram"] for name in names])
    others = dict(zip(by_n["scale"].to_list()[1:], by_n["n"].to_list()[1:], strict=True))
    total = np.array(by_n["histogram"][0].to_list())
    return Exposed.of_histograms(scale, tuple(names), inside.reshape(len(names), len(total)), total, others)
