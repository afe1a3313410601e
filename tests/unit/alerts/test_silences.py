"""Silences by matcher, mute times by the clock of a zone."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from pipeline.alerts.entries import Silence
from pipeline.alerts.silences import MuteTime, due_before, matcher, matches, muted, silencing
from pipeline.errors import UsageError
from tests.unit.alerts.findings import Desk, finding, routes_of

LABELS = {"metric": "nps", "touchpoint": "delivery"}
BRUSSELS = ZoneInfo("Europe/Brussels")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metric=nps", True),
        ("metric=np", False),
        ("metric!=nps", False),
        ("touchpoint=~deliv.*", True),
        ("touchpoint=~eliver", False),  # the whole value
        ("touchpoint!~check.*", True),
        ('touchpoint="delivery"', True),
        ("unit=", True),  # missing is empty
        ("unit!=", False),
    ],
)
def test_a_matcher_reads_as_in_alertmanager(text: str, expected: bool) -> None:
    assert matches([matcher(text)], LABELS) == expected


@pytest.mark.parametrize("text", ["metric", "=nps", "a b=c", "metric=~(", "metric=" + "x" * 257])
def test_what_is_no_matcher_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(UsageError):
        matcher(text)


def test_a_silence_holds_from_its_start_to_its_end_and_needs_all_its_matchers() -> None:
    desk = Desk(routes_of("ops"))
    desk.turn(finding(1))
    both = [matcher("metric=nps"), matcher("owner=logistics")]
    one = Silence(id="s-1", matchers=both, start_ms=10, end_ms=20, by="ann", comment="works")
    assert [silencing([one], desk.alert(), at) for at in (9, 10, 19, 20)] == ["", "s-1", "s-1", ""]
    other = Silence(id="s-2", matchers=[*both, matcher("owner=x")], start_ms=0, end_ms=99, by="ann", comment="")
    empty = Silence(id="s-3", matchers=[], start_ms=0, end_ms=99, by="ann", comment="")
    assert silencing([other, empty], desk.alert(), 15) == ""


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = MuteTime(frozenset({4}), time(22), time(6), ZoneInfo("UTC"))
    # 2026-03-06 is a Friday.
    moments = ["2026-03-06T05:00", "2026-03-06T21:59", "2026-03-06T22:00", "2026-03-07T05:59", "2026-03-07T06:00"]
    assert [friday_night.holds(ms(moment)) for moment in moments] == [False, False, True, True, False]
    assert not friday_night.holds(ms("2026-03-07T23:00"))


def test_hours_are_those_of_the_zone_also_when_its_clock_changes() -> None:
    morning = MuteTime(frozenset(range(7)), time(7), time(8), BRUSSELS)
    assert muted([morning], ms("2026-03-28T06:30"))  # winter: +1
    assert muted([morning], ms("2026-03-29T05:30"))  # summer since that night: +2
    assert not muted([morning], ms("2026-03-29T06:30"))


def test_the_last_time_that_something_was_due() -> None:
    now = ms("2026-03-03T07:30")  # 08:30 in Brussels
    assert due_before(time(8), BRUSSELS, now) == ms("2026-03-03T07:00")
    assert due_before(time(9), BRUSSELS, now) == ms("2026-03-02T08:00")
    assert due_before(time(7, 30), ZoneInfo("UTC"), now) == now
