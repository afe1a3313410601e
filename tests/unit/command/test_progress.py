"""The bar of long commands: how much of how much, and how fast."""

from __future__ import annotations

import io
import re

from rich.console import Console

from pipeline.command.progress import barred


def drawn(total: int | None, before: int, *steps: int) -> str:
    text = io.StringIO()
    with barred("rows", total, before, Console(file=text, force_terminal=True, width=120, color_system=None)) as moved:
        for step in steps:
            moved(step)
    return text.getvalue().split("rows")[-1]


def test_the_bar_shows_the_total_and_a_rate_without_what_an_earlier_run_sent() -> None:
    last = drawn(5_000, 4_999, 5_000)
    assert "5000/5000" in last
    (rate,) = re.findall(r"([\d,]+) a second", last)
    assert int(rate.replace(",", "")) <= 1_000, "one row, in a millisecond at least"


def test_a_total_that_was_too_low_grows_and_one_that_nobody_knows_is_not_shown() -> None:
    assert "12/12" in drawn(10, 0, 12)
    assert "12/?" in drawn(None, 0, 12)
    assert "a second" not in drawn(10, 0)
