"""Watching scores: the newest score of each group, what changed, and its path."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from pipeline.scores.reading import Question
from pipeline.views.figures import sparkline
from pipeline.views.watching import news, watched, watched_table

NOON = 1_777_636_800
NOW = datetime(2026, 5, 1, 14, 0, 5, tzinfo=UTC)
QUESTION = Question("nps", NOON, NOON + 3 * 3600, 3600, ("channel",))


def row(hour: int, channel: str, score: float | None, n: int = 40) -> dict[str, Any]:
    low, high = (None, None) if score is None else (score - 20, score + 20)
    known = {"start": NOON + 3600 * hour, "seconds": 3600, "scale": "0-10", "n": n, "channel": channel}
    return {**known, "score": score, "low": low, "high": high, "score_unit": "points"}


ROWS = [row(0, "web", 10.0), row(1, "app", None, 3), row(1, "web", 30.0), row(2, "web", 20.0)]


@pytest.mark.parametrize(
    ("values", "plain", "text"),
    [
        ([0.0, 50.0, 100.0], False, "▁▅█"),
        ([0.0, None, 100.0], True, "_ @"),
        ([7.0, 7.0], False, "▅▅"),
        ([None], False, " "),
        ([], False, ""),
    ],
)
def test_a_sparkline_spans_its_own_values(values: list[float | None], plain: bool, text: str) -> None:
    assert sparkline(values, plain) == text


def test_each_group_has_its_newest_score_the_change_and_the_path_over_all_windows() -> None:
    app, web = watched(QUESTION, ROWS)
    assert (app.line.cells[3], app.change, app.path) == ("insufficient", "", (None, None, None))
    assert (web.line.cells[3], web.change, web.path) == ("+20.0", "-10.0", (10.0, 30.0, 20.0))


def test_a_terminal_gets_a_table_and_what_a_producer_wrote_is_text() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    found = watched(QUESTION, [*ROWS, row(2, "[red]x", 5.0)])
    console.print(watched_table(QUESTION, found, NOW, plain=False, width=140))
    text = console.export_text()
    assert "▁█▅" in text
    assert "[red]x" in text
    assert "insufficient" in text


@pytest.mark.parametrize(("width", "pictured"), [(100, True), (80, False)])
def test_on_a_narrow_terminal_the_pictures_go_before_the_names(width: int, pictured: bool) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(watched_table(QUESTION, watched(QUESTION, ROWS), NOW, plain=False, width=width))
    text = console.export_text()
    assert ("━●" in text) == pictured
    assert "…" not in text
    assert {"channel", "web", "0-10"} <= set(text.split())


def test_plain_lines_say_only_what_is_new() -> None:
    said: dict[tuple[str, ...], str] = {}
    assert len(news(QUESTION, watched(QUESTION, ROWS), said, NOW)) == 2
    assert news(QUESTION, watched(QUESTION, ROWS), said, NOW) == []
    (line,) = news(QUESTION, watched(QUESTION, [*ROWS[:-1], row(2, "web", 25.0)]), said, NOW)
    assert line == "14:00:05  2026-05-01 14:00  web  0-10  +25.0  n 40  +5.0 .. +45.0  -5.0"
