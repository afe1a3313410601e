"""Alerts on the page: the newest step of each, what is open first, nothing that is not one, never too many."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipeline.views.page.alarms import ALARMS_S, Alarms, began
from schemas.codec import encode
from schemas.outgoing import Alert

#: 2026-05-01 08:00 UTC.
NOW = 1_777_622_400


def step(name: str = "a", **other: Any) -> bytes:
    fields: dict[str, Any] = {"alert_id": name, "state": "firing", "rule": "drop", "scope": {"brand": "b"}}
    rest = {"owner": "logistics", "revision": 1, "at": "2026-05-01T07:59:00Z"}
    return orjson.dumps({**fields, **rest, **other})


def test_the_record_of_the_topic_is_an_alert() -> None:
    alarms = Alarms()
    record = Alert(alert_id="a", state="opened", rule="r", scope={}, owner="o", revision=0, at="2026-05-01T07:59:00Z")
    assert alarms.take(encode(record))
    assert alarms.newest(NOW)[0]["owner"] == "o"


def test_a_newer_step_replaces_and_an_older_one_changes_nothing() -> None:
    alarms = Alarms()
    assert alarms.take(step(revision=2))
    assert not alarms.take(step(revision=2, state="resolved"))
    assert not alarms.take(step(revision=1, state="resolved"))
    assert alarms.open(NOW) == 1
    assert alarms.take(step(revision=3, state="resolved"))
    assert alarms.open(NOW) == 0
    assert alarms.take(step(revision=0, ver=1))
    assert alarms.open(NOW) == 1


def test_open_ones_stand_first_and_old_ones_go() -> None:
    alarms = Alarms()
    alarms.take(step("over", state="resolved", at="2026-05-01T07:59:59Z"))
    alarms.take(step("open"))
    assert [one["alert_id"] for one in alarms.newest(NOW)] == ["open", "over"]
    assert alarms.newest(NOW + ALARMS_S) == []


def test_alerts_of_an_incident_are_shown_as_the_incident() -> None:
    alarms = Alarms()
    alarms.take(step("part", kind="alert", incident="i"))
    alarms.take(step("whole", kind="incident"))
    alarms.take(step("quiet", kind="silence"))
    alarms.take(step("trial", shadow=True))
    assert [one["alert_id"] for one in alarms.newest(NOW)] == ["whole"]


@pytest.mark.parametrize(
    "value", [None, b"", b"[]", b"{}", step(at="yesterday"), step(scope="x"), step(revision="1"), step(alert_id=1)]
)
def test_what_is_no_alert_is_left_out(value: bytes | None) -> None:
    assert not Alarms().take(value)


def test_the_oldest_go_when_there_are_too_many() -> None:
    alarms = Alarms(most=5)
    for i in range(9):
        alarms.take(step(str(i)))
    assert {one["alert_id"] for one in alarms.newest(NOW)} == set("45678")


def test_an_incident_brings_its_alerts_those_that_still_fire_first() -> None:
    alarms = Alarms()
    for name, state in (("calm", "resolved"), ("loud", "firing"), ("other", "firing")):
        alarms.take(step(name, state=state, kind="alert", incident="j" if name == "other" else "i"))
    alarms.take(step("whole", kind="incident", incident="i", count=2))
    found = alarms.newest(NOW)[0]
    assert [one["alert_id"] for one in found["alerts"]] == ["loud", "calm"]
    assert alarms.find("whole") is not None
    assert alarms.find("nothing") is None


def test_the_clock_runs_from_the_first_step_and_begins_anew_when_it_is_opened_again() -> None:
    alarms = Alarms()

    def since(revision: int, state: str, at: str) -> str:
        alarms.take(step(revision=revision, state=state, at=f"2026-05-01T{at}:00Z"))
        return str(alarms.newest(NOW)[0]["since"])[11:16]

    assert since(1, "firing", "07:10") == "07:10"
    assert since(2, "firing", "07:20") == "07:10"
    assert since(3, "resolved", "07:30") == "07:10"
    assert since(4, "firing", "07:40") == "07:40"


def test_trouble_began_with_the_first_alert_of_an_incident_or_when_somebody_was_told() -> None:
    alarms = Alarms()
    for name, minute in (("a", "10"), ("b", "05")):
        alarms.take(step(name, incident="i", began=f"2026-05-01T07:{minute}:00Z"))
    alarms.take(step("whole", kind="incident", incident="i"))
    assert began(alarms.newest(NOW)[0]) == NOW - 55 * 60
    assert began(orjson.loads(step())) == NOW - 60
