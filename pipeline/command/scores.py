"""`touchline scores`: any score, by any dimension, over any window, with n and interval."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.guarding import answering
from pipeline.command.output import emit, emit_json, note
from pipeline.command.typed import Windows, conditions, moment, names
from pipeline.errors import UsageError
from pipeline.views import score_lines
from pipeline.views.answered import Answer, More, chosen_view

if TYPE_CHECKING:
    from pipeline.scores.definitions import Definitions
    from pipeline.scores.reading import Question
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, help="Read scores with n and interval.", no_args_is_help=False)

#: Scores are published every few seconds; faster looks would show the same.
_EVERY_S = 2.0

Csv = Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document with every field.")]


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
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Beside it: the window before, last week, the trend, the smallest drop seen."),
    ] = False,
    rank: Annotated[
        bool, typer.Option("--rank", help="Order groups by their score, few answers drawn to the mean.")
    ] = False,
    tree: Annotated[str, typer.Option(help="Units summed up to their parents: as `then` or as `now`.")] = "",
    why: Annotated[bool, typer.Option("--why", help="Each window's numbers over time, and why they changed.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Live: drawn again every two seconds, until Ctrl-C.")] = False,
    lasts: Annotated[float, typer.Option("--for", help="With --watch: end after so many seconds.", min=0.1)] = 1e9,
    definitions: Annotated[bool, typer.Option("--definitions", help="What each score means; nothing is read.")] = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Read scores: summed histograms per window and group, n and a 95 % interval beside each; nothing is averaged.

    Windows begin at multiples of the grain in UTC; --from and --to are widened to whole windows.
    Exit codes: 0 read (also when there is nothing to show), 2 usage, 4 ClickHouse did not answer.
    """

    def work(settings: Settings, known: Definitions) -> None:
        from pipeline.scores.spans import zone

        if definitions:
            _define(known, as_json)
            return
        if not metric:
            raise UsageError(f"--metric is missing; there are {', '.join(known.leading)}")
        windows = Windows(grain, hop, session, tz, day_begins)

        def ask() -> Question:
            return asked((metric, names(by), where or []), (since, until), windows, known)

        if watch:
            _watch(settings, ask, tz or "UTC", lasts)
            return
        question = ask()
        if as_of:
            now = datetime.now(zone(tz) if tz else UTC)
            question = replace(question, as_of_ms=moment(as_of, now) * 1000)
        if why:
            _explain(settings, question, tz or "UTC", as_json)
            return
        more = More(beside, voices, compare, rank, chosen_view(tree), tz or "UTC")
        _tell(_answer(settings, question, more, known), more.tz, "json" if as_json else "csv" if as_csv else "")

    with answering("scores", as_json, as_csv):
        from pipeline.scores.defined import definitions_of
        from pipeline.settings import load_settings

        settings = load_settings()
        work(settings, definitions_of(settings))


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


def _answer(settings: Settings, question: Question, more: More, known: Definitions) -> Answer:
    from pipeline.clickhouse import ClickHouse
    from pipeline.scores.backlog import catching_up
    from pipeline.views.answers import answer

    client = ClickHouse(settings)
    try:
        found = answer(client, replace(question, least_by_agent=settings.agent_answers), more, known)
        return replace(found, behind=catching_up(client))
    finally:
        client.close()


# What comes out.


def _define(known: Definitions, as_json: bool) -> None:
    from pipeline.views.defined_lines import definition_lines, definitions_document

    if as_json:
        emit_json(definitions_document(known))
    else:
        for line in definition_lines(known):
            emit(line)


def _explain(settings: Settings, question: Question, zone_name: str, as_json: bool) -> None:
    from pipeline.clickhouse import ClickHouse
    from pipeline.scores.history import histories, too_late
    from pipeline.scores.spans import zone
    from pipeline.views.history_lines import history_document, history_lines

    client = ClickHouse(settings)
    try:
        found, late = histories(client, question), too_late(client, question)
    finally:
        client.close()
    if as_json:
        emit_json(history_document(found, late))
        return
    for line in history_lines(found, late, zone(zone_name)):
        emit(line)


def _watch(settings: Settings, ask: Callable[[], Question], tz: str, lasts: float) -> None:
    """Draws again and again; a question is asked anew each time, so that -24h and now move on."""
    from rich.console import Console
    from rich.live import Live

    from pipeline.clickhouse import ClickHouse
    from pipeline.scores.backlog import catching_up, sentence
    from pipeline.scores.reading import read_scores
    from pipeline.scores.spans import zone
    from pipeline.views.watching import Watched, news, watched, watched_table

    client, console, said = ClickHouse(settings), Console(), {}  # type: ignore[var-annotated]
    plain = "utf" not in console.encoding.lower()

    def look() -> tuple[Question, list[Watched]]:
        question = replace(ask(), least_by_agent=settings.agent_answers)
        return question, watched(question, read_scores(client, question).to_dicts(), zone(tz))

    ends = time.monotonic() + lasts
    try:
        question, found = look()
        if not sys.stdout.isatty():
            while True:
                for line in news(question, found, said, datetime.now(zone(tz))):
                    emit(line)
                if not _rested(ends):
                    return
                question, found = look()
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while True:
                behind = catching_up(client)
                said_behind = sentence(behind) if behind else ""
                now = datetime.now(zone(tz))
                drawn = watched_table(question, found, now, plain=plain, width=console.width, behind=said_behind)
                live.update(drawn, refresh=True)
                if not _rested(ends):
                    return
                question, found = look()
    except KeyboardInterrupt:
        return
    finally:
        client.close()


def _rested(ends: float) -> bool:
    """Waits for the next look; False when the time is up."""
    left = ends - time.monotonic()
    time.sleep(max(0.0, min(_EVERY_S, left)))
    return left > _EVERY_S


def _tell(found: Answer, tz: str, form: str) -> None:
    question, rows, extras = found.question, found.rows, found.extras
    if form == "json":
        emit_json(score_lines.document(question, rows, extras, found.behind))
    elif form == "csv":
        import csv

        csv.writer(sys.stdout, lineterminator="\n").writerows(score_lines.csv_rows(question, rows, extras))
    else:
        _show(found, tz)
    if found.behind and form != "json":
        from pipeline.scores.backlog import sentence

        note(sentence(found.behind))


def _show(found: Answer, tz: str) -> None:
    from pipeline.scores.spans import zone

    question, rows = found.question, found.rows
    if not rows:
        note(
            f"no {question.metric} between {score_lines.iso(question.first)} and {score_lines.iso(question.last)}"
            + (" as it was known then" if question.as_of_ms is not None else "")
        )
        return
    heads = score_lines.heads(question, found.extras, tz)
    lines = score_lines.lines(question, rows, found.extras, zone(tz))
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        title = f"{question.metric}, n and 95 % interval"
        console.print(score_lines.table(title, heads, lines, ascii_only="utf" not in console.encoding.lower()))
    else:
        for text in score_lines.aligned(heads, lines):
            emit(text)
    if question.as_of_ms is not None:
        note(f"as it was counted when the newest window before {score_lines.iso(question.as_of_ms // 1000)} was closed")
    if any((boxes := question.defined.boxes(row["scale"])) and boxes.better == "lower" for row in rows):
        note("scale 1-5 is CES 1.0 (effort): lower is better; 1-7 is CES 2.0 (ease): higher is better")
