"""The watchdog's judgement: it sees a worker that gets nothing done, and nothing else makes it bark."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.stillness import ALONE, Stand, Stillness
from pipeline.slices import Partition

LIMIT_S = 120.0
ONE, TWO = Partition("feedback", 1), Partition("feedback", 2)
WAITING = Stand(position=9, folded=9, log_end=20)
DONE = Stand(position=9, folded=9, log_end=10)


def test_a_worker_whose_partitions_all_stand_still_is_told_after_the_limit_and_not_before() -> None:
    watch = Stillness(LIMIT_S)
    assert watch.look(0.0, {ONE: WAITING, TWO: WAITING}) == {}
    assert watch.look(119.0, {ONE: WAITING, TWO: WAITING}) == {}
    assert watch.look(120.0, {ONE: WAITING, TWO: WAITING}) == {ONE: 120.0, TWO: 120.0}


def test_nothing_to_do_is_not_standing_still() -> None:
    watch = Stillness(LIMIT_S)
    assert all(watch.look(now, {ONE: DONE}) == {} for now in (0.0, 500.0, 5_000.0))


def test_a_partition_that_never_reaches_the_windows_stands_still_too() -> None:
    watch = Stillness(LIMIT_S)
    torn = Stand(position=9, folded=5, log_end=10)
    watch.look(0.0, {ONE: torn})
    assert watch.look(200.0, {ONE: torn}) == {ONE: 200.0}


def test_a_log_that_grows_is_no_progress() -> None:
    watch = Stillness(LIMIT_S)
    watch.look(0.0, {ONE: WAITING})
    assert watch.look(130.0, {ONE: Stand(9, 9, 5_000)}) == {ONE: 130.0}


def test_one_partition_may_queue_while_others_go_on_but_not_for_ever() -> None:
    watch = Stillness(LIMIT_S)
    found = [watch.look(float(now), {ONE: WAITING, TWO: Stand(now, now, 10_000)}) for now in range(0, 700, 10)]
    first = next(number for number, still in enumerate(found) if still)
    assert first * 10 == ALONE * LIMIT_S
    assert found[first] == {ONE: ALONE * LIMIT_S}


def test_an_excuse_begins_the_count_anew() -> None:
    watch = Stillness(LIMIT_S)
    watch.look(0.0, {ONE: WAITING})
    watch.look(119.0, {ONE: WAITING})
    watch.excuse()
    assert watch.look(121.0, {ONE: WAITING}) == {}
    assert watch.look(240.0, {ONE: WAITING}) == {}
    assert watch.look(241.0, {ONE: WAITING}) == {ONE: 120.0}


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    watch = Stillness(LIMIT_S)
    watch.look(0.0, {ONE: WAITING})
    watch.look(100.0, {})
    assert watch.look(130.0, {ONE: WAITING}) == {}


@given(st.lists(st.tuples(st.floats(0.1, 100.0), st.integers(1, 50)), min_size=1, max_size=40))
def test_whoever_gets_something_done_within_the_limit_is_never_told(steps: list[tuple[float, int]]) -> None:
    watch, now, position = Stillness(LIMIT_S), 0.0, 0
    watch.look(now, {ONE: Stand(0, 0, 1 << 40)})
    for seconds, events in steps:
        now, position = now + seconds, position + events
        assert watch.look(now, {ONE: Stand(position, position, 1 << 40)}) == {}
