"""Reads what drives a score [I/O]: what customers met before they answered, or what the answer itself belongs to.

For things met before (touchpoints, moments, stages, channels) each customer's last answer counts once. For dimensions
of the answer itself (unit, product, segment, ...) every answer counts, as in `touchline scores`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.journeys import answers
from pipeline.journeys.facts import DAY_S, SETTINGS, Database, Filters, between, check_filters, column, parameters
from pipeline.journeys.impacts import Drivers, Exposed, drivers_of
from pipeline.scores.reading import DIMENSIONS, Question, read_scores

#: Things that are met before an answer; a moment is a touchpoint with how it ended.
MET: tuple[str, ...] = ("touchpoint", "moment", "stage", "channel", "mode")
#: Things that are told apart: one bit each, and one bit stays free. The rarer ones are left out.
MOST = 63
#: Days before an answer that are looked at.
WITHIN_DAYS = 30


@dataclass(frozen=True, slots=True)
class DriverQuestion:
    """What drives the answers of [start, end) (Unix seconds): things of the kind `of`, met `within_days` before.

    `of` is one of MET, or a dimension of the answer written as `answer.unit`. `filters` choose answers. `critical_top`
    and `critical_reach` say what is critical: among so many strongest drivers, met by such a share. Raises UsageError.
    """

    start: int
    end: int
    metric: str = "nps"
    of: str = "touchpoint"
    within_days: int = WITHIN_DAYS
    filters: Filters = field(default_factory=dict)
    critical_top: int = 3
    critical_reach: float = 0.1

    def __post_init__(self) -> None:
        answers.check_metric(self.metric)
        if self.own is None and self.of not in MET:
            raise UsageError(
                f"{self.of!r} drives nothing; met before an answer are {', '.join(MET)}, and answer.DIMENSION is what "
                f"the answer belongs to: {', '.join(DIMENSIONS)}"
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
    if question.own is not None:
        return drivers_of(_of_answers(client, question), question)
    given = _parameters(question)
    scales = client.query(answers.scales(question.metric, question.filters), given, SETTINGS, long=True)
    if not scales.width or not scales.height:
        return drivers_of(Exposed.nothing(), question)
    scale = scales["scale_"][0]
    names = _names(client, question, given)
    given |= {"scale": scale, "nodes": names, "places": list(range(len(names)))}
    found = client.query(_sql(question), given, SETTINGS, long=True)
    met, bins = found["met"].to_numpy(), found["bin_"].to_numpy()
    columns = (met[:, None] >> np.arange(len(names), dtype=np.uint64)[None, :]) & np.uint64(1)
    others = dict(zip(scales["scale_"].to_list()[1:], scales["n"].to_list()[1:], strict=True))
    return drivers_of(
        Exposed(
            scale, tuple(names), columns.astype(np.int64), bins, found["n"].to_numpy().astype(np.int64), True, others
        ),
        question,
    )


def _parameters(question: DriverQuestion) -> dict[str, Any]:
    begin = max(question.start - question.within_days * DAY_S, 0)
    return parameters(begin, question.end, question.filters) | {
        "start_ms": question.start * 1000,
        "within_ms": question.within_days * DAY_S * 1000,
        "metric": question.metric,
    }


def _thing(of: str) -> str:
    if of != "moment":
        return column(of)
    return "trimRight(concat(toString(touchpoint), ' ', transform(bin, [1, 2, 3], ['ok', 'fail', 'abandon'], '')))"


def _names(client: Database, question: DriverQuestion, given: dict[str, Any]) -> list[str]:
    found = client.query(
        f"""SELECT {_thing(question.of)} AS node, count() AS n FROM ledger FINAL
        WHERE metric = 'volume' AND {between()} AND node != '' GROUP BY node ORDER BY n DESC, node LIMIT {MOST}""",
        given,
        SETTINGS,
        long=True,
    )
    return found["node"].to_list() if found.width else []


def _sql(question: DriverQuestion) -> str:
    said = answers.last_answers(question.metric, question.filters)
    place = f"transform({_thing(question.of)}, {{nodes:Array(String)}}, {{places:Array(UInt8)}}, toUInt8({MOST}))"
    met = f"""SELECT brand, customer, groupBitOr(bitShiftLeft(toUInt64(1), place)) AS met
        FROM (SELECT brand, customer, occurred_ms, {place} AS place FROM ledger FINAL
              WHERE metric = 'volume' AND {between()}) AS touched
        INNER JOIN ({said}) AS answered USING (brand, customer)
        WHERE place < {MOST} AND occurred_ms <= said_ms AND occurred_ms > said_ms - {{within_ms:Int64}}
        GROUP BY brand, customer"""
    return f"""SELECT met, toInt64(bin_) AS bin_, count() AS n
        FROM ({said}) AS answered LEFT JOIN ({met}) AS meeting USING (brand, customer)
        GROUP BY met, bin_ ORDER BY met, bin_"""


def _of_answers(client: Database, question: DriverQuestion) -> Exposed:
    """The histograms of the answers by one of their own dimensions, as exposures: one row a value and bin."""
    own = question.own or ""

    def asked(*by: str) -> pl.DataFrame:
        return read_scores(client, Question(question.metric, question.start, question.end, None, by, question.filters))

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
