"""Slices that score holds back while a partition is far behind."""

from __future__ import annotations

import polars as pl

from agents.score import Waiting
from pipeline.slices import Partition, Slice


def piece(lo: int, behind: int, rows: int = 1) -> Slice:
    """A slice of some rows with as many records behind it."""
    where = Partition("feedback", 0)
    return Slice(
        where, 1, 1, 1, 1, lo=lo, hi=lo, rows=pl.DataFrame({"off": [lo] * rows}), clock_ms=0, log_end=lo + 1 + behind
    )


def test_a_slice_of_the_live_stream_is_folded_at_once() -> None:
    waiting = Waiting()
    fresh = [piece(0, 10)]
    assert waiting.add(fresh, 100.0) == fresh
    assert waiting.late(200.0) == []


def test_slices_far_behind_are_folded_together_after_a_second() -> None:
    waiting = Waiting()
    first, second, third = piece(0, 900_000), piece(1, 890_000), piece(2, 880_000)
    assert waiting.add([first], 100.0) == []
    assert waiting.add([second], 100.9) == []
    assert waiting.add([third], 101.0) == [first, second, third]


def test_what_was_held_back_goes_with_the_first_slice_that_has_caught_up() -> None:
    waiting = Waiting()
    first, last = piece(0, 900_000), piece(1, 3)
    assert waiting.add([first], 100.0) == []
    assert waiting.add([last], 100.1) == [first, last]


def test_a_stream_that_stands_still_holds_nothing_back_for_longer_than_a_second() -> None:
    waiting = Waiting()
    held = piece(0, 900_000)
    assert waiting.add([held], 100.0) == []
    assert waiting.late(100.9) == []
    assert waiting.late(101.0) == [held]
    assert waiting.late(105.0) == []


def test_no_more_rows_are_held_back_than_the_memory_is_meant_for() -> None:
    waiting = Waiting()
    slices = [piece(lo, 900_000, rows=30_000) for lo in range(4)]
    assert waiting.add(slices[:3], 100.0) == []
    assert waiting.add(slices[3:], 100.1) == slices
