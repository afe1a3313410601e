"""The live table: a score never stands without its n and interval, and one without enough answers shows none."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from pipeline.views import live
from pipeline.views.figures import bar, difference, number
from pipeline.views.live import Picture, Row, sample

GOOD = Row("nps", "0-10", "", 1_535, 44.0, 40.4, 47.4, "points", -14.2)
FEW = Row("sentiment", "minilm", "review", 8, None, None, None, "points")


def drawn(picture: Picture, *, height: int = 40, width: int = 120, colour: bool = False, plain: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(live.table(picture, height, width, plain))
    return out.getvalue()


def line_with(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_a_score_stands_with_n_interval_bar_and_change() -> None:
    line = line_with(drawn(Picture(1.0, (GOOD,))), "NPS")
    for part in ("+44.0", "1,535", "+40.4 .. +47.4", "●", "-14.2"):
        assert part in line
    assert live.phrase(GOOD) == "NPS +44.0 [+40.4 .. +47.4] (n 1,535, change -14.2)"


def test_too_few_answers_show_n_and_no_number_in_grey() -> None:
    shown = drawn(Picture(1.0, (FEW,)), colour=True)
    line = line_with(shown, "insufficient")
    assert "8" in line
    assert "\x1b[90m" in line  # bright black
    assert ".." not in line
    assert "\x1b[90m" not in line_with(drawn(Picture(1.0, (GOOD,)), colour=True), "NPS")
    assert live.phrase(FEW) == "net sentiment minilm review insufficient (n 8)"


def test_every_score_of_the_sample_has_n_and_interval_in_table_lines_and_report() -> None:
    picture = sample()
    table, last = drawn(picture), "\n".join(live.report(picture.rows))
    plain = "\n".join(live.lines(picture))
    for row in picture.rows:
        for text in (table, last):
            line = next(line for line in text.splitlines() if row.figure in line and f"{row.n:,}" in line)
            assert row.interval in line
        assert row.channel or (f"{row.figure} [{row.interval}] (n {row.n:,}" in plain)


def test_rates_rejections_and_workers_are_told() -> None:
    text = drawn(sample())
    assert "sent 200/s, counted 201/s, 37 behind" in text
    assert "not_json 14, bad_time 9, same_event 6, out_of_range 4" in text
    assert "worker-2 killed" in text
    assert "killed with SIGKILL" in text
    assert "rejected  none" in drawn(replace(sample(), rejected={}))


def test_a_low_terminal_keeps_the_totals_and_drops_channels() -> None:
    rows = [GOOD, *(replace(GOOD, channel=f"channel{number}", n=number) for number in range(50))]
    kept = live.chosen(rows, 5)
    assert kept[0] is GOOD
    assert [row.n for row in kept[1:]] == [46, 47, 48, 49]
    assert len(drawn(Picture(1.0, rows), height=24).splitlines()) <= 24


def test_a_narrow_terminal_loses_the_bar_and_never_n_or_interval() -> None:
    narrow = drawn(sample(), width=80)
    for row in sample().rows:
        line = next(line for line in narrow.splitlines() if row.figure in line and f" {row.n:,} " in line + " ")
        assert row.interval in line
        assert row.changed in line
    assert "●" not in narrow
    assert "●" in drawn(sample(), width=110)


def test_without_utf_8_the_bar_is_ascii() -> None:
    assert drawn(Picture(1.0, (GOOD,)), plain=True).isascii()
    assert bar((0.0, 0.5, 1.0), 5, plain=True) == "--o--"


def test_figures_carry_their_unit_and_sign() -> None:
    assert number(-0.04, "points") == "+0.0"
    assert number(0.766, "share") == "76.6 %"
    assert difference(-0.061, "share") == "-6.1 pp"
    assert difference(0.05, "mean") == "+0.05"


def test_a_drawing_holds_the_figures_of_its_picture() -> None:
    drawing = live.svg(Picture(7.0, (GOOD,), notes=("something was planted",)))
    assert "<svg" in drawing
    assert all(text in drawing for text in (GOOD.figure, f"{GOOD.n:,}", "something", "live"))
