"""Live scores in a terminal: each group with its newest score, what it was before, and how it came there (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from pipeline.views.figures import difference, sparkline
from pipeline.views.score_lines import Line, picture
from pipeline.views.score_lines import lines as score_lines

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.scores.reading import Question

#: Windows of a sparkline: a day of hours, and it fits beside four dimensions.
_WINDOWS = 24


@dataclass(frozen=True, slots=True)
class Watched:
    """One group: its newest row, the change since the window before it, and its scores of the windows up to now."""

    row: Mapping[str, Any]
    line: Line
    change: str
    path: tuple[float | None, ...]


def watched(question: Question, rows: Sequence[dict[str, Any]], zone: tzinfo = UTC) -> list[Watched]:
    """The groups of `read_scores` rows; each by its newest window, the path over the newest windows of all."""
    starts = sorted({row["start"] for row in rows})[-_WINDOWS:]
    groups: dict[tuple[str, ...], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((*(row[name] for name in question.by), row["scale"]), {})[row["start"]] = row
    found = []
    for _, by_start in sorted(groups.items()):
        newest = by_start[max(by_start)]
        (line,) = score_lines(question, [newest], zone=zone)
        path = tuple(by_start[start]["score"] if start in by_start else None for start in starts)
        former = [row["score"] for start, row in sorted(by_start.items())[:-1] if row["score"] is not None]
        change = ""
        if newest["score"] is not None and former:
            change = difference(newest["score"] - former[-1], newest["score_unit"])
        found.append(Watched(newest, line, change, path))
    return found


def watched_table(
    question: Question, found: Sequence[Watched], now: datetime, *, plain: bool, width: int, behind: str = ""
) -> Table:
    """For a terminal of so many signs that is drawn again and again; where it is narrow, without the intervals'
    pictures rather than with half of each name. `behind` is what is said while the stream is catching up."""
    from rich.markup import escape
    from rich.table import Table

    title = f"{question.metric} at {now:%H:%M:%S}, n and 95 % interval; Ctrl-C ends"
    table = Table(title=escape(title), caption=escape(behind) or None, box=None, header_style="bold", pad_edge=False)
    words, numbers = (*question.by, "scale", "window"), ("score", "n", "95 % interval")
    rows = []
    for each in found:
        start, *places, scale, score, n, interval = each.line.cells
        rows.append((*places, scale, start[-5:], score, n, interval, picture(each.line, plain), each.change))
    paths = [sparkline(each.path, plain) for each in found]
    names = (*words, *numbers, "", "change", "path")
    drawn = zip(names, *((*row, path) for row, path in zip(rows, paths, strict=True)), strict=True)
    pictured = sum(2 + max(map(len, column)) for column in drawn) - 2 <= width
    for name in names:
        if name or pictured:
            right = name in numbers or name == "change"
            table.add_column(name, justify="right" if right else "left", no_wrap=name not in words)
    for each, row, path in zip(found, rows, paths, strict=True):
        cells = row if pictured else (*row[:-2], row[-1])
        table.add_row(*map(escape, cells), path, style="bright_black" if each.line.score is None else "")
    return table


def news(question: Question, found: Sequence[Watched], said: dict[tuple[str, ...], str], now: datetime) -> list[str]:
    """Plain lines of the groups that changed since they were said last; remembers them in `said`."""
    fresh = []
    for each in found:
        key = (*(str(each.row[name]) for name in question.by), str(each.row["scale"]))
        start, *places, scale, score, n, interval = each.line.cells
        text = "  ".join(part for part in (start, *places, scale, score, f"n {n}", interval, each.change) if part)
        if said.get(key) != text:
            said[key] = text
            fresh.append(f"{now:%H:%M:%S}  {text}")
    return fresh
