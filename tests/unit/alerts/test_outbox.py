"""The outbox: at least once with the same id, in order, later each time, and loudly when it gives up."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.alerts.entries import Sending, State
from pipeline.alerts.finding import Verdict
from pipeline.alerts.outbox import GIVE_UP_MS, RULE, Answer, answered, ready, wait
from pipeline.alerts.routes import Receiver, Route, Routes
from tests.unit.alerts.findings import Desk, finding, routes_of

HOUR = 3_600


def fired(routes: Routes | None = None) -> Desk:
    desk = Desk(routes or routes_of("ops"))
    desk.turn(finding(1))
    return desk


def next_of(desk: Desk, receiver: str = "ops") -> Sending:
    (sending,) = ready(desk.book, desk.now_ms)[receiver]
    return sending


def test_a_message_is_known_by_incident_state_revision_and_receiver() -> None:
    desk = fired()
    incident = desk.incident()
    assert next_of(desk).id == f"{incident.id}-firing-{incident.revision}-ops"


def test_what_was_sent_is_not_ready_again() -> None:
    desk = fired()
    answered(desk.book, next_of(desk), Answer("sent"), desk.now_ms)
    assert ready(desk.book, desk.now_ms + GIVE_UP_MS) == {}


def test_tries_come_later_each_time_with_jitter_that_is_the_same_for_the_same_try() -> None:
    waits = [wait("m", tries) for tries in range(1, 12)]
    for tries, ms in enumerate(waits, 1):
        whole = min(5_000 * 2 ** (tries - 1), 900_000)
        assert whole * 0.5 <= ms < whole * 1.5
    assert waits == [wait("m", tries) for tries in range(1, 12)]
    assert wait("other", 1) != wait("m", 1)


def test_a_receiver_that_asks_for_time_gets_it() -> None:
    desk = fired()
    answered(desk.book, next_of(desk), Answer("again", "429", retry_after_s=1_234.5), desk.now_ms)
    assert ready(desk.book, desk.now_ms + 1_234_499) == {}
    assert "ops" in ready(desk.book, desk.now_ms + 1_234_500)


def test_of_one_incident_the_end_waits_for_the_beginning() -> None:
    desk = fired()
    first = next_of(desk)
    answered(desk.book, first, Answer("again", "500"), desk.now_ms)
    desk.turn(finding(2, Verdict.CALM))
    assert ready(desk.book, desk.now_ms) == {}
    desk.turn(after_s=10)
    assert next_of(desk).id == first.id
    answered(desk.book, next_of(desk), Answer("sent"), desk.now_ms)
    assert next_of(desk).notice.state == "resolved"


def failing(desk: Desk) -> list[int]:
    """Tries the first message until it is a dead letter; when each try was, in ms since it was made."""
    first = next_of(desk)
    tried: list[int] = []
    while True:
        sending = desk.book.sendings[first.id]
        if sending.state != "waiting":
            return tried
        desk.now_ms = max(desk.now_ms, sending.next_ms)
        tried.append(desk.now_ms - sending.made_ms)
        assert sending.id == first.id
        answered(desk.book, sending, Answer("again", "500 from ops"), desk.now_ms)


def two() -> Routes:
    receivers = {name: Receiver(name, "stdout", {}) for name in ("ops", "mail")}
    return Routes(
        receivers, {"default": Route("default", ("mail",), group_wait_s=0), "one": Route("one", ("ops",))}, "staff"
    )


def test_after_a_day_it_is_a_dead_letter_with_an_alert_of_its_own_that_goes_elsewhere() -> None:
    desk = Desk(two())
    desk.turn(finding(1, route="one"), after_s=0)
    desk.turn(finding(2, route="one"), after_s=30)
    tried = failing(desk)
    assert len(tried) > 90
    assert GIVE_UP_MS - 1_400_000 < tried[-1] <= GIVE_UP_MS
    desk.turn()
    alert = next(a for a in desk.book.alerts.values() if a.last.rule == RULE)
    assert (alert.state, alert.last.scope, alert.last.owner) == (State.FIRING, {"receiver": "ops"}, "staff")
    about = [s for s in desk.book.sendings.values() if s.notice.accounts[0].owner == "staff"]
    assert [s.notice.receiver for s in about] == ["mail"]


def test_a_receiver_is_called_failing_long_before_anything_is_lost() -> None:
    desk = Desk(two())
    desk.turn(finding(1, route="one"))
    desk.turn(finding(2, route="one"), after_s=30)
    for _ in range(8):
        sending = desk.book.sendings[next(iter(desk.book.sendings))]
        desk.now_ms = max(desk.now_ms, sending.next_ms)
        answered(desk.book, sending, Answer("again", "timeout"), desk.now_ms)
    assert desk.now_ms - sending.made_ms < HOUR * 1000
    desk.turn()
    assert any(a.last.rule == RULE and a.open for a in desk.book.alerts.values())
    answered(desk.book, desk.book.sendings[sending.id], Answer("sent"), desk.now_ms + 2_000)
    desk.turn(after_s=2)
    assert not any(a.last.rule == RULE and a.open for a in desk.book.alerts.values())


def test_a_receiver_that_is_gone_is_disabled_with_a_notice_until_a_person_lets_it_be_tried_again() -> None:
    desk = Desk(two())
    desk.turn(finding(1, route="one"))
    desk.turn(finding(2, route="one"), after_s=30)
    answered(desk.book, next_of(desk), Answer("gone", "410 Gone"), desk.now_ms)
    assert desk.book.receivers["ops"].disabled == "410 Gone"
    desk.turn()
    assert [s.notice.receiver for s in desk.book.sendings.values() if s.notice.accounts[0].owner == "staff"] == ["mail"]
    desk.turn(finding(3, Verdict.CALM, route="one"))
    states = {s.notice.state: s.state for s in desk.book.sendings.values() if s.notice.receiver == "ops"}
    assert states == {"firing": "dead", "resolved": "dead"}
    desk.turn(finding(4, route="one"))
    desk.turn(finding(5, route="one"), after_s=30)
    assert {s.notice.receiver for s in desk.book.sendings.values() if s.made_ms == desk.now_ms} == {"mail"}
    assert desk.ask("enable", "ops") == "enabled"
    assert desk.ask("enable", "ops") == "ops is not disabled"
    assert desk.book.receivers["ops"].disabled == ""


def test_a_refused_message_is_dead_at_once_and_the_next_one_is_tried() -> None:
    desk = fired()
    answered(desk.book, next_of(desk), Answer("refused", "400 bad field"), desk.now_ms)
    desk.turn(finding(2, Verdict.CALM), after_s=1)
    assert [s.notice.state for s in ready(desk.book, desk.now_ms)["ops"] if s.notice.accounts[0].owner != "x"]


def test_the_message_says_what_was_true_when_it_was_decided() -> None:
    desk = fired()
    before = msgspec.json.encode(next_of(desk).notice)
    fields: dict[str, Any] = {"severity": "critical"}
    desk.turn(finding(2, **fields), after_s=1)
    assert msgspec.json.encode(next_of(desk).notice) == before


def test_a_receiver_that_the_routes_name_no_more_is_no_alert() -> None:
    desk = Desk(two())
    desk.turn(finding(1, route="one"))
    desk.turn(finding(2, route="one"), after_s=30)
    answered(desk.book, next_of(desk), Answer("gone"), desk.now_ms)
    desk.turn()
    assert any(a.last.rule == RULE and a.open for a in desk.book.alerts.values())
    desk.routes = routes_of("mail")
    desk.turn(after_s=HOUR)
    assert not any(a.last.rule == RULE and a.open for a in desk.book.alerts.values())
