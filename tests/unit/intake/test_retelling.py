"""A past day told anew: in order, each event once, with its own time, and no gap to what is live afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.intake.retelling import WAITING_PACE, Tempo, by_topic
from pipeline.intake.simulator import Batch, simulate_history
from pipeline.intake.world import World

_HOUR = 3_600_000
END = 1_764_072_000_000
TEMPO = Tempo(END - 24 * _HOUR, END - 2 * _HOUR, END, quick_s=10.0, slow_s=20.0)


def test_the_telling_ends_when_the_clock_on_the_wall_reaches_the_end() -> None:
    assert TEMPO.begins_ms == END - 30_000
    assert TEMPO.reached(0.0) == END - 24 * _HOUR
    assert TEMPO.reached(10.0) == END - 2 * _HOUR
    assert TEMPO.reached(20.0) == END - _HOUR
    assert TEMPO.reached(30.0) == TEMPO.reached(99.0) == END


@pytest.mark.parametrize("passed", [0.0, 3.0, 9.99, 10.01, 25.0, 29.9])
def test_no_event_is_told_before_it_happened(passed: float) -> None:
    assert TEMPO.reached(passed) <= TEMPO.begins_ms + passed * 1000


def test_from_what_is_to_be_watched_on_it_waits_by_going_slowly_until_it_is_seen() -> None:
    watched = replace(TEMPO, watch_ms=END - _HOUR)
    assert watched.counts(19.9, seen=False) == 1.0
    # Two hours in 20 s are 360 times as fast as the wall; waiting is 10 times as fast.
    assert watched.counts(20.0, seen=False) == pytest.approx(WAITING_PACE / 360)
    assert watched.counts(20.0, seen=True) == 1.0
    assert TEMPO.counts(5.0, seen=False) == 1.0, "the quick part never waits"
    told_s = 20.0 + 30 * watched.counts(20.0, seen=False)
    assert watched.reached(told_s) - watched.reached(20.0) == pytest.approx(300_000, abs=1)


def test_each_event_is_told_once_and_in_order() -> None:
    world = World(customers=500, bad=0.01)
    batches = list(simulate_history(world, TEMPO.start_ms, END, 12_000))
    told, found = by_topic(batches), dict[str, list[bytes]]()
    for step in range(31):
        for name, topic in told.items():
            keys, values = topic.until(TEMPO.reached(float(step)))
            assert len(keys) == len(values)
            found.setdefault(name, []).extend(values)
            assert all(time < TEMPO.reached(float(step)) for time in topic.times[: topic.done])
    assert found == {name: topic.values for name, topic in told.items()}
    assert sum(map(len, found.values())) == 12_000
    assert all(topic.times == sorted(topic.times) for topic in told.values())


def test_nothing_is_told_of_nothing() -> None:
    assert by_topic([]) == {}
    alone = by_topic([Batch("feedback", [b"k"], [b"v"], [5])])["feedback"]
    assert alone.until(5) == ([], [])
    assert alone.until(6) == ([b"k"], [b"v"])
    assert alone.until(7) == ([], [])
