"""Rows that make a column step raise are found; the step runs few times when few are bad."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.isolation import isolate


class Step:
    """Raises on rows with one of these offsets."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad
        self.calls = 0

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        self.calls += 1
        if rows["off"].is_in(self.bad).any():
            raise KeyError("bad")
        return rows


ROWS = pl.DataFrame({"off": range(100, 1_124)})


@pytest.mark.parametrize("bad", [100, 611, 612, 1_123])
def test_one_bad_row_is_found_in_few_calls(bad: int) -> None:
    step = Step(bad)
    assert isolate(ROWS, step) == {bad: "KeyError"}
    assert step.calls <= 2 * 10 + 1


def test_every_bad_row_is_found() -> None:
    assert isolate(ROWS, Step(100, 101, 700, 1_123)) == dict.fromkeys((100, 101, 700, 1_123), "KeyError")


def test_a_single_row_is_tried_by_itself() -> None:
    assert isolate(ROWS[:1], Step(100)) == {100: "KeyError"}
    assert isolate(ROWS[:1], Step(5)) == {}


def test_no_row_is_blamed_for_what_only_all_together_do() -> None:
    def step(rows: pl.DataFrame) -> pl.DataFrame:
        if rows.height > 600:
            raise MemoryError
        return rows

    assert isolate(ROWS, step) == {}
