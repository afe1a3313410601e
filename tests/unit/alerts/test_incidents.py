"""One incident, one living message: grouping, waiting, repeating, answering, calling the next, staying quiet."""

from __future__ import annotations

from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.alerts.entries import State
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.routes import Digest
from pipeline.alerts.silences import MuteTime, matcher
from tests.unit.alerts.findings import START, Desk, estimate, finding, replayed, routes_of, share

UTC = ZoneInfo("UTC")
MINUTE, HOUR, DAY = 60, 3_600, 86_400
CHECKOUT = {"brand": "acme", "touchpoint": "checkout"}


def as_json(text: str) -> dict[str, str]:
    made = matcher(text)
    return {"name": made.name, "op": made.op, "value": made.value}


def event(number: int, **more: Any) -> Finding:
    return finding(0, event=f"feedback:1:3:{number}", rule="detractor", window_end=START + number, **more)


def test_500_detractors_of_one_cause_are_one_incident_with_a_living_message() -> None:
    desk = Desk(routes_of("ops", group_wait_s=30))
    for number in range(500):
        desk.turn(event(number), after_s=2)
    assert len(desk.book.incidents) == 1
    assert desk.alert().count == 500
    # The first at once, then one each five minutes with the count so far: 1,000 s are four messages.
    assert [word for word, _ in desk.said()] == ["firing", "updated", "updated", "updated"]
    counts = [s.notice.accounts[0].count for s in desk.book.sendings.values()]
    assert counts == [1, 151, 301, 451]


def test_many_events_in_one_look_are_one_step_with_the_whole_count() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(event(0))
    desk.book.steps.clear()
    desk.turn(*(event(number) for number in range(1, 500)))
    assert desk.words() == ["seen"]
    assert desk.alert().count == 500
    assert replayed(desk.book).alerts == desk.book.alerts


def test_the_same_event_again_counts_once() -> None:
    desk = Desk(routes_of("ops"))
    for number in (5, 5, 4, 6):
        desk.turn(event(number))
    desk.turn(event(6))
    assert desk.alert().count == 2
    assert desk.alert().seen == {"feedback:1:3": 6}


def test_the_first_message_waits_for_more_of_the_same_and_holds_all_of_it() -> None:
    desk = Desk(routes_of("ops", group_wait_s=30))
    desk.turn(finding(1))
    desk.turn(finding(1, scope=CHECKOUT), after_s=29)
    assert desk.said() == []
    desk.turn(after_s=1)
    assert desk.said() == [("firing", "ops")]
    (sent,) = desk.book.sendings.values()
    assert len(sent.notice.accounts[0].parts) == 2


def test_resolved_before_it_was_said_is_never_said() -> None:
    desk = Desk(routes_of("ops", group_wait_s=30))
    desk.turn(finding(1))
    desk.turn(finding(2, Verdict.CALM), after_s=29)
    desk.turn(after_s=HOUR)
    assert desk.incident().state == State.RESOLVED
    assert desk.said() == []


def test_owners_metrics_and_brands_have_incidents_of_their_own() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1), finding(1, scope=CHECKOUT, owner="shop"), finding(1, metric="csat", scale="1-5"))
    assert sorted(incident.owner for incident in desk.book.incidents.values()) == ["logistics", "logistics", "shop"]


def test_what_is_new_is_gathered_for_five_minutes_and_what_is_old_is_said_again_after_four_hours() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    desk.turn(finding(1, scope=CHECKOUT), after_s=4 * MINUTE)
    assert len(desk.said()) == 1
    desk.turn(after_s=MINUTE)
    assert [word for word, _ in desk.said()] == ["firing", "updated"]
    desk.turn(finding(2), after_s=4 * HOUR - 1)
    assert len(desk.said()) == 2
    desk.turn(after_s=1)
    assert [word for word, _ in desk.said()] == ["firing", "updated", "repeated"]


def test_an_answer_stops_repeats_and_the_next_level_but_not_what_is_new_and_the_end_clears_it() -> None:
    desk = Desk(routes_of("ops", others=("lead",), ladder=(("lead",),)))
    desk.turn(finding(1))
    assert desk.ask("ack", desk.alert().id, "ann", comment="on it") == "acknowledged"
    assert desk.incident().acked_by == "ann"
    assert desk.said()[-1] == ("acknowledged", "ops")
    assert desk.ask("ack", desk.incident().id, "bob") == "already acknowledged by ann"
    desk.turn(finding(2), after_s=DAY - 1)
    assert [word for word, _ in desk.said()] == ["firing", "acknowledged"]
    assert desk.incident().state == State.FIRING
    desk.turn(finding(3, scope=CHECKOUT))
    assert [word for word, _ in desk.said()][-1] == "updated"
    desk.turn(finding(4, Verdict.CALM), finding(4, Verdict.CALM, scope=CHECKOUT), after_s=HOUR)
    assert (desk.incident().state, desk.incident().acked_by) == (State.RESOLVED, "")
    assert desk.said()[-1] == ("resolved", "ops")


@pytest.mark.parametrize(("severity", "after"), [("critical", 30 * MINUTE), ("error", 2 * HOUR), ("warning", DAY)])
def test_who_does_not_answer_is_passed_over_by_the_clock_of_the_severity(severity: str, after: int) -> None:
    desk = Desk(routes_of("ops", others=("lead", "head"), ladder=(("lead",), ("head",)), repeat_s=10 * DAY))

    def still(window: int, after_s: float) -> None:
        desk.turn(finding(window, severity=severity), after_s=after_s)

    still(1, 0)
    still(2, after - 1)
    assert desk.said() == [("firing", "ops")]
    still(3, 1)
    assert desk.said()[1:] == [("escalated", "lead")]
    still(4, after - 1)
    still(5, 1)
    assert desk.said()[2:] == [("escalated", "head")]
    still(6, 3 * HOUR)
    assert len(desk.said()) == 3
    assert desk.words("incident").count("escalated") == 2
    desk.turn(finding(9, Verdict.CALM), after_s=HOUR)
    assert desk.said()[3:] == [("resolved", "head"), ("resolved", "lead"), ("resolved", "ops")]


def test_a_silence_stops_messages_and_not_the_state_and_afterwards_it_is_said() -> None:
    desk = Desk(routes_of("ops"))
    answer = desk.ask("silence", "", end_ms=desk.now_ms + HOUR * 1000, matchers=[as_json("touchpoint=delivery")])
    assert answer == "silence o-1"
    desk.turn(finding(1))
    desk.turn(after_s=HOUR - 1)
    assert (desk.alert().state, desk.alert().silenced, desk.said()) == (State.FIRING, "o-1", [])
    desk.turn(after_s=1)
    assert desk.said() == [("firing", "ops")]
    assert [word for word in desk.words() if word in ("silenced", "audible")] == ["silenced", "audible"]


def test_a_silence_can_be_ended_early_and_an_empty_or_broken_one_is_refused() -> None:
    desk = Desk(routes_of("ops"))
    desk.ask("silence", "", end_ms=desk.now_ms + HOUR * 1000, matchers=[as_json("metric=nps")])
    desk.turn(finding(1))
    assert desk.ask("unsilence", "o-1") == "ended"
    assert desk.said() == [("firing", "ops")]
    assert desk.ask("unsilence", "o-1") == "there is no silence o-1"
    assert desk.ask("silence", "", end_ms=1, matchers=[]).startswith("no silence: without a matcher")
    assert desk.ask("silence", "", matchers=[]).startswith("no silence")


def test_in_a_mute_time_the_state_moves_on_and_its_end_says_once_what_still_fires() -> None:
    night = MuteTime(frozenset(range(7)), time(9), time(12), UTC)  # it is 10:00
    desk = Desk(routes_of("ops", mute=(night,)))
    desk.turn(finding(1), finding(1, scope=CHECKOUT, owner="shop"), finding(1, metric="csat"))
    desk.turn(finding(2, Verdict.CALM, metric="csat"), after_s=HOUR)
    assert desk.said() == []
    assert desk.words("incident").count("muted") == 3
    desk.turn(after_s=HOUR)
    assert desk.said() == [("summary", "ops")]
    (sent,) = desk.book.sendings.values()
    assert sorted(account.owner for account in sent.notice.accounts) == ["logistics", "shop"]
    desk.turn(after_s=MINUTE)
    assert len(desk.said()) == 1


def test_the_end_of_what_was_said_before_a_mute_time_is_said_after_it() -> None:
    noon = MuteTime(frozenset(range(7)), time(11), time(12), UTC)
    desk = Desk(routes_of("ops", mute=(noon,)))
    desk.turn(finding(1))
    desk.turn(finding(2, Verdict.CALM), after_s=HOUR)
    assert desk.said() == [("firing", "ops")]
    desk.turn(after_s=HOUR)
    assert desk.said() == [("firing", "ops"), ("resolved", "ops")]
    desk.turn(after_s=HOUR)
    assert len(desk.said()) == 2


def test_low_severities_come_once_a_day_together_and_a_worse_one_at_once() -> None:
    digest = Digest(frozenset({"warning"}), time(8), UTC)
    desk = Desk(routes_of("ops", digest=digest))
    desk.turn(finding(1, severity="warning"), finding(1, scope=CHECKOUT, owner="shop", severity="warning"))
    desk.turn(finding(2, Verdict.CALM), after_s=HOUR)
    assert desk.said() == []
    desk.turn(after_s=21 * HOUR - 1)
    assert desk.said() == []
    desk.turn(after_s=1)  # 08:00 of the next day
    assert desk.said() == [("digest", "ops")]
    (sent,) = desk.book.sendings.values()
    assert {a.owner: str(a.state) for a in sent.notice.accounts} == {"logistics": "resolved", "shop": "firing"}
    desk.turn(finding(9, scope=CHECKOUT, owner="shop", severity="critical"), after_s=MINUTE)
    assert desk.said()[1:] == [("firing", "ops")]


def test_only_the_part_that_explains_the_whole_calls_and_the_whole_speaks_when_the_part_is_over() -> None:
    desk = Desk(routes_of("ops"))
    whole = {"brand": "acme"}
    falls: dict[str, Any] = {"size": estimate(-0.1, n=5_000), "contributions": [share("touchpoint", "delivery", 0.9)]}
    desk.turn(finding(1, scope=whole, owner="board", **falls), finding(1, size=estimate(-0.5, n=900)))
    assert desk.alert(whole).inhibited == desk.alert({"brand": "acme", "touchpoint": "delivery"}).id
    assert [s.notice.accounts[0].owner for s in desk.book.sendings.values()] == ["logistics"]
    desk.turn(finding(2, Verdict.CALM), finding(2, scope=whole, owner="board", **falls), after_s=HOUR)
    assert desk.alert(whole).inhibited == ""
    assert sorted((s.notice.accounts[0].owner, s.notice.state) for s in desk.book.sendings.values()) == [
        ("board", "firing"),
        ("logistics", "firing"),
        ("logistics", "resolved"),
    ]


def test_a_receiver_that_is_gone_is_passed_over_and_nobody_is_told_by_nobody() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1, route="there-is-no-such-route"))
    assert desk.said() == [("firing", "ops")]
    assert desk.incident().route == "default"


def test_a_message_shows_nothing_of_what_is_silenced() -> None:
    desk = Desk(routes_of("ops"))
    desk.ask("silence", "", end_ms=desk.now_ms + HOUR * 1000, matchers=[as_json("touchpoint=checkout")])
    desk.turn(finding(1), finding(1, scope=CHECKOUT))
    (sent,) = desk.book.sendings.values()
    assert [part.finding.scope["touchpoint"] for part in sent.notice.accounts[0].parts] == ["delivery"]


def test_what_fired_and_ended_while_nobody_looked_has_an_incident_and_calls_nobody() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1), finding(2), finding(3, Verdict.CALM))
    assert desk.incident().state == State.RESOLVED
    assert desk.words("incident") == ["opened", "resolved"]
    assert desk.said() == []
