"""When a five-minute window closes: the clock of every partition, silence, and a lag that is no silence."""

from __future__ import annotations

import pytest

from pipeline.scores.closing import GRACE_MS, MOST, QUIET_MS, Progress, begin, closed_through, window_of

#: An end of a window, seconds.
END = 3_600
_MS = 1_000


def at(clock_s: float, *, settled: int = 9, log_end: int = 10, part: int = 0) -> Progress:
    return Progress("feedback", 1, part, settled, int(clock_s * _MS), log_end)


@pytest.mark.parametrize(
    ("moment", "start"),
    [(0, 0), (299.999, 0), (300, 300), (3_599, 3_300), (3_599.999, 3_300), (3_600, 3_600), (3_899, 3_600)],
)
def test_a_window_holds_its_start_and_not_its_end(moment: float, start: int) -> None:
    assert window_of(int(moment * _MS)) == start


def test_a_window_closes_when_the_clock_of_every_partition_has_passed_its_end() -> None:
    now = (END + 30) * _MS
    assert closed_through([at(END), at(END + 5, part=1)], END - 300, now) == [END]
    assert closed_through([at(END), at(END - 0.001, part=1)], END - 300, now) == []


def test_windows_close_in_order_as_far_as_all_have_come() -> None:
    now = (END + 5_000) * _MS
    assert closed_through([at(END + 700), at(END + 300, part=1, log_end=99)], END - 300, now) == [END, END + 300]


def test_a_quiet_partition_at_its_log_end_has_passed_a_minute_after_the_end() -> None:
    quiet = at(0)
    assert closed_through([at(END + 100), quiet], END - 300, END * _MS + GRACE_MS) == [END]
    assert closed_through([at(END + 100), quiet], END - 300, END * _MS + GRACE_MS - 1) == []


def test_quiet_keys_close_when_nothing_comes_any_more_at_all() -> None:
    silent = [at(END - 200), at(0, settled=-1, log_end=0, part=1)]
    assert closed_through(silent, END - 300, END * _MS + GRACE_MS) == [END]
    assert closed_through(silent, END - 300, (END + 900) * _MS + GRACE_MS) == [END, END + 300, END + 600, END + 900]


def test_a_lagging_partition_is_never_quiet_however_long_it_takes() -> None:
    behind = at(END - 1, settled=9, log_end=11)
    assert closed_through([at(END + 900), behind], END - 300, (END + 86_400) * _MS) == []


def test_a_clock_ahead_of_the_broker_closes_nothing_that_has_not_ended() -> None:
    assert closed_through([at(END + 9_999)], END - 300, END * _MS - 1) == []
    assert closed_through([at(END + 9_999)], END - 300, END * _MS) == [END]


def test_without_partitions_nothing_closes() -> None:
    assert closed_through([], END - 300, (END + 9_999) * _MS) == []


def test_a_partition_that_has_just_moved_is_not_quiet_although_it_stands_at_its_log_end() -> None:
    """Between two batches of a back-fill nothing is waiting, and what belongs into the window is still to come."""
    now = (END + 86_400) * _MS
    told = Progress("feedback", 1, 0, 9, (END - 200) * _MS, 10, moved_ms=now - QUIET_MS + 1)
    assert closed_through([told, at(END + 900, part=1)], END - 300, now) == []
    assert closed_through([told, at(END + 900, part=1)], END - 300, now + 1)[0] == END
    # What its clock has passed needs no quiet.
    assert closed_through([told], END - 600, now) == [END - 300]


def test_after_a_long_outage_a_day_of_windows_closes_at_once_and_the_next_look_goes_on() -> None:
    week = END + 7 * 86_400
    first = closed_through([at(week)], END - 300, week * _MS)
    assert (first[0], len(first)) == (END, MOST)
    assert closed_through([at(week)], first[-1], week * _MS)[0] == first[-1] + 300


def test_closing_begins_an_hour_before_the_first_event_and_not_before_there_is_one() -> None:
    assert begin([]) is None
    assert begin([at(0, settled=-1, log_end=0), at(0, part=1)]) is None
    assert begin([at(0, settled=-1, log_end=0), at(7_199.9, part=1), at(9_000, part=2)]) == 3_300
