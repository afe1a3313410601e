"""The life of one alert: every transition of scores.md 4 as a vector, and what must not change anything."""

from __future__ import annotations

import math

import pytest

from pipeline.alerts.entries import State
from pipeline.alerts.finding import Verdict
from pipeline.alerts.life import following, tidied
from tests.unit.alerts.findings import START, WINDOW, Desk, estimate, finding, routes_of

S, V = State, Verdict

#: state, whether it had been firing (in no_data), verdict, pending_s, keep_s, seconds waited -> state.
TRANSITIONS = [
    # A sequential test fires at once; what is below its threshold stays quiet.
    (S.INACTIVE, False, V.RAISED, 0, 0, 0, S.FIRING),
    (S.INACTIVE, False, V.UNDECIDED, 0, 0, 0, S.INACTIVE),
    (S.INACTIVE, False, V.CALM, 0, 0, 0, S.INACTIVE),
    (S.INACTIVE, False, V.LEARNING, 0, 0, 0, S.INACTIVE),
    (S.INACTIVE, False, V.NO_DATA, 0, 0, 0, S.NO_DATA),
    # A threshold rule waits; anything but raised sends it back.
    (S.INACTIVE, False, V.RAISED, 1800, 0, 0, S.PENDING),
    (S.PENDING, False, V.RAISED, 1800, 0, 1799, S.PENDING),
    (S.PENDING, False, V.RAISED, 1800, 0, 1800, S.FIRING),
    (S.PENDING, False, V.UNDECIDED, 1800, 0, 1800, S.INACTIVE),
    (S.PENDING, False, V.CALM, 1800, 0, 0, S.INACTIVE),
    (S.PENDING, False, V.LEARNING, 1800, 0, 0, S.INACTIVE),
    (S.PENDING, False, V.NO_DATA, 1800, 0, 0, S.NO_DATA),
    # Between the two levels what fires goes on firing.
    (S.FIRING, False, V.RAISED, 0, 0, 0, S.FIRING),
    (S.FIRING, False, V.UNDECIDED, 0, 0, 0, S.FIRING),
    (S.FIRING, False, V.LEARNING, 0, 0, 0, S.FIRING),
    (S.FIRING, False, V.CALM, 0, 0, 0, S.RESOLVED),
    (S.FIRING, False, V.CALM, 0, 3600, 0, S.RECOVERING),
    (S.FIRING, False, V.NO_DATA, 0, 0, 0, S.NO_DATA),
    (S.RECOVERING, False, V.CALM, 0, 3600, 3599, S.RECOVERING),
    (S.RECOVERING, False, V.CALM, 0, 3600, 3600, S.RESOLVED),
    (S.RECOVERING, False, V.UNDECIDED, 0, 3600, 3600, S.FIRING),
    (S.RECOVERING, False, V.LEARNING, 0, 3600, 3600, S.FIRING),
    (S.RECOVERING, False, V.RAISED, 0, 3600, 0, S.FIRING),
    (S.RECOVERING, False, V.NO_DATA, 0, 3600, 0, S.NO_DATA),
    # Without data: what fired is still open, what did not is quiet.
    (S.NO_DATA, True, V.NO_DATA, 0, 0, 0, S.NO_DATA),
    (S.NO_DATA, True, V.RAISED, 1800, 0, 0, S.FIRING),
    (S.NO_DATA, True, V.UNDECIDED, 0, 0, 0, S.FIRING),
    (S.NO_DATA, True, V.LEARNING, 0, 0, 0, S.FIRING),
    (S.NO_DATA, True, V.CALM, 0, 3600, 0, S.RESOLVED),
    (S.NO_DATA, False, V.RAISED, 0, 0, 0, S.FIRING),
    (S.NO_DATA, False, V.RAISED, 1800, 0, 0, S.PENDING),
    (S.NO_DATA, False, V.UNDECIDED, 0, 0, 0, S.INACTIVE),
    (S.NO_DATA, False, V.CALM, 0, 0, 0, S.INACTIVE),
    (S.NO_DATA, False, V.LEARNING, 0, 0, 0, S.INACTIVE),
    (S.NO_DATA, False, V.NO_DATA, 0, 0, 0, S.NO_DATA),
    # Over is over, until it is raised again.
    (S.RESOLVED, False, V.RAISED, 0, 0, 0, S.FIRING),
    (S.RESOLVED, False, V.RAISED, 1800, 0, 0, S.PENDING),
    (S.RESOLVED, False, V.UNDECIDED, 0, 0, 0, S.RESOLVED),
    (S.RESOLVED, False, V.CALM, 0, 0, 0, S.RESOLVED),
    (S.RESOLVED, False, V.LEARNING, 0, 0, 0, S.RESOLVED),
    (S.RESOLVED, False, V.NO_DATA, 0, 0, 0, S.RESOLVED),
]


@pytest.mark.parametrize(("state", "was_open", "verdict", "pending", "keep", "waited", "expected"), TRANSITIONS)
def test_each_transition(
    state: State, was_open: bool, verdict: Verdict, pending: int, keep: int, waited: int, expected: State
) -> None:
    assert following(state, was_open, finding(0, verdict, pending_s=pending, keep_s=keep), waited) == expected


def test_every_state_meets_every_verdict() -> None:
    met = {(state, verdict) for state, _, verdict, *_ in TRANSITIONS}
    assert met == {(state, verdict) for state in S for verdict in V}


def test_a_path_of_the_worked_cusum_fires_once_and_resolves_at_half_the_threshold() -> None:
    """scores.md 3.2, h = 2: .192, 1.229, 2.0 fires, ..., 1.438958 goes on, .342415 resolves."""
    statistics = [0.192064, 1.229009, 2.0, 2.0, 2.0, 2.0, 1.438958, 0.342415, 0.0, 0.0]
    desk = Desk(routes_of("ops"))
    for window, value in enumerate(statistics, 1):
        verdict = V.RAISED if value >= 2 else V.CALM if value <= 1 else V.UNDECIDED
        desk.turn(finding(window, verdict, statistic=value, threshold=2.0), after_s=WINDOW)
    changes = [word for word in desk.words() if word not in ("seen", "grouped")]
    assert changes == ["firing", "resolved"]
    assert [word for word, _ in desk.said()] == ["firing", "resolved"]
    assert desk.alert().last.statistic == 0.342415


def test_a_threshold_rule_waits_half_an_hour_by_the_windows_and_not_by_the_wall() -> None:
    desk = Desk(routes_of("ops"))
    for window in range(1, 7):
        desk.turn(finding(window, pending_s=1800), after_s=9_999 if window == 3 else 1)
        assert desk.alert().state == S.PENDING
    desk.turn(finding(7, pending_s=1800))
    assert desk.alert().state == S.FIRING


def test_a_window_that_was_judged_changes_nothing_again_whatever_its_revision() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(5))
    before = desk.alert()
    for old in (finding(5, V.CALM, revision=3), finding(4, V.CALM, revision=9), finding(5), finding(-50, V.NO_DATA)):
        desk.turn(old)
        assert desk.alert() == before
    desk.turn(finding(6, V.CALM))
    assert desk.alert().state == S.RESOLVED


def test_a_firing_within_a_day_opens_the_same_incident_and_a_later_one_is_another() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    first = desk.incident().id
    desk.turn(finding(2, V.CALM), after_s=WINDOW)
    desk.turn(finding(3), after_s=86_399)
    assert (desk.alert().state, desk.alert().reopened) == (S.FIRING, 1)
    assert (desk.incident().id, desk.incident().reopened) == (first, 1)
    desk.turn(finding(4, V.CALM), after_s=WINDOW)
    desk.turn(finding(5), after_s=86_400)
    assert (desk.alert().reopened, desk.alert().count) == (0, 1)
    assert desk.incident().id != first
    assert desk.incident().reopened == 0


def test_without_data_an_open_alert_says_so_and_its_incident_stays_open() -> None:
    desk = Desk(routes_of("ops", group_interval_s=0))
    desk.turn(finding(1))
    desk.turn(finding(80, V.NO_DATA), after_s=6 * 3600)
    assert (desk.alert().state, desk.incident().state) == (S.NO_DATA, S.NO_DATA)
    assert [word for word, _ in desk.said()][-1] in ("updated", "repeated")
    desk.turn(finding(81, V.CALM), after_s=WINDOW)
    assert (desk.alert().state, desk.incident().state) == (S.RESOLVED, S.RESOLVED)


def test_without_data_a_quiet_scope_calls_nobody() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1, V.NO_DATA))
    desk.turn(after_s=3600)
    assert desk.alert().state == S.NO_DATA
    assert desk.book.incidents == {}
    assert desk.said() == []


def test_what_is_learning_raises_nothing_and_a_shadow_rule_tells_nobody() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1, V.LEARNING))
    assert desk.book.alerts == {}
    desk.turn(finding(2, shadow=True))
    assert desk.alert().state == S.FIRING
    assert desk.book.incidents == {}
    assert desk.said() == []


def test_an_alert_that_nothing_is_heard_of_ends_after_a_day() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    desk.turn(after_s=86_399)
    assert desk.alert().state == S.FIRING
    desk.turn(after_s=1)
    assert desk.alert().state == S.RESOLVED
    assert desk.said()[-1] == ("resolved", "ops")


def test_resolved_by_hand_stays_so_until_the_detector_was_calm_once() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    assert desk.ask("resolve", desk.incident().id) == "resolved 1"
    desk.turn(finding(2), finding(3), after_s=600)
    assert desk.alert().state == S.RESOLVED
    desk.turn(finding(4, V.CALM), after_s=300)
    desk.turn(finding(5), after_s=300)
    assert (desk.alert().state, desk.alert().reopened) == (S.FIRING, 1)


def test_resolved_by_hand_holds_a_day_at_most() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    desk.ask("resolve", desk.alert().id)
    desk.turn(finding(2), after_s=86_400)
    assert desk.alert().state == S.FIRING


def test_the_severity_of_an_open_alert_only_rises() -> None:
    desk = Desk(routes_of("ops"))
    for window, severity in enumerate(("warning", "critical", "error"), 1):
        desk.turn(finding(window, severity=severity))
    assert desk.alert().severity == "critical"
    desk.turn(finding(4, V.CALM))
    desk.turn(finding(5, severity="warning"))
    assert desk.alert().severity == "warning"


def test_the_trace_holds_readings_of_enough_answers_and_four_hours_of_them() -> None:
    desk = Desk(routes_of("ops"))
    for window in range(1, 61):
        desk.turn(finding(window, score=estimate(0.1, n=9 if window == 60 else 10)))
    assert [point.end for point in desk.alert().trace] == [START + w * WINDOW for w in range(12, 60)]


def test_a_finding_is_made_plain_so_that_its_row_gives_it_back() -> None:
    plain = tidied(finding(1, statistic=math.inf, threshold=math.nan))
    assert (plain.statistic, plain.threshold) == (1e300, 0.0)
    assert plain.contributions == []
