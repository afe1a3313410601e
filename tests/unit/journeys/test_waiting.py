"""Waiting times with open cases: the worked numbers, and what censoring is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.journeys.waiting import come_by, median_of_closed, quantile, waits, within
from pipeline.scores.intervals import wilson

#: Replies after 1, 2, 2 and 5 hours; still open after 3, 6 and 30 (scores.md 1.2).
HOURS = [1, 2, 2, 5, 3, 6, 30]
CAME = [True, True, True, True, False, False, False]


def test_first_response_is_the_worked_curve_and_its_median_counts_those_who_still_wait() -> None:
    curve = waits(HOURS, CAME)
    assert curve.times.tolist() == [1, 2, 5]
    assert [f"{still:.6f}" for still in curve.still] == ["0.857143", "0.571429", "0.380952"]
    assert (quantile(curve), median_of_closed(HOURS, CAME)) == (5.0, 2.0)
    assert (curve.n, curve.open, curve.at_risk.tolist(), curve.came.tolist()) == (7, 3, [7, 6, 3], [1, 2, 1])


def test_one_week_response_without_censoring_is_wilsons_worked_interval() -> None:
    answered = come_by(waits([1] * 188 + [8] * 12, [True] * 188 + [False] * 12), 7)
    assert f"{answered.value:.2f}" == "0.94"
    assert (f"{answered.low:.6f}", f"{answered.high:.6f}") == ("0.898068", "0.965348")


def test_an_open_case_that_is_younger_than_the_horizon_does_not_count_as_no_response() -> None:
    """100 invitations a week ago, half answered on day 1; 100 of today, none answered yet."""
    durations = [1.0] * 50 + [7.0] * 50 + [0.1] * 100
    came = [True] * 50 + [False] * 150
    assert come_by(waits(durations, came), 7).value == pytest.approx(0.5)
    assert sum(came) / len(came) == 0.25


def test_a_case_censored_at_the_moment_of_an_event_was_still_at_risk() -> None:
    assert waits([2, 2], [True, False]).still.tolist() == [0.5]


def test_the_share_within_a_limit_leaves_out_cases_that_are_not_decided() -> None:
    share = within(HOURS, CAME, 4)
    # In time: 1, 2, 2. Older than 4 h: 5, 6, 30. The case open for 3 h is not decided.
    assert (share.value, share.n) == (0.5, 6)
    with pytest.raises(UsageError, match="no case is decided"):
        within([1], [False], 4)


def test_what_is_not_known_is_not_said() -> None:
    assert quantile(waits([1, 5, 6], [True, False, False])) is None
    assert come_by(waits([3.0], [True]), 1).value == 0.0
    with pytest.raises(UsageError, match="there is no case"):
        come_by(waits([], []), 7)
    with pytest.raises(UsageError, match="not negative"):
        waits([-1.0], [True])


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(0, 20))
def test_without_censoring_the_curve_is_the_plain_share_with_wilsons_interval(took: list[int], time: int) -> None:
    share = come_by(waits(took, [True] * len(took)), time)
    hits = sum(t <= time for t in took)
    low, high = wilson(hits, len(took))
    assert share.value == pytest.approx(hits / len(took), abs=1e-12)
    if 0 < hits < len(took):
        assert [share.low, share.high] == pytest.approx([float(low), float(high)])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_the_curve_falls_and_stays_within_its_interval(cases: list[tuple[int, bool]]) -> None:
    curve = waits([t for t, _ in cases], [c for _, c in cases])
    assert np.all(np.diff(curve.still) < 0)
    for time in range(10):
        share = come_by(curve, time)
        assert 0 <= share.low <= share.value + 1e-12
        assert share.value <= share.high + 1e-12 <= 1 + 2e-12
