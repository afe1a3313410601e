"""`touchline journeys`: where customers go, how long it takes, where they stop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.guarding import answering
from pipeline.command.output import emit, emit_json, note
from pipeline.command.tables import csv_table
from pipeline.command.typed import conditions, duration, moment
from pipeline.command.watching import Lasts, Watch, repeated
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.customers.registry import Registry
    from pipeline.journeys.flows import Journeys
    from pipeline.journeys.ways import JourneyQuestion
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, help="Read journeys.", no_args_is_help=False)

_DAY = 86_400


@app.command("journeys")
def journeys(
    of: Annotated[str, typer.Option(help="Steps: stage, touchpoint, channel or mode.")] = "stage",
    since: Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -30d or now.")] = "-30d",
    until: Annotated[str, typer.Option("--to", help="Likewise; what happens later is not seen.")] = "now",
    metric: Annotated[str, typer.Option(help="Score shown beside each step.")] = "nps",
    where: Annotated[list[str] | None, typer.Option(help="Only these events, e.g. brand=acme; repeatable.")] = None,
    arrived: Annotated[str, typer.Option(help="Touchpoints that are an arrival; the registry's by default.")] = "",
    silence: Annotated[str, typer.Option(help="What ends a journey, e.g. 14d; the registry's by default.")] = "",
    show: Annotated[str, typer.Option(help="Table of --csv: ways or steps.")] = "ways",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document with every field.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")] = False,
    watch: Watch = False,
    lasts: Lasts = 1e9,
) -> None:
    """Read journeys that began in the window: steps with reach, score, drop-off and removal effect, ways with times.

    A removal effect is an association: which share of the arrivals went through the step. Exit codes: 0 read (also
    when there is nothing to show), 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.journeys.ways import JourneyQuestion, read_journeys
    from pipeline.views import flat

    with answering("journeys", as_json, as_csv):
        flat.check_shown(show)
        registry = registry_of()
        declared = registry.journey
        names = tuple(name.strip() for name in arrived.split(",") if name.strip())

        def look() -> None:
            now = datetime.now(UTC)
            question = JourneyQuestion(
                start=moment(since, now),
                end=moment(until, now),
                of=of,
                metric=metric,
                arrived=names or declared.arrived,
                silence_days=whole_days(silence) if silence else declared.silence_days,
                filters=conditions(where or ()),
            )
            with connected() as client:
                found = read_journeys(client, question, registry)
            if as_json:
                emit_json(found.document())
            elif as_csv:
                csv_table(*flat.journeys(found, show))
            else:
                _show(question, found)

        repeated(look, lasts) if watch else look()


def _show(question: JourneyQuestion, found: Journeys) -> None:
    from pipeline.views.flow import drawn, headline

    if not found.totals["journeys"]:
        note("no journey of a known customer began in this time")
        return
    emit(headline(found.totals))
    emit("")
    for line in drawn(found.steps, found.ways, "utf" not in (sys.stdout.encoding or "").lower()):
        emit(line)
    if not question.arrived:
        note("no touchpoint counts as an arrival: name some with --arrived, or in the registry under [journey]")


# Shared with `touchline drivers` and `touchline customer`.


def whole_days(text: str) -> int:
    """Days of "14d" or "2w"; raises UsageError for what is no whole number of them."""
    days, rest = divmod(duration(text), _DAY)
    if rest or not days:
        raise UsageError(f"{text} is not a whole number of days; write 14d or the like")
    return days


@contextmanager
def connected(settings: Settings | None = None) -> Iterator[ClickHouse]:
    """A connection to ClickHouse for one command."""
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import load_settings

    client = ClickHouse(settings or load_settings())
    try:
        yield client
    finally:
        client.close()


def registry_of(settings: Settings | None = None) -> Registry:
    """The touchpoint registry in force."""
    from pipeline.customers.registry import DEFAULT_PATH
    from pipeline.customers.watcher import read_registry
    from pipeline.settings import load_settings

    return read_registry((settings or load_settings()).registry or DEFAULT_PATH)
