"""Scores as people and programs read them: one line a score, its interval as a picture, further columns beside it.

Pure but for `table`, which a terminal shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from pipeline.views.figures import bar, harmless, number, place

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.scores.reading import Question

#: Width of the interval picture in characters: fits beside four dimensions on 120 columns.
_WIDTH = 25
#: What of a row is printed as CSV beside window, group and histogram.
_CSV = ("n", "score", "low", "high", "score_unit", "method", "status")


@dataclass(frozen=True, slots=True)
class Extra:
    """A further column: its heading, its text from a row, and the row's keys that a program gets."""

    head: str
    text: Callable[[Mapping[str, Any]], str]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One score as people read it: cells of text, and where the interval lies on the metric's axis (0..1)."""

    cells: tuple[str, ...]
    low: float | None
    score: float | None
    high: float | None


def iso(second: int, zone: tzinfo = UTC) -> str:
    """A Unix second as ISO 8601, with Z for UTC."""
    return datetime.fromtimestamp(second, zone).isoformat().replace("+00:00", "Z")


def document(
    question: Question,
    rows: Sequence[Mapping[str, Any]],
    extras: Sequence[Extra] = (),
    behind: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer as one JSON document; each score has the fields of schemas/outgoing.py `Score` that a reading has.

    `behind` is what pipeline/scores/backlog.py says while the stream is catching up.
    """
    return {
        "metric": question.metric,
        "definition": question.defined.name,
        "by": list(question.by),
        "from": iso(question.first),
        "to": iso(question.last),
        "seconds": question.seconds,
        "where": {name: list(values) for name, values in question.filters.items()},
        "source": "ledger" if question.cut is None else "windows",
        "as_of": None if question.as_of_ms is None else iso(question.as_of_ms // 1000),
        "catching_up": behind,
        "scores": [entry(question, row, extras) for row in rows],
    }


def entry(question: Question, row: Mapping[str, Any], extras: Sequence[Extra] = ()) -> dict[str, Any]:
    """One score, with the fields of schemas/outgoing.py `Score` that a reading has."""
    return {
        "scope": {name: row[name] for name in question.by},
        "metric": question.metric,
        "scale": row["scale"],
        "start": iso(row["start"]),
        "seconds": row["seconds"],
        **{name: row[name] for name in ("n", "score", "low", "high")},
        "unit": row["score_unit"],
        "method": row["method"],
        "status": row["status"],
        "histogram": row["histogram"],
        "s1": row["s1"],
        "s2": row["s2"],
        "detectable": row.get("detectable"),
        **{key: row.get(key) for extra in extras for key in extra.keys},
    }


def csv_rows(question: Question, rows: list[dict[str, Any]], extras: Sequence[Extra] = ()) -> Iterable[list[Any]]:
    """Head and rows for a file of comma-separated values; what a spreadsheet would run is made plain text."""
    keys = [key for extra in extras for key in extra.keys]
    yield ["start", "seconds", "metric", *question.by, "scale", *_CSV, *keys, *(f"b{i}" for i in range(11))]
    for row in rows:
        cells = [row[name] for name in (*question.by, "scale", *_CSV)] + [row.get(key) for key in keys]
        yield [iso(row["start"]), row["seconds"], question.metric, *map(harmless, cells), *row["histogram"]]


def heads(question: Question, extras: Sequence[Extra] = (), zone: str = "UTC") -> tuple[str, ...]:
    """Names of the columns of `lines`."""
    return (f"from ({zone})", *question.by, "scale", "score", "n", "95 % interval", *(extra.head for extra in extras))


def lines(
    question: Question, rows: list[dict[str, Any]], extras: Sequence[Extra] = (), zone: tzinfo = UTC
) -> list[Line]:
    """Rows as people read them; a score without enough answers says so and shows n only."""
    return [_line(question, row, extras, zone) for row in rows]


def _line(question: Question, row: Mapping[str, Any], extras: Sequence[Extra], zone: tzinfo) -> Line:
    start = datetime.fromtimestamp(row["start"], zone).strftime("%Y-%m-%d %H:%M")
    # A unit of a tree is shown indented under its parent.
    places = ["  " * row.get("depth", 0) * (name == "unit") + (row[name] or "-") for name in question.by]
    beside = [extra.text(row) for extra in extras]
    if row["score"] is None:
        return Line((start, *places, row["scale"], "insufficient", str(row["n"]), "", *beside), None, None, None)
    unit = row["score_unit"]
    interval = ""
    ends: tuple[float | None, float | None] = (None, None)
    if row["low"] is not None:
        interval = f"{number(row['low'], unit)} .. {number(row['high'], unit)}"
        ends = (place(row["low"], unit, row["scale"]), place(row["high"], unit, row["scale"]))
    cells = (start, *places, row["scale"], number(row["score"], unit), str(row["n"]), interval, *beside)
    return Line(cells, ends[0], place(row["score"], unit, row["scale"]), ends[1])


def picture(line: Line, plain: bool) -> str:
    """The interval on its axis: `--|----o---` with a mark at the score; empty without an interval."""
    if line.low is None or line.high is None or line.score is None:
        return ""
    return bar((line.low, line.score, line.high), _WIDTH, plain)


def aligned(names: tuple[str, ...], found: list[Line]) -> list[str]:
    """Plain lines with columns under each other; from the score on they stand at the right edge."""
    cells = [names, *(line.cells for line in found)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    right = names.index("score")
    return [
        "  ".join(
            text.rjust(width) if i >= right else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def table(title: str, names: tuple[str, ...], found: list[Line], *, ascii_only: bool) -> Table:
    """The same for a terminal, with the picture of each interval."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=escape(title), box=None, header_style="bold", pad_edge=False)
    right = names.index("score")
    for i, name in enumerate(names):
        made.add_column(name, justify="right" if i >= right else "left", no_wrap=i >= right)
        if name == "95 % interval":
            made.add_column("", no_wrap=True)
    for line in found:
        cells = [escape(text) for text in line.cells]
        cells.insert(names.index("95 % interval") + 1, picture(line, ascii_only))
        made.add_row(*cells, style="bright_black" if line.score is None else "")
    return made
