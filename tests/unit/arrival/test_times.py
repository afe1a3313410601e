"""Time rules (T25): on time, delayed, late and absurd, exactly at their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.arrival import times
from pipeline.arrival.fingerprints import Ints
from pipeline.arrival.rules import ArrivalRules

RULES = ArrivalRules()
MINUTE = 60_000
DAY = 86_400_000
NOW = 20_000 * DAY


def column(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


def judged(*occurred: int, clock: int = 0, topic: str = "feedback") -> times.Timing:
    moments = column(*occurred)
    ingest = np.full(len(moments), NOW, dtype=np.int64)
    return times.timing(topic, moments, ingest, np.ones(len(moments), dtype=bool), clock, RULES)


def test_ingest_time_never_steps_back() -> None:
    assert times.ingest_times(column(5, 3, 9, 8), 4).tolist() == [5, 5, 9, 9]
    assert times.ingest_times(column(1, 2), 7).tolist() == [7, 7]


@pytest.mark.parametrize(
    ("occurred", "bad"),
    [
        (NOW - 30 * DAY, False),
        (NOW - 30 * DAY - 1, True),
        (NOW + 5 * MINUTE, False),
        (NOW + 5 * MINUTE + 1, True),
        (0, True),
        (NOW + 3_650 * DAY, True),
    ],
)
def test_event_time_is_accepted_from_thirty_days_before_to_five_minutes_after(occurred: int, bad: bool) -> None:
    assert times.absurd("feedback", column(occurred), column(NOW), RULES).tolist() == [bad]


@pytest.mark.parametrize(("occurred", "bad"), [(-1, True), (0, False), (NOW + 5 * MINUTE + 1, True)])
def test_history_takes_any_time_since_1970(occurred: int, bad: bool) -> None:
    assert times.absurd("history", column(occurred), column(NOW), RULES).tolist() == [bad]


def test_the_clock_is_the_greatest_event_time_less_a_minute() -> None:
    assert judged(NOW - 5_000, NOW - 9_000).clock_ms == NOW - 5_000 - MINUTE


def test_the_clock_is_never_ahead_of_ingest() -> None:
    assert judged(NOW + 4 * MINUTE).clock_ms == NOW - MINUTE


def test_a_rejected_event_of_next_year_makes_nothing_late() -> None:
    moments, accepted = column(NOW + 365 * DAY, NOW - 1_000), np.array([False, True])
    timing = times.timing("feedback", moments, np.full(2, NOW), accepted, 0, RULES)
    assert not timing.late.any()
    assert timing.clock_ms == NOW - 1_000 - MINUTE


def test_a_row_is_judged_by_the_clock_before_it() -> None:
    timing = judged(NOW - 2 * DAY, NOW, NOW - 2 * DAY)
    assert timing.late.tolist() == [False, False, True]


@pytest.mark.parametrize(("behind", "late"), [(DAY, False), (DAY + 1, True)])
def test_late_begins_a_day_behind_the_clock(behind: int, late: bool) -> None:
    timing = judged(NOW - behind, clock=NOW)
    assert timing.late.tolist() == [late]
    assert timing.delayed.tolist() == [not late]


@pytest.mark.parametrize(("occurred", "delayed"), [(NOW - 1, True), (NOW - MINUTE, True), (NOW, False)])
def test_delayed_is_whose_minute_had_passed(occurred: int, delayed: bool) -> None:
    assert judged(occurred, clock=NOW).delayed.tolist() == [delayed]
    assert judged(occurred, clock=NOW - 1).delayed.tolist() == [occurred < NOW - MINUTE]


def test_history_moves_no_clock_and_is_never_late() -> None:
    timing = judged(NOW, NOW - 400 * DAY, topic="history")
    assert timing.clock_ms == 0
    assert not timing.late.any()
    assert not timing.delayed.any()
