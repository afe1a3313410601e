"""`touchline drivers` and `touchline consistency`: what moves a score, what it costs, and where it differs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.guarding import answering
from pipeline.command.journeys import connected, registry_of, whole_days
from pipeline.command.output import emit, emit_json, note
from pipeline.command.tables import columns, csv_table
from pipeline.command.typed import conditions, duration, moment
from pipeline.command.watching import Lasts, Watch, repeated
from pipeline.views import flat

if TYPE_CHECKING:
    from pipeline.journeys.evenness import Evenness
    from pipeline.journeys.impacts import Drivers
    from pipeline.journeys.outcomes import Outcomes

app = typer.Typer(rich_markup_mode=None, help="Read what moves a score.", no_args_is_help=False)

_Metric = Annotated[str, typer.Option(help="nps, csat, ces, rating or sentiment.")]
_Since = Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -30d or now.")]
_Until = Annotated[str, typer.Option("--to", help="Likewise; the end is not included.")]
_Where = Annotated[list[str] | None, typer.Option(help="Only these answers, e.g. brand=acme; repeatable.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document with every field.")]
_Csv = Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")]


@app.command("drivers")
def drivers(
    metric: _Metric = "nps",
    of: Annotated[
        str,
        typer.Option(
            help="touchpoint, moment, stage, channel, mode (met before); topic (of its text); answer.unit ..."
        ),
    ] = "touchpoint",
    since: _Since = "-30d",
    until: _Until = "now",
    within: Annotated[str, typer.Option(help="How long before the answer something was met.")] = "30d",
    where: _Where = None,
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Instead: who left, what was spent, by answer.")] = False,
    horizon: Annotated[str, typer.Option(help="With --outcomes: how long after --to is looked at.")] = "30d",
    left: Annotated[str, typer.Option(help="With --outcomes: left means no `activity` or no `purchase`.")] = "activity",
    currency: Annotated[str, typer.Option(help="With --outcomes: whose spend; needed where there are several.")] = "",
    as_json: _Json = False,
    as_csv: _Csv = False,
    watch: Watch = False,
    lasts: Lasts = 1e9,
) -> None:
    """Read drivers of a score: reach, lift, leave-one-out impact, relative weight, each with n and a 95 % interval.

    A driver goes along with the score; that it causes it is for you to find out. Exit codes: 0 read, 2 usage,
    4 ClickHouse did not answer.
    """
    from pipeline.journeys.drivers import DriverQuestion, read_drivers
    from pipeline.journeys.outcomes import OutcomeQuestion, read_outcomes
    from pipeline.settings import load_settings

    def look() -> None:
        now = datetime.now(UTC)
        span, chosen = (moment(since, now), moment(until, now)), conditions(where or ())
        if not outcomes:
            question = DriverQuestion(
                *span,
                metric=metric,
                of=of,
                within_days=whole_days(within),
                filters=chosen,
                least_by_agent=load_settings().agent_answers,
            )
            with connected() as client:
                _drivers(read_drivers(client, question), as_json, as_csv)
            return
        asked = OutcomeQuestion(
            *span,
            now=int(now.timestamp()),
            metric=metric,
            horizon_days=whole_days(horizon),
            left=left,
            purchases=registry_of().journey.arrived,
            currency=currency,
            filters=chosen,
        )
        with connected() as client:
            _outcomes(read_outcomes(client, asked), as_json, as_csv)

    with answering("drivers", as_json, as_csv):
        repeated(look, lasts) if watch else look()


@app.command("consistency")
def consistency(
    by: Annotated[str, typer.Option(help="Between what: unit, channel, product or any other dimension.")] = "unit",
    metric: _Metric = "nps",
    since: _Since = "-30d",
    until: _Until = "now",
    where: _Where = None,
    grain: Annotated[str, typer.Option(help="Instead: the index of each window of this width, e.g. 7d.")] = "",
    as_json: _Json = False,
    as_csv: _Csv = False,
) -> None:
    """Read how even a score is: 100 where all groups are alike, with the noise of few answers taken out.

    Exit codes: 0 read, 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.journeys.evenness import EvennessQuestion, read_evenness, read_trend
    from pipeline.settings import load_settings

    with answering("consistency", as_json, as_csv):
        now = datetime.now(UTC)
        least = load_settings().agent_answers
        asked = EvennessQuestion(moment(since, now), moment(until, now), by, metric, conditions(where or ()), least)
        with connected() as client:
            if grain:
                _trend(read_trend(client, asked, duration(grain)), as_json, as_csv)
            else:
                _evenness(read_evenness(client, asked), as_json, as_csv)


def _drivers(found: Drivers, as_json: bool, as_csv: bool) -> None:
    if as_json:
        emit_json(found.document())
        return
    if as_csv:
        csv_table(*flat.drivers(found))
        return
    if not found.drivers:
        note(f"no {found.question.metric} answer of a known customer in this time, or nothing was met before it")
        return
    unit = found.whole["unit"]
    emit(f"{found.question.metric} {_value(found.whole, 'score', unit)}, n {found.whole['n']:,}")
    rows = [
        [row["driver"], f"{row['met']['n']:,}", _value(row["met"], "score", unit), *_intervals(row, unit), _words(row)]
        for row in found.drivers
    ]
    columns(("driver", "met by", "score", "lift", "impact", "weight", "what"), rows)
    if found.weights:
        note(
            f"no weights: {found.weights.reason}"
            + (f"; {found.weights.needed} are needed" if found.weights.needed else "")
        )


def _intervals(row: dict[str, Any], unit: str) -> list[str]:
    shown = [_ranged(row[name], unit, change=True) for name in ("lift", "impact")]
    weight = row["weight"]
    known = weight["value"] is not None
    return [*shown, f"{weight['value']:.3f} ({weight['low']:.3f} .. {weight['high']:.3f})" if known else "-"]


def _words(row: dict[str, Any]) -> str:
    words = [row["quadrant"] or "insufficient"]
    words += [name for name in ("critical", "pain") if row[name]]
    words += [f"goes along with {row['goes_along_with']}"] if row["goes_along_with"] else []
    return ", ".join(words)


def _value(reading: dict[str, Any], name: str, unit: str) -> str:
    from pipeline.views.figures import number

    return "insufficient" if reading[name] is None else number(reading[name], unit)


def _ranged(figure: dict[str, Any], unit: str, *, change: bool = False) -> str:
    from pipeline.views.figures import difference, number

    if figure["value"] is None:
        return f"insufficient (n {figure['n']:,})"
    value, low, high = ((difference if change else number)(figure[name], unit) for name in ("value", "low", "high"))
    return f"{value} ({low} .. {high})"


def _outcomes(found: Outcomes, as_json: bool, as_csv: bool) -> None:
    if as_json:
        emit_json(found.document())
        return
    if as_csv:
        heads = ("class", "n", "left", "left_share", "left_low", "left_high", "spent", "spent_low", "spent_high")
        rows = [
            [row["class"], row["n"], row["left"]["hits"]]
            + [row[name][end] for name in ("left", "spent") for end in ("value", "low", "high")]
            for row in found.classes
        ]
        csv_table(heads, rows)
        return
    if not found.classes:
        note(f"no {found.question.metric} answer of a known customer in this time")
        return
    rows = [
        [row["class"], f"{row['n']:,}", _ranged(row["left"], "share"), _ranged(row["spent"], "mean")]
        for row in found.classes
    ]
    days = found.question.horizon_days
    columns(("answer", "n", f"left within {days} d", f"spent within {days} d {found.currency}".rstrip()), rows)
    emit("")
    for name, figure in found.measures.items():
        known = "value" in figure
        text = _ranged(figure, "mean") if known else f"insufficient: {figure['reason']}"
        emit(f"{_MEASURES[name]}: {text}" + (f", n {figure['n']:,}" if known else ""))


_MEASURES = {
    "risk_ratio": "risk of leaving, least against most satisfied",
    "odds_ratio": "odds of leaving, least against most satisfied",
    "adjusted_odds_ratio": "the same, earlier spend and time known held equal",
    "leaving": "answer and leaving (Kendall's tau-b)",
    "spending": "answer and spending (Spearman's rho)",
}


def _evenness(found: Evenness, as_json: bool, as_csv: bool) -> None:
    if as_json:
        emit_json(found.document())
        return
    if as_csv:
        csv_table(*flat.consistency(found))
        return
    index = found.index
    if index["status"] != "ok":
        note(f"no index: {index['reason']}")
    else:
        pair = index["worst_pair"]
        verdict = "uneven beyond chance" if index["uneven"] else "no more uneven than chance"
        emit(
            f"consistency {index['value']:.1f} ({index['low']:.1f} .. {index['high']:.1f}), {index['groups']} groups, "
            f"n {index['n']:,}: {verdict} (p {index['p']:.2g})"
        )
        apart = _ranged(pair["difference"], _unit(found), change=True)
        emit(f"farthest apart: {pair['low']} and {pair['high']}, {apart}")
    rows = [
        [
            row["group"],
            f"{row['n']:,}",
            _value(row, "score", row["unit"]),
            "" if row["score"] is None else f"{_value(row, 'low', row['unit'])} .. {_value(row, 'high', row['unit'])}",
            "" if row["shrunk"] is None else _value(row, "shrunk", row["unit"]),
        ]
        for row in found.groups
    ]
    if rows:
        columns((found.question.by, "n", "score", "95 % interval", "shrunken"), rows)


def _trend(found: list[dict[str, Any]], as_json: bool, as_csv: bool) -> None:
    """The index over time: is it getting more even or less?"""
    if as_json:
        emit_json({"windows": found})
        return
    figures = ("value", "low", "high", "groups", "n", "p")
    if as_csv:
        csv_table(
            ("start", *figures, "status"), ([row.get(name) for name in ("start", *figures, "status")] for row in found)
        )
        return
    if not found:
        note("no answer in this time")
        return
    rows = []
    for row in found:
        day = datetime.fromtimestamp(row["start"], UTC).strftime("%Y-%m-%d %H:%M")
        if row["status"] != "ok":
            rows.append([day, "insufficient", "", "", "", row["reason"]])
            continue
        interval = f"{row['low']:.1f} .. {row['high']:.1f}"
        said = f"{row['worst_pair']['low']} and {row['worst_pair']['high']} farthest apart" if row["uneven"] else "even"
        rows.append([day, f"{row['value']:.1f}", interval, str(row["groups"]), f"{row['n']:,}", said])
    columns(("from (UTC)", "consistency", "95 % interval", "groups", "n", ""), rows)


def _unit(found: Evenness) -> str:
    return str(found.groups[0]["unit"])
