"""What an event's own time makes of it, by rule and by nothing else: never by the clock of a worker."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.chaos import probe
from tests.chaos.generator import Event, moment
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ON_TIME, DELAYED, LATE = ("aggregated", ""), ("aggregated", "delayed"), ("late", "beyond_lateness")
BAD, WRONG = ("dead_letter", "bad_time"), ("dead_letter", "wrong_type")

#: Shift from now in ms -> what becomes of it, after an event that is on time has set the clock.
SHIFTED = {
    -2_000: ON_TIME,
    4 * MINUTE: ON_TIME,
    6 * MINUTE: BAD,
    -10 * MINUTE: DELAYED,
    -23 * HOUR: DELAYED,
    -25 * HOUR: LATE,
    -29 * DAY: LATE,
    -31 * DAY: BAD,
    366 * DAY: BAD,
    3_653 * DAY: BAD,
}
#: The same moment written in other ways, all of them RFC 3339.
WRITTEN: tuple[Callable[[datetime], str], ...] = (
    lambda at: at.isoformat(timespec="milliseconds"),
    lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "z").replace("T", "t"),
    lambda at: at.isoformat(timespec="microseconds"),
    lambda at: at.astimezone(timezone(timedelta(hours=1))).isoformat(timespec="milliseconds"),  # winter time
    lambda at: at.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="milliseconds"),  # summer time
    lambda at: at.astimezone(timezone(timedelta(hours=-11, minutes=-30))).isoformat(timespec="milliseconds"),
    lambda at: at.astimezone(timezone(timedelta(hours=14))).isoformat(timespec="milliseconds"),
)
#: No moment at all, or none that can be known.
UNREADABLE = (
    "2026-01-01T00:00:00",  # no zone
    "2026-01-01",
    "2016-12-31T23:59:60Z",  # a leap second
    "2026-02-30T12:00:00Z",
    "2026-01-01T25:00:00Z",
    "yesterday",
    "",
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def written(event: Event, occurred_at: object) -> Event:
    """The event with its time written like this."""
    return event._replace(value=json.dumps(json.loads(event.value or b"") | {"occurred_at": occurred_at}).encode())


def test_early_late_and_unreadable_times_are_judged_by_rule(case: Case) -> None:
    """T25."""
    case.worker("one")
    probe.send(case, [feedback(unique("first"), now_ms())], part=1)
    case.settle()  # the table's rows are judged in a poll of their own, against the clock of this one
    at_ms = now_ms()
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    events = [feedback(unique("shifted"), at_ms + shift) for shift in SHIFTED]
    events += [written(feedback(unique("written"), at_ms), write(at)) for write in WRITTEN]
    events += [written(feedback(unique("unreadable"), at_ms), text) for text in (*UNREADABLE, None, at_ms, True)]
    events += [feedback(unique("1970"), 0)]
    places = probe.send(case, events, part=1)
    found = case.verify()
    rows = probe.ledger(case, "disposition, reason, occurred_ms")
    verdicts = [(rows[place]["disposition"], rows[place]["reason"]) for place in places]
    assert dict(zip(SHIFTED, verdicts, strict=False)) == SHIFTED
    same = places[len(SHIFTED) : len(SHIFTED) + len(WRITTEN)]
    assert [(rows[place]["disposition"], rows[place]["occurred_ms"]) for place in same] == [
        ("aggregated", at_ms) for _ in WRITTEN
    ]
    assert {verdict[0] for verdict in verdicts[len(SHIFTED) + len(WRITTEN) :]} == {"dead_letter"}
    assert verdicts[-1] == BAD
    assert found.dispositions["late"] == 2
    days = case.rows("SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND table = 'windows'")
    assert days[0]["n"] < 50


def test_one_event_of_next_year_makes_nothing_late_and_moves_no_clock(case: Case) -> None:
    """T25."""
    case.worker("one")
    before = now_ms()
    events = [feedback(unique("good"), before)]
    events += [feedback(unique("next-year"), before + 366 * DAY), feedback(unique("soon"), before + 4 * MINUTE)]
    events += [feedback(unique("good"), before - 3_000) for _ in range(50)]
    probe.send(case, events, part=2)
    found = case.verify()
    assert found.dispositions == {"aggregated": 52, "dead_letter": 1}
    assert found.reasons["delayed"] == 0
    (progress,) = case.rows("SELECT clock_ms FROM progress FINAL WHERE topic = 'feedback' AND part = 2")
    assert before - 2 * MINUTE < progress["clock_ms"] <= now_ms()


def test_history_has_no_age_and_no_lateness_and_moves_no_clock(case: Case) -> None:
    """T25."""
    case.worker("one")
    shifts = (-40 * DAY, -3_653 * DAY, -2 * DAY, 366 * DAY)
    events = [feedback(unique("old"), now_ms() + shift)._replace(topic="history") for shift in shifts]
    events += [feedback(unique("1970"), 1)._replace(topic="history")]
    events += [written(feedback(unique("1969"), 0)._replace(topic="history"), "1969-12-31T23:59:59Z")]
    places = probe.send(case, events, part=0)
    case.verify()
    rows = probe.ledger(case)
    verdicts = [(rows[place]["disposition"], rows[place]["reason"]) for place in places]
    assert verdicts == [ON_TIME, ON_TIME, ON_TIME, BAD, ON_TIME, BAD]
    (progress,) = case.rows("SELECT max(clock_ms) AS clock FROM progress FINAL WHERE topic = 'history'")
    assert progress["clock"] == 0


def program(how: str, seconds: float) -> tuple[str, ...]:
    """How to start a worker whose clock is wrong by so many seconds."""
    if how == "injected":
        return ("-m", "tests.chaos.skewed_worker", str(seconds))
    # The library without its wrapper: the wrapper is a process of its own, and a kill would miss the worker behind it.
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    fake = {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+.0f}s", "DONT_FAKE_MONOTONIC": "1"}
    words = [sys.executable, "-m", "agents"]
    return ("-c", f"import os, sys; os.execve(sys.executable, {words!r}, {{**os.environ, **{fake!r}}})")


@pytest.mark.parametrize("how", ["injected", pytest.param("faketime", marks=pytest.mark.prove)])
def test_workers_whose_clocks_are_an_hour_wrong_count_the_same_windows(case: Case, how: str) -> None:
    """T26."""
    if how == "faketime" and shutil.which("faketime") is None:
        pytest.skip("NOT RUN: `faketime` is not installed (Debian: apt-get install faketime)")
    fast = case.worker("fast", program(how, 3600.0))
    case.worker("slow", program(how, -3600.0))
    began = now_ms()
    with case.feed(rate=500, seed=26):
        case.flowing(1_000)
        case.in_flight()
        fast.kill()
        case.worker("jumping", ("-m", "tests.chaos.skewed_worker", "0,3600,-3600"))
        case.flowing(1_000)
    found = case.verify()
    assert found.dispositions.keys() >= {"aggregated", "late", "duplicate", "dead_letter"}
    (times,) = case.rows("SELECT min(ingest_ms) AS first, max(ingest_ms) AS last, uniqExact(day) AS days FROM ledger")
    assert began - MINUTE < times["first"] <= times["last"] < now_ms() + MINUTE
    assert times["days"] <= 2
    if how == "faketime":  # the injected clock is wrong for Python only; the log is stamped by C
        line = next(line for line in fast.log.read_text().splitlines() if "worker serves" in line)
        stamp = json.loads(line[line.index("{") :])["timestamp"]
        assert stamp > moment(began + HOUR // 2), "the worker's own clock was not wrong"
