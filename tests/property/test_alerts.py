"""Laws of alerts: whatever comes in whatever order, the rows give the same book, and nothing is lost or said twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts.entries import Sending, State
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.inhibition import inhibited
from pipeline.alerts.life import REMEMBERED_MS
from pipeline.alerts.outbox import Answer, answered, ready
from tests.unit.alerts.findings import Desk, estimate, finding, replayed, routes_of

SCOPES: tuple[dict[str, str], ...] = (
    {},
    {"brand": "acme"},
    {"brand": "acme", "touchpoint": "delivery"},
    {"brand": "acme", "touchpoint": "delivery", "unit": "be-1"},
    {"brand": "zeta"},
)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    more: dict[str, Any] = {
        "scope": draw(st.sampled_from(SCOPES)),
        "size": draw(st.none() | st.builds(estimate, st.floats(-0.5, 0.1), n=st.integers(1, 2_000))),
        "severity": draw(st.sampled_from(("warning", "error", "critical"))),
        "owner": draw(st.sampled_from(("a", "b"))),
        "pending_s": draw(st.sampled_from((0, 0, 600))),
        "keep_s": draw(st.sampled_from((0, 0, 600))),
        "shadow": draw(st.integers(0, 9)) == 0,
    }
    if draw(st.integers(0, 4)) == 0:
        more |= {"event": f"feedback:1:0:{draw(st.integers(0, 20))}", "rule": "detractor"}
        return finding(draw(st.integers(0, 60)), **more)
    return finding(draw(st.integers(0, 60)), draw(st.sampled_from(Verdict)), **more)


KINDS = ("turn", "turn", "turn", "ack", "resolve", "silence", "answer", "restart")


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_interleaving_with_restarts_equals_the_one_without(data: st.DataObject) -> None:
    """Two books see the same; one is read back from its rows now and then. They never differ."""
    routes = routes_of("ops", "mail", others=("lead",), ladder=(("lead",),), group_wait_s=30)
    one, other = Desk(routes), Desk(routes)
    for _ in range(data.draw(st.integers(1, 25))):
        kind = data.draw(st.sampled_from(KINDS))
        if kind == "turn":
            seen = data.draw(st.lists(findings(), max_size=3))
            after = data.draw(st.sampled_from((1, 31, 300, 3_600, 50_000)))
            for desk in (one, other):
                desk.turn(*seen, after_s=after)
        elif kind in ("ack", "resolve") and one.book.incidents:
            target = data.draw(st.sampled_from(sorted(one.book.incidents)))
            assert one.ask(kind, target) == other.ask(kind, target)
        elif kind == "silence":
            body: dict[str, Any] = {
                "matchers": [{"name": "brand", "op": "=", "value": "acme"}],
                "end_ms": one.now_ms + 3_600_000,
            }
            assert one.ask("silence", "", **body) == other.ask("silence", "", **body)
        elif kind == "answer":
            fate = data.draw(st.sampled_from(("sent", "again", "refused", "gone")))
            for desk in (one, other):
                for line in ready(desk.book, desk.now_ms).values():
                    answered(desk.book, line[0], Answer(fate), desk.now_ms)
        elif kind == "restart":
            steps = other.book.steps
            other.book = replayed(other.book)
            other.book.steps = steps
            other.book.forget(other.now_ms - REMEMBERED_MS)
            one.book.forget(one.now_ms - REMEMBERED_MS)
        assert sorted(map(repr, one.book.entries())) == sorted(map(repr, other.book.entries()))
    holds(one)


def holds(desk: Desk) -> None:
    """What is true of every book."""
    for incident in desk.book.incidents.values():
        members = [desk.book.alerts[name] for name in incident.members if name in desk.book.alerts]
        assert incident.open == any(alert.open and alert.incident == incident.key for alert in members)
    waiting = [s.entry.id for s in desk.book.steps if isinstance(s.entry, Sending) and s.step == "waiting"]
    assert len(waiting) == len(set(waiting)), "two messages have one id"
    told: set[str] = set()
    for step in desk.book.steps:
        if isinstance(step.entry, Sending) and step.step == "waiting":
            notice = step.entry.notice
            assert step.entry.id == notice.id
            assert notice.state != "resolved" or notice.fingerprint in told, "the end of what was never told"
            told |= {notice.fingerprint, *(account.id for account in notice.accounts)}


@given(st.lists(findings(), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_some_alert_always_speaks_for_each_that_is_mute(seen: list[Finding]) -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(*seen)
    firing = {a.id: a for a in desk.book.alerts.values() if a.state in (State.FIRING, State.RECOVERING)}
    mute = inhibited(firing.values())
    for name in mute:
        speaker, passed = mute[name], {name}
        while speaker in mute:
            assert speaker not in passed, "they silence each other"
            passed.add(speaker)
            speaker = mute[speaker]
        assert speaker in firing


@given(st.lists(st.sampled_from(("sent", "again", "again", "again")), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_a_message_keeps_its_id_and_is_sent_once_or_waits(fates: list[str]) -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    (first,) = ready(desk.book, desk.now_ms)["ops"]
    for fate in fates:
        desk.now_ms += 900_000 * 2
        line = ready(desk.book, desk.now_ms).get("ops", [])
        if not line:
            break
        assert line[0].id == first.id
        answered(desk.book, line[0], Answer(fate), desk.now_ms)
    sent = desk.book.sendings[first.id]
    assert sent.state == ("sent" if "sent" in fates[: sent.attempts] else "waiting")
