"""Reads what became of customers after they answered [I/O]: who came no more, who bought for how much.

Answers of one period, outcomes of the time after it: nothing that was known only later explains what came before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.journeys import answers
from pipeline.journeys.adjusted import adjusted_odds
from pipeline.journeys.contrasts import Ratio, risk
from pipeline.journeys.facts import DAY_S, SETTINGS, Database, Filters, between, check_filters, parameters, share
from pipeline.journeys.ranks import Correlation, spearman, tau_b
from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Moments, mean_and_variance, normal
from pipeline.scores.meters import ENOUGH
from schemas.limits import MAX_BINS

#: What a customer who left did not do in the time after: come at all, or buy.
LEFT: tuple[str, ...] = ("activity", "purchase")


@dataclass(frozen=True, slots=True)
class OutcomeQuestion:
    """The last answers of customers in [start, end) and what they did in the `horizon_days` after `end`.

    `now` (Unix seconds) is the present: the horizon must be over. `purchases` are the touchpoints whose value is spend;
    `currency` may be left out where there is one. Raises UsageError.
    """

    start: int
    end: int
    now: int
    metric: str = "nps"
    horizon_days: int = 30
    left: str = "activity"
    purchases: tuple[str, ...] = ()
    currency: str = ""
    filters: Filters = field(default_factory=dict)

    def __post_init__(self) -> None:
        answers.check_metric(self.metric)
        if self.left not in LEFT:
            raise UsageError(f"a customer has not left by {self.left!r}; there are {', '.join(LEFT)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        if not 1 <= self.horizon_days <= 730:
            raise UsageError(f"a horizon of {self.horizon_days} days; it must be from 1 to 730")
        if self.now < self.end + self.horizon_days * DAY_S:
            raise UsageError(
                f"what customers do in the {self.horizon_days} days after the end is not known yet: "
                "choose an earlier --to or a shorter --horizon"
            )
        check_filters(self.filters)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Classes of answers with who left and what was spent; how much answers tell about both."""

    question: OutcomeQuestion
    scale: str
    currency: str
    classes: list[dict[str, Any]]
    n: int
    measures: dict[str, dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        question = self.question
        return {
            "from": question.start,
            "to": question.end,
            "metric": question.metric,
            "scale": self.scale,
            "horizon_days": question.horizon_days,
            "left": question.left,
            "purchases": list(question.purchases),
            "currency": self.currency,
            "where": {name: list(values) for name, values in question.filters.items()},
            "n": self.n,
            "classes": self.classes,
            "measures": self.measures,
        }


def read_outcomes(client: Database, question: OutcomeQuestion) -> Outcomes:
    """Who left and what was spent by answer, with risk and odds (also with earlier spend and time known held
    equal) and rank correlations, or why there is none."""
    given = _parameters(question)
    scales = client.query(
        answers.scales(question.metric, question.filters, "{until_ms:Int64}"), given, SETTINGS, long=True
    )
    scale = scales["scale_"][0] if scales.height else ""
    currency = question.currency or _currency(client, given)
    found = client.query(_sql(question), given | {"scale": scale, "currency": currency}, SETTINGS, long=True)
    return outcomes_of(question, scale, currency, found)


def _parameters(question: OutcomeQuestion) -> dict[str, Any]:
    after = question.end + question.horizon_days * DAY_S
    return parameters(question.end, after, question.filters) | {
        "start_ms": question.start * 1000,
        "until_ms": question.end * 1000,
        "metric": question.metric,
        "purchases": list(question.purchases),
    }


#: A purchase: a touchpoint of that name that did not fail and was not abandoned.
_BOUGHT = "metric = 'volume' AND has({purchases:Array(String)}, toString(touchpoint)) AND bin NOT IN (2, 3)"


def _currency(client: Database, given: dict[str, Any]) -> str:
    found = client.query(
        f"""SELECT DISTINCT toString(currency) AS currency FROM ledger FINAL
        WHERE metric = 'volume' AND {_BOUGHT} AND value != 0 AND {between()} ORDER BY currency""",
        given,
        SETTINGS,
        long=True,
    )
    names = found["currency"].to_list() if found.width else []
    if len(names) > 1:
        raise UsageError(f"customers paid in {', '.join(names)}: choose one with --currency")
    return str(names[0]) if names else ""


def _sql(question: OutcomeQuestion) -> str:
    said = answers.last_answers(question.metric, question.filters, "{until_ms:Int64}")
    after = f"""SELECT brand, customer, count() AS events, countIf({_BOUGHT}) AS bought,
            sum(if({_BOUGHT} AND currency = {{currency:String}}, value, 0)) AS spent
        FROM ledger FINAL WHERE metric = 'volume' AND {between()} GROUP BY brand, customer"""
    # In steps of a doubling, so that the cells stay few; weeks since the first event of the period.
    spent = f"sum(if({_BOUGHT} AND currency = {{currency:String}}, value, 0))"
    earlier = f"""SELECT brand, customer, toInt8(round(log2(1 + greatest(0, {spent})))) AS had,
            toInt16(intDiv({{until_ms:Int64}} - min(occurred_ms), {7 * DAY_S * 1000})) AS weeks
        FROM ledger FINAL WHERE {between("{start_ms:Int64}", "{until_ms:Int64}")} GROUP BY brand, customer"""
    stayed = "events" if question.left == "activity" else "bought"
    # Whole units of the currency: ranks hardly change, and the cells stay few.
    return f"""SELECT toInt64(bin_) AS bin_, {stayed} = 0 AS gone, toInt64(round(spent)) AS spend,
            toInt64(had) AS had_, toInt64(weeks) AS weeks_, count() AS n
        FROM ({said}) AS answered LEFT JOIN ({after}) AS acted USING (brand, customer)
        LEFT JOIN ({earlier}) AS before USING (brand, customer)
        GROUP BY bin_, gone, spend, had_, weeks_ ORDER BY bin_, gone, spend, had_, weeks_"""


def outcomes_of(question: OutcomeQuestion, scale: str, currency: str, cells: pl.DataFrame) -> Outcomes:
    """From counted cells (bin_, gone, spend, had_, weeks_, n) to classes and measures."""
    if not cells.height:
        return Outcomes(question, scale, currency, [], 0, {})
    groups = answers.classes(question.metric, scale)
    classes = [_class(name, cells.filter(pl.col("bin_").is_in(bins))) for name, bins in groups]
    gone = [(int(row["left"]["hits"]), int(row["n"])) for row in classes]
    first, last = gone[0], gone[-1]
    order = [place for _, bins in groups for place in bins]
    measures: dict[str, dict[str, Any]] = {}
    compared = risk((first[0], last[0]), (first[1], last[1]))
    if isinstance(compared, Refusal):
        measures["risk_ratio"] = measures["odds_ratio"] = compared.document()
    else:
        measures["risk_ratio"] = _ratio(compared.ratio, compared.n)
        measures["odds_ratio"] = _ratio(compared.odds, compared.n)
    measures["adjusted_odds_ratio"] = _adjusted(cells, groups[0][1], groups[-1][1])
    measures["leaving"] = _correlation(tau_b(_table(cells, "gone", order)))
    measures["spending"] = _correlation(spearman(_table(cells, "spend", order)))
    return Outcomes(question, scale, currency, classes, int(cells["n"].sum()), measures)


def _adjusted(cells: pl.DataFrame, least: tuple[int, ...], most: tuple[int, ...]) -> dict[str, Any]:
    """Odds of leaving of the least against the most satisfied, with earlier spend and time known held equal."""
    ends = cells.filter(pl.col("bin_").is_in([*least, *most])).with_columns(pl.col("bin_").is_in(least).alias("least"))
    held = ends.group_by("least", "had_", "weeks_").agg(
        pl.col("n").sum().alias("total"), pl.col("n").filter(pl.col("gone") == 1).sum().alias("hits")
    )
    if not held.height:
        return Refusal("nobody gave an answer at either end", 0).document()
    held = held.sort("least", "had_", "weeks_")
    columns = held.select(pl.col("least", "had_").cast(pl.Float64), (pl.col("weeks_") + 1).log(2)).to_numpy()
    hits, totals = held["hits"].cast(pl.Float64).to_numpy(), held["total"].cast(pl.Float64).to_numpy()
    found = adjusted_odds(columns, hits, totals)
    return found.document() if isinstance(found, Refusal) else _ratio(found, int(totals.sum()))


def _class(name: str, cells: pl.DataFrame) -> dict[str, Any]:
    times, spend = cells["n"].to_numpy().astype(np.int64), cells["spend"].to_numpy()
    n, gone = int(times.sum()), int(cells.filter(pl.col("gone") == 1)["n"].sum())
    sums = Moments(*(np.array([value]) for value in (n, int((times * spend).sum()), int((times * spend**2).sum()))))
    spent: dict[str, Any] = {"value": None, "low": None, "high": None, "n": n, "status": "insufficient"}
    if n >= ENOUGH:
        sample = mean_and_variance(sums)
        low, high = normal(sample)
        spent |= {"value": float(sample.mean[0]), "low": float(low[0]), "high": float(high[0]), "status": "ok"}
    return {"class": name, "n": n, "left": {**share(gone, n), "hits": gone}, "spent": spent}


def _table(cells: pl.DataFrame, name: str, order: list[int]) -> np.ndarray:
    """Counts [answers in rising order, outcomes in rising order]."""
    values, columns = np.unique(cells[name].to_numpy(), return_inverse=True)
    table = np.zeros((MAX_BINS, len(values)), dtype=np.int64)
    np.add.at(table, (cells["bin_"].to_numpy(), columns), cells["n"].to_numpy().astype(np.int64))
    return table[order]


def _ratio(ratio: Ratio, n: int) -> dict[str, Any]:
    found = {"value": ratio.value, "low": ratio.low, "high": ratio.high}
    return {**found, "n": n, "padded": ratio.padded, "status": "ok"}


def _correlation(found: Correlation | Refusal) -> dict[str, Any]:
    if isinstance(found, Refusal):
        return found.document()
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "status": "ok"}
