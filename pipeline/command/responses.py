"""`touchline waits` and `touchline gap`: how long customers wait, and whether the house knows how they fare."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.guarding import answering
from pipeline.command.journeys import connected, whole_days
from pipeline.command.output import emit, emit_json, note
from pipeline.command.tables import columns, csv_table
from pipeline.command.typed import conditions, moment
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.journeys.responses import WaitTimes

app = typer.Typer(rich_markup_mode=None, help="Read waits and gaps.", no_args_is_help=False)

_Since = Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -30d or now.")]
_Until = Annotated[str, typer.Option("--to", help="Likewise; the end is not included.")]
_Where = Annotated[list[str] | None, typer.Option(help="Only these events, e.g. brand=acme; repeatable.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document with every field.")]


@app.command("waits")
def waits(
    begin: Annotated[str, typer.Argument(help="The touchpoint that begins a wait, e.g. survey_sent.")],
    finish: Annotated[str, typer.Argument(help="What ends it: a touchpoint, or `feedback` for any answer.")],
    since: _Since = "-30d",
    until: _Until = "now",
    horizon: Annotated[str, typer.Option(help="In which it should come; another begin in it is a reminder.")] = "7d",
    cohort: Annotated[str, typer.Option(help="Cases that began in the same day or week; or all.")] = "all",
    where: _Where = None,
    as_json: _Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")] = False,
) -> None:
    """Read how many come within the horizon, and how long it takes, by the cohort in which the wait began.

    `waits survey_sent feedback` is the response rate. Who still waits is censored (Kaplan-Meier). Exit codes: 0 read,
    2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.journeys.responses import WaitQuestion, read_waits

    with answering("waits", as_json, as_csv):
        now = datetime.now(UTC)
        question = WaitQuestion(
            begin=begin,
            finish=finish,
            start=moment(since, now),
            end=moment(until, now),
            now=int(now.timestamp()),
            horizon_days=whole_days(horizon),
            cohort=cohort,
            filters=conditions(where or ()),
        )
        with connected() as client:
            found = read_waits(client, question)
        if as_json:
            emit_json(found.document())
        elif as_csv:
            heads = ("from", "to", "n", "open", "within", "low", "high", "median_seconds", "p90_seconds")
            csv_table(heads, (_cells(row) for row in found.cohorts))
        else:
            _show(found)


@app.command("gap")
def gap(
    believed: Annotated[str, typer.Argument(help="Who believes that the promise is kept, of how many: 290/362.")],
    metric: Annotated[str, typer.Option(help="What customers were asked; its top box counts.")] = "csat",
    since: _Since = "-30d",
    until: _Until = "now",
    where: _Where = None,
    as_json: _Json = False,
) -> None:
    """Read the delivery gap: the share of your staff that believes it, less the share of customers that say it.

    Exit codes: 0 read, 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.journeys.responses import GapQuestion, read_gap

    with answering("gap", as_json, False):
        now, (hits, asked) = datetime.now(UTC), _fraction(believed)
        question = GapQuestion(hits, asked, moment(since, now), moment(until, now), metric, conditions(where or ()))
        with connected() as client:
            found = read_gap(client, question)
        if as_json:
            emit_json(found)
        elif found["status"] != "ok":
            note(f"no gap: {found['reason']}")
        else:
            sides = f"{100 * found['believed']:.1f} % of {found['asked']:,} believe it, "
            sides += f"{100 * found['said']:.1f} % of {found['n']:,} customers say it"
            ends = f"{100 * found['low']:+.1f} .. {100 * found['high']:+.1f}"
            emit(f"gap {100 * found['value']:+.1f} percentage points ({ends}): {sides}")


def _fraction(text: str) -> tuple[int, int]:
    hits, slash, total = text.partition("/")
    if not (slash and hits.isdecimal() and total.isdecimal()):
        raise UsageError(f"{text!r} is no share; write how many of how many, such as 290/362")
    return int(hits), int(total)


def _cells(row: dict[str, Any]) -> list[Any]:
    within = row["within"]
    shares = [within["value"], within["low"], within["high"]]
    return [row["from"], row["to"], row["n"], row["open"], *shares, row["median_seconds"], row["p90_seconds"]]


def _show(found: WaitTimes) -> None:
    from pipeline.views.flow import lasting, per_cent

    if not found.cohorts:
        note(f"no {found.question.begin} of a known customer in this time")
        return
    rows = [
        [
            datetime.fromtimestamp(row["from"], UTC).strftime("%Y-%m-%d %H:%M"),
            f"{row['n']:,}",
            f"{row['open']:,}",
            "insufficient" if row["within"]["value"] is None else per_cent(row["within"]),
            lasting(row["median_seconds"]) or "not known",
            lasting(row["p90_seconds"]) or "not known",
        ]
        for row in found.cohorts
    ]
    within = f"within {found.question.horizon_days} d"
    columns(("from (UTC)", "n", "open", within, "median", "nine of ten"), rows)
