"""`touchline scores`: any score, by any dimension, over any window, with n and interval."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import SettingsError, Unavailable, UsageError
from pipeline.views.figures import bar, number, place

if TYPE_CHECKING:
    from pipeline.scores.reading import Question

app = typer.Typer(rich_markup_mode=None, help="Read scores with n and interval.", no_args_is_help=False)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: Width of the interval picture in characters: fits beside four dimensions on 120 columns.
_WIDTH = 25


@dataclass(frozen=True, slots=True)
class Line:
    """One score as people read it: cells of text, and where the interval lies on the metric's axis (0..1)."""

    cells: tuple[str, ...]
    low: float | None
    score: float | None
    high: float | None


@app.command("scores")
def scores(
    metric: Annotated[str, typer.Option(help="nps, csat, ces, rating, sentiment or volume.")],
    by: Annotated[str, typer.Option(help="Dimensions with commas between, e.g. channel,touchpoint.")] = "",
    grain: Annotated[str, typer.Option(help="Width of a window: 1m, 5m, 1h, 1d; `all` for one window.")] = "1h",
    since: Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -24h or now.")] = "-24h",
    until: Annotated[str, typer.Option("--to", help="Likewise; the end is not included.")] = "now",
    where: Annotated[list[str] | None, typer.Option(help="Only these, e.g. channel=web,app; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document with every field.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")] = False,
) -> None:
    """Read scores: summed histograms per window and group, n and a 95 % interval beside each; nothing is averaged.

    Windows begin at multiples of the grain in UTC; --from and --to are widened to whole windows.
    Exit codes: 0 read (also when there is nothing to show), 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.scores.reading import Question

    try:
        if as_json and as_csv:
            raise UsageError("--json and --csv exclude each other")
        now = datetime.now(UTC)
        question = Question(
            metric=metric,
            start=moment(since, now),
            end=moment(until, now),
            grain_s=None if grain == "all" else duration(grain),
            by=tuple(name.strip() for name in by.split(",") if name.strip()),
            filters=conditions(where or ()),
        )
        rows = _read(question)
    except (UsageError, SettingsError) as error:
        note(f"touchline scores: {error}")
        raise typer.Exit(Exit.USAGE) from None
    except Unavailable as error:
        note(f"touchline scores: {error}\n{_fix(str(error))}")
        raise typer.Exit(Exit.UNREACHABLE) from None
    if as_json:
        emit_json(document(question, rows))
    elif as_csv:
        _csv(question, rows)
    else:
        _show(question, rows)


def _read(question: Question) -> list[dict[str, Any]]:
    from pipeline.clickhouse import ClickHouse
    from pipeline.scores.reading import read_scores
    from pipeline.settings import load_settings

    client = ClickHouse(load_settings())
    try:
        return read_scores(client, question).to_dicts()
    finally:
        client.close()


def _fix(text: str) -> str:
    """The command that puts right what ClickHouse complained about."""
    if re.search(r"UNKNOWN_(FUNCTION|TABLE)|unknown (function|table)|code:? (46|60)\b", text, re.IGNORECASE):
        return "its tables or functions are missing: run `touchline migrate`"
    return "start it with `touchline up`, or set TOUCHLINE_CLICKHOUSE_URL (`touchline doctor` says what is reachable)"


# What a person may type.


def duration(text: str) -> int:
    """Seconds of "90s", "5m", "1h", "7d", "2w"; raises UsageError."""
    found = re.fullmatch(r"(\d+)([smhdw])", text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a duration; write 5m, 1h, 1d or the like")
    return int(found[1]) * _SECONDS[found[2]]


def moment(text: str, now: datetime) -> int:
    """Unix second of an ISO time, "now" or "-24h"; a time without a zone is UTC. Raises UsageError."""
    text = text.strip()
    if text == "now":
        return int(now.timestamp())
    if text.startswith("-"):
        return int(now.timestamp()) - duration(text[1:])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write 2026-05-01T08:00, -24h or now") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def conditions(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """("channel=web,app",) as {"channel": ("web", "app")}; a name given twice adds values. Raises UsageError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"--where {text!r} has no value; write --where channel=web")
        found[name.strip()] = found.get(name.strip(), ()) + tuple(value.strip() for value in values.split(","))
    return found


# What comes out.


def document(question: Question, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer as one JSON document; each score has the fields of schemas/outgoing.py `Score` that a reading has."""
    return {
        "metric": question.metric,
        "by": list(question.by),
        "from": _iso(question.first),
        "to": _iso(question.last),
        "seconds": question.seconds,
        "where": {name: list(values) for name, values in question.filters.items()},
        "source": "ledger" if question.cut is None else "windows",
        "scores": [_entry(question, row) for row in rows],
    }


def _entry(question: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("n", "score", "low", "high")
    return {
        "scope": {name: row[name] for name in question.by},
        "metric": question.metric,
        "scale": row["scale"],
        "start": _iso(row["start"]),
        "seconds": row["seconds"],
        **{name: row[name] for name in names},
        "unit": row["score_unit"],
        "method": row["method"],
        "status": row["status"],
        "histogram": row["histogram"],
        "s1": row["s1"],
        "s2": row["s2"],
    }


def _csv(question: Question, rows: list[dict[str, Any]]) -> None:
    import csv

    table = csv.writer(sys.stdout, lineterminator="\n")
    columns = ("n", "score", "low", "high", "score_unit", "method", "status")
    table.writerow(["start", "seconds", "metric", *question.by, "scale", *columns, *(f"b{i}" for i in range(11))])
    for row in rows:
        names = [row[name] for name in (*question.by, "scale", *columns)]
        table.writerow([_iso(row["start"]), row["seconds"], question.metric, *names, *row["histogram"]])


def heads(question: Question) -> tuple[str, ...]:
    """Names of the columns of `lines`."""
    return ("from (UTC)", *question.by, "scale", "score", "n", "95 % interval")


def lines(question: Question, rows: list[dict[str, Any]]) -> list[Line]:
    """Rows as people read them; a score without enough answers says so and shows n only."""
    return [_line(question, row) for row in rows]


def _line(question: Question, row: Mapping[str, Any]) -> Line:
    start = datetime.fromtimestamp(row["start"], UTC).strftime("%Y-%m-%d %H:%M")
    places = [row[name] or "-" for name in question.by]
    if row["score"] is None:
        return Line((start, *places, row["scale"], "insufficient", str(row["n"]), ""), None, None, None)
    unit = row["score_unit"]
    interval = ""
    ends: tuple[float | None, float | None] = (None, None)
    if row["low"] is not None:
        interval = f"{number(row['low'], unit)} .. {number(row['high'], unit)}"
        ends = (place(row["low"], unit, row["scale"]), place(row["high"], unit, row["scale"]))
    cells = (start, *places, row["scale"], number(row["score"], unit), str(row["n"]), interval)
    return Line(cells, ends[0], place(row["score"], unit, row["scale"]), ends[1])


def picture(line: Line, plain: bool) -> str:
    """The interval on its axis: `--|----o---` with a mark at the score; empty without an interval."""
    if line.low is None or line.high is None or line.score is None:
        return ""
    return bar((line.low, line.score, line.high), _WIDTH, plain)


def _show(question: Question, rows: list[dict[str, Any]]) -> None:
    if not rows:
        note(f"no {question.metric} between {_iso(question.first)} and {_iso(question.last)}")
        return
    if sys.stdout.isatty():
        _table(question, lines(question, rows))
    else:
        for text in aligned(heads(question), lines(question, rows)):
            emit(text)
    if question.metric == "ces" and any(row["scale"] == "1-5" for row in rows):
        note("scale 1-5 is CES 1.0 (effort): lower is better; 1-7 is CES 2.0 (ease): higher is better")


def aligned(names: tuple[str, ...], shown: list[Line]) -> list[str]:
    """Plain lines with columns under each other."""
    cells = [names, *(line.cells for line in shown)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    right = len(names) - 3  # score, n and the interval stand at the right edge of their columns
    return [
        "  ".join(
            text.rjust(width) if i >= right else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _table(question: Question, shown: list[Line]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(title=f"{question.metric}, n and 95 % interval", box=None, header_style="bold", pad_edge=False)
    names = heads(question)
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i >= len(names) - 3 else "left", no_wrap=i >= len(names) - 3)
    table.add_column("", no_wrap=True)
    plain = "utf" not in console.encoding.lower()
    for line in shown:
        cells = (*(escape(text) for text in line.cells), picture(line, plain))
        table.add_row(*cells, style="bright_black" if line.score is None else "")
    console.print(table)


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
