"""The page in a terminal: never a naked number, keys that choose, texts that cannot move the cursor."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from pipeline.views.page.frames import Cells, line
from pipeline.views.terminal import Choice, Screen, alarm, lines, places, printable, said, spark, table
from tests.unit.views.page.test_frames import START, nps

CELLS = Cells(
    pl.concat([nps({10: 30, 0: 10}), nps({0: 12}, at="delivery", by="email"), nps({10: 3}, at="payment", by="app")]),
    pl.concat([nps({10: 30, 0: 10}), nps({0: 12}, at="delivery", by="email"), nps({10: 3}, at="payment", by="app")]),
    nps({}).clear(),
)


def drawn(choice: Choice, series: dict[str, Any] | None = None, **screen: Any) -> str:
    out = io.StringIO()
    size = Screen(**screen)
    console = Console(file=out, width=size.width, color_system=None)
    console.print(table(CELLS, series or line(CELLS, START, 300, START + 1), choice, size, START))
    return out.getvalue()


def row_with(text: str, word: str) -> str:
    return next(row for row in text.splitlines() if word in row)


def test_a_place_stands_with_score_interval_and_n() -> None:
    row = row_with(drawn(Choice()), "delivery")
    assert "-100.0" in row
    assert " .. " in row
    assert " 12" in row


def test_too_few_answers_show_n_and_no_number() -> None:
    row = row_with(drawn(Choice()), "payment")
    assert "too few" in row
    assert row.split()[-1] == "3"
    assert "100" not in row


def test_lines_without_a_terminal_say_the_same() -> None:
    found = lines(CELLS, Choice(), START)
    assert found[0].startswith("2026-05-01T08:00:00Z  nps  +")
    assert any("delivery  email  -100.0  [" in text and text.endswith("n 12") for text in found)
    assert any("payment  app  too few  []  n 3" in text for text in found)


@pytest.mark.parametrize("width", [60, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(Choice(), width=width).splitlines())) <= width


def test_keys_choose_measure_order_time_and_text() -> None:
    choice = Choice()
    for key in "ms4/delx\x7f\nm":
        choice = choice.pressed(key)
    assert choice == Choice(measure="ces", sort="score", span="28d", text="del")
    assert [row[0] for row in places(CELLS, Choice(text="del"))] == ["delivery"]
    assert [row[0] for row in places(CELLS, Choice(sort="score"))] == ["delivery", "checkout", "payment"]
    assert [row[0] for row in places(CELLS, Choice(sort="n"))] == ["checkout", "delivery", "payment"]


def test_a_spark_line_has_a_sign_a_step_and_blanks_where_nothing_is() -> None:
    assert spark([0.0, None, 1.0], plain=True) == ". @"
    assert spark([None, None], plain=False) == ""
    assert spark([5.0, 5.0], plain=False) == "▁▁"


def test_a_spark_line_of_a_long_time_fits_its_room_and_ends_with_the_newest_score() -> None:
    assert spark([0.0, 0.0, 9.0, 1.0, None, 0.0, None], plain=True, room=3) == ".@."
    assert len(spark([1.0] * 288, plain=False, room=20)) <= 20


@pytest.mark.parametrize("width", [80, 120])
def test_a_day_of_steps_leaves_the_numbers_their_room(width: int) -> None:
    steps = [float(step % 7) for step in range(288)]
    shown = drawn(Choice(span="24h"), {"series": {"nps": {"score": steps}}}, width=width)
    heads = row_with(shown, "95 % interval")
    assert heads.startswith("last 24h")
    assert "…" not in shown


def test_a_text_cannot_move_the_cursor_or_turn_the_writing() -> None:
    assert printable("a\x1b[2Jb\u202ec\x07") == "a\\x1b[2Jb\\u202ec\\x07"


def test_feedback_and_alerts_are_one_line_each() -> None:
    item = {"occurred_ms": START * 1000, "channel": "web", "touchpoint": "checkout", "unit": "", "answer": 3}
    rest = {"metric": "nps", "scale": "0-10", "label": "negative", "confidence": 0.934, "text": "too\nslow \x1b[31m"}
    rest |= {"topics": ["delivery", "app"], "truncated": True}
    assert (
        said({**item, **rest})
        == "08:00:00  web checkout  nps 3 of 0-10  negative 93 %  about delivery, app  too slow \\x1b[31m"
        " [cut: more was written]"
    )
    step = {"at": "2026-05-01T08:00:00Z", "state": "firing", "rule": "drop", "scope": {"brand": "b"}, "owner": "o"}
    assert alarm(step) == "2026-05-01T08:00:00Z  firing  drop  brand=b  owner o"
