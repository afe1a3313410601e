"""An event that stops the worker three times is found among those in flight; one that only stood by is not blamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ledger.crashes import RUNS, STARTS, Crashes
from pipeline.slices import Partition

HERE = Partition("feedback", 3)


def died(folder: Path, first: int, last: int, times: int = 1) -> Crashes:
    for _ in range(times):
        Crashes(folder).note({HERE: (first, last)})
    return Crashes(folder)


def test_a_first_stop_suspects_nobody(tmp_path: Path) -> None:
    crashes = died(tmp_path, 10, 90, STARTS - 1)
    assert crashes.run(HERE, 10) == 0
    assert not crashes.fatal(HERE, 10)


def test_repeated_stops_at_the_same_place_make_small_runs_and_then_one_record(tmp_path: Path) -> None:
    last = 10 + 2 * RUNS - 1
    crashes = died(tmp_path, 10, last, STARTS)
    assert crashes.run(HERE, 10) == 2
    assert crashes.run(HERE, last) == 2
    assert crashes.run(HERE, last + 1) == 0
    assert crashes.run(HERE, 9) == 0
    assert died(tmp_path, 12, 13).run(HERE, 12) == 1
    crashes = died(tmp_path, 13, 13)
    assert crashes.fatal(HERE, 13)
    assert not crashes.fatal(HERE, 12)


def test_stops_at_different_places_are_not_counted_together(tmp_path: Path) -> None:
    died(tmp_path, 10, 19)
    crashes = died(tmp_path, 20, 29)
    assert crashes.run(HERE, 20) == 0


def test_a_partition_that_went_beyond_is_forgotten_for_good(tmp_path: Path) -> None:
    crashes = died(tmp_path, 10, 19, STARTS)
    crashes.passed(HERE, 18)
    assert crashes.run(HERE, 19) == 1
    crashes.passed(HERE, 19)
    assert crashes.run(HERE, 19) == 0
    assert Crashes(tmp_path).run(HERE, 19) == 0


def test_partitions_are_apart(tmp_path: Path) -> None:
    crashes = died(tmp_path, 10, 10, STARTS + 1)
    assert crashes.fatal(HERE, 10)
    assert not crashes.fatal(Partition("feedback", 4), 10)
    assert not crashes.fatal(Partition("history", 3), 10)


def starts_until_rejected(folder: Path, culprit: int, last: int) -> int:
    """Plays starts of a worker that dies whenever `culprit` is in flight; how often it died before it was rejected."""
    position = -1
    for died in range(20):
        crashes = Crashes(folder)
        while position < last:
            first = position + 1
            run = crashes.run(HERE, first)
            taken = min(last, first + run - 1) if run else last
            if crashes.fatal(HERE, first):
                assert first == culprit
                return died
            if first <= culprit <= taken:
                crashes.note({HERE: (first, taken)})
                break
            position = taken
            crashes.passed(HERE, position)
    raise AssertionError("it was never found")


@pytest.mark.parametrize(("culprit", "last", "died"), [(0, 0, 3), (17, 40, 3), (63, 63, 3), (700, 4_000, 4)])
def test_the_culprit_is_found_among_many_in_few_starts(tmp_path: Path, culprit: int, last: int, died: int) -> None:
    assert starts_until_rejected(tmp_path, culprit, last) == died
