"""`touchline scores`: any score, by any dimension, over any window, with n and interval."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.command.typed import Windows, conditions, moment, names
from pipeline.errors import SettingsError, Unavailable, UsageError
from pipeline.views import score_lines
from pipeline.views.score_lines import Extra

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.scores.definitions import Definitions
    from pipeline.scores.reading import Question
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, help="Read scores with n and interval.", no_args_is_help=False)

Csv = Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document with every field.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the question, its further columns and how to show them."""

    question: Question
    beside: str = ""
    voices: bool = False
    zone: str = "UTC"


@app.command("scores")
def scores(
    metric: Annotated[str, typer.Option(help="A score: nps, csat, ces, rating, sentiment, volume, or nps@2.")] = "",
    by: Annotated[str, typer.Option(help="Dimensions with commas between, e.g. channel,touchpoint.")] = "",
    grain: Annotated[str, typer.Option(help="Width of a window: 1m, 5m, 1h, 1d; `all` for one window.")] = "1h",
    since: Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -24h or now.")] = "-24h",
    until: Annotated[str, typer.Option("--to", help="Likewise; the end is not included.")] = "now",
    where: Annotated[list[str] | None, typer.Option(help="Only these, e.g. channel=web,app; repeatable.")] = None,
    hop: Annotated[str, typer.Option(help="Windows that overlap: of the grain, one every 15m.")] = "",
    session: Annotated[str, typer.Option(help="Windows that end after a pause of 30m.")] = "",
    tz: Annotated[str, typer.Option(help="Days and hours of a time zone, e.g. Europe/Berlin.")] = "",
    day_begins: Annotated[str, typer.Option(help="When a business day begins, e.g. 04:00.")] = "",
    voices: Annotated[bool, typer.Option("--voices", help="Beside it: one voice per customer and window.")] = False,
    beside: Annotated[str, typer.Option(help="Beside it: another version or score of the same answers.")] = "",
    as_of: Annotated[str, typer.Option(help="As it was known at a moment: what was published then.")] = "",
    definitions: Annotated[bool, typer.Option("--definitions", help="What each score means; nothing is read.")] = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Read scores: summed histograms per window and group, n and a 95 % interval beside each; nothing is averaged.

    Windows begin at multiples of the grain in UTC; --from and --to are widened to whole windows.
    Exit codes: 0 read (also when there is nothing to show), 2 usage, 4 ClickHouse did not answer.
    """

    def work(settings: Settings, known: Definitions) -> None:
        if as_json and as_csv:
            raise UsageError("--json and --csv exclude each other")
        if definitions:
            _define(known, as_json)
            return
        if not metric:
            raise UsageError(f"--metric is missing; there are {', '.join(known.leading)}")
        windows = Windows(grain, hop, session, tz, day_begins)
        question = asked((metric, names(by), where or []), (since, until), windows, known)
        if as_of:
            now = datetime.now(UTC)
            question = replace(question, as_of_ms=moment(as_of, now) * 1000)
        wanted = Asked(question, beside, voices or question.defined.weighting == "one_voice", tz or "UTC")
        rows, extras = _answer(settings, wanted, known)
        _tell(wanted, rows, extras, "json" if as_json else "csv" if as_csv else "")

    guarded(work)


def guarded(work: Callable[[Settings, Definitions], None]) -> None:
    """Runs what needs settings and definitions; every error of ours becomes its sentence and exit code."""
    from pipeline.scores.defined import definitions_of
    from pipeline.settings import load_settings

    try:
        settings = load_settings()
        work(settings, definitions_of(settings))
    except (UsageError, SettingsError) as error:
        note(f"touchline scores: {error}")
        raise typer.Exit(Exit.USAGE) from None
    except Unavailable as error:
        note(f"touchline scores: {error}\n{_fix(str(error))}")
        raise typer.Exit(Exit.UNREACHABLE) from None


def asked(
    what: tuple[str, tuple[str, ...], list[str]], span: tuple[str, str], windows: Windows, known: Definitions
) -> Question:
    """The question that was typed. Raises UsageError."""
    from pipeline.scores.reading import Question
    from pipeline.scores.spans import zone

    metric, by, where = what
    now = datetime.now(zone(windows.tz) if windows.tz else UTC)
    start, end = moment(span[0], now), moment(span[1], now)
    return Question(
        metric=metric,
        start=start,
        end=end,
        by=by,
        filters=conditions(where),
        definition=known.find(metric),
        **windows.fields((start, end)),
    )


def _answer(settings: Settings, wanted: Asked, known: Definitions) -> tuple[list[dict[str, Any]], list[Extra]]:
    from pipeline.clickhouse import ClickHouse

    client = ClickHouse(settings)
    try:
        return _rows(client, wanted, known)
    finally:
        client.close()


def _rows(client: ClickHouse, wanted: Asked, known: Definitions) -> tuple[list[dict[str, Any]], list[Extra]]:
    from pipeline.scores import reading
    from pipeline.views import beside

    question = wanted.question
    counted = reading.counted(client, question)
    rows = reading.scored(question, counted)
    extras: list[Extra] = []
    if wanted.beside:
        rows = beside.add_version(rows, question, counted, known.find(wanted.beside))
        extras += beside.version_columns(wanted.beside)
    if wanted.voices:
        rows = beside.add_voices(rows, question, reading.read_scores(client, replace(question, one_voice=True)))
        extras += beside.VOICES
    return rows.to_dicts(), extras


def _fix(text: str) -> str:
    """The command that puts right what ClickHouse complained about."""
    if re.search(r"UNKNOWN_(FUNCTION|TABLE)|unknown (function|table)|code:? (46|60)\b", text, re.IGNORECASE):
        return "its tables or functions are missing: run `touchline migrate`"
    return "start it with `touchline up`, or set TOUCHLINE_CLICKHOUSE_URL (`touchline doctor` says what is reachable)"


# What comes out.


def _define(known: Definitions, as_json: bool) -> None:
    from pipeline.views.defined_lines import definition_lines, definitions_document

    if as_json:
        emit_json(definitions_document(known))
    else:
        for line in definition_lines(known):
            emit(line)


def _tell(wanted: Asked, rows: list[dict[str, Any]], extras: list[Extra], form: str) -> None:
    question = wanted.question
    if form == "json":
        emit_json(score_lines.document(question, rows, extras))
    elif form == "csv":
        import csv

        csv.writer(sys.stdout, lineterminator="\n").writerows(score_lines.csv_rows(question, rows, extras))
    else:
        _show(wanted, rows, extras)


def _show(wanted: Asked, rows: list[dict[str, Any]], extras: list[Extra]) -> None:
    from pipeline.scores.spans import zone

    question = wanted.question
    if not rows:
        note(
            f"no {question.metric} between {score_lines.iso(question.first)} and {score_lines.iso(question.last)}"
            + (" as it was known then" if question.as_of_ms is not None else "")
        )
        return
    heads = score_lines.heads(question, extras, wanted.zone)
    found = score_lines.lines(question, rows, extras, zone(wanted.zone))
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        title = f"{question.metric}, n and 95 % interval"
        console.print(score_lines.table(title, heads, found, ascii_only="utf" not in console.encoding.lower()))
    else:
        for text in score_lines.aligned(heads, found):
            emit(text)
    if any((boxes := question.defined.boxes(row["scale"])) and boxes.better == "lower" for row in rows):
        note("scale 1-5 is CES 1.0 (effort): lower is better; 1-7 is CES 2.0 (ease): higher is better")
