"""How the work of a takeover is cut into questions."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scores.recompute import Part
from pipeline.scores.takeover import MANY_MINUTES, Plan, floor_of, portions

HOUR = 3_600


def plan(part: int, rows: int, newest: int = 30, cold: int = 0) -> Plan:
    """A partition whose newest minute is so many minutes after the start of time."""
    hot = list(range(max(0, newest * 60 - 29 * 60), newest * 60 + 60, 60))
    before = list(range(10 * HOUR, 10 * HOUR + cold * 60, 60))
    return Plan(Part("feedback", 1, part, 100), 90, 0, hot[0] - 60, hot, before, rows)


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(30, 90)), min_size=1, max_size=12))
def test_every_hot_minute_of_every_partition_is_asked_for_once(given: list[tuple[int, int]]) -> None:
    plans = [plan(part, rows, newest) for part, (rows, newest) in enumerate(given)]
    found = Counter(
        (each.where.part, minute)
        for portion in portions(plans, everything=False)
        for each in portion.plans
        for minute in each.hot
    )
    assert found == Counter((each.where.part, minute) for each in plans for minute in each.hot)


def test_small_partitions_share_a_question_and_a_great_one_has_several() -> None:
    small, great = [plan(part, 2_000) for part in range(12)], plan(12, 300_000)
    *rest, first = portions([*small, great], everything=False)
    assert (len(first.plans), {len(each.hot) for each in first.plans}, first.together) == (12, {30}, True)
    assert [len(portion.plans) for portion in rest] == [1, 1, 1, 1]
    assert max(len(portion.plans[0].hot) for portion in rest) == 8


def test_cold_minutes_are_asked_for_by_partition_and_too_many_of_them_as_a_whole() -> None:
    some, many = plan(0, 10, cold=3), plan(1, 10, cold=MANY_MINUTES + 1)
    cold, whole, hot = portions([some, many], everything=False)
    assert (cold.minutes, cold.together) == (some.cold, False)
    assert (whole.plans, whole.minutes, whole.together) == ([many], None, False)
    assert (hot.plans, hot.together) == ([some], True)
    assert [portion.minutes for portion in portions([some, many], everything=True)] == [None, None]


def test_nothing_recorded_is_nothing_to_ask() -> None:
    nothing = Plan(Part("feedback", 1, 0, 0), -1, 0, -60, [], [], 0)
    assert list(portions([nothing], everything=False)) == []


def test_the_floor_lies_half_an_hour_back_and_never_in_a_day_that_is_kept_by_the_hour() -> None:
    assert floor_of(100 * HOUR, ()) == 100 * HOUR - HOUR // 2
    assert floor_of(100 * HOUR, {4}) == 5 * 24 * HOUR - 60
