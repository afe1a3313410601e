"""Profiles: as of the event's time, in whatever order the rows came, and fast enough to hold many."""

from __future__ import annotations

import random

import numpy as np
import polars as pl

from pipeline.customers.profiles import COLUMNS, DELTA_ROWS, TOMBSTONE_MS, Profiles

#: (off, customer, valid_from_ms, segments, unit)
Fact = tuple[int, int, int, str, str]


def frame(facts: list[Fact]) -> pl.DataFrame:
    return pl.DataFrame(facts, schema=COLUMNS, orient="row")


def asked(profiles: Profiles, customer: int, moment: int, part: int = 0) -> tuple[str, str]:
    segments, unit = profiles.lookup(part, np.array([customer], np.uint64), np.array([moment], np.int64))
    return segments[0], unit[0]


def test_an_event_before_the_change_keeps_the_old_segment() -> None:
    profiles = Profiles()
    profiles.load(0, frame([(1, 7, 100, "new", "u1"), (2, 7, 200, "loyal,premium", "u2")]))
    assert [asked(profiles, 7, at) for at in (99, 100, 199, 200, 10**15)] == [
        ("", ""),
        ("new", "u1"),
        ("new", "u1"),
        ("loyal,premium", "u2"),
        ("loyal,premium", "u2"),
    ]


def test_nothing_is_known_of_other_customers_parts_and_no_customer() -> None:
    profiles = Profiles()
    profiles.load(0, frame([(1, 7, 100, "new", "u1")]))
    assert asked(profiles, 8, 500) == asked(profiles, 2**64 - 1, 500) == asked(profiles, 0, 500) == ("", "")
    assert asked(profiles, 7, 500, part=1) == ("", "")
    assert asked(Profiles(), 7, 500) == ("", "")


def test_a_later_profile_with_an_earlier_moment_takes_its_place_in_history() -> None:
    profiles = Profiles()
    profiles.apply(0, frame([(1, 7, 200, "loyal", "")]))
    profiles.apply(0, frame([(2, 7, 100, "new", "")]))
    assert [asked(profiles, 7, at)[0] for at in (150, 250)] == ["new", "loyal"]


def test_of_the_same_moment_the_higher_offset_wins_in_any_order() -> None:
    for first, second in ((1, 2), (2, 1)):
        profiles = Profiles()
        profiles.load(0, frame([(first, 7, 100, f"s{first}", "")]))
        profiles.apply(0, frame([(second, 7, 100, f"s{second}", "")]))
        assert asked(profiles, 7, 100)[0] == "s2"


def test_a_tombstone_forgets_the_customer_and_only_the_customer() -> None:
    profiles = Profiles()
    profiles.load(0, frame([(1, 7, 100, "new", "u"), (2, 8, 100, "new", "u")]))
    profiles.apply(0, frame([(3, 7, TOMBSTONE_MS, "", "")]))
    assert asked(profiles, 7, 500) == ("", "")
    assert asked(profiles, 8, 500) == ("new", "u")
    profiles.apply(0, frame([(4, 7, 300, "loyal", "")]))
    assert [asked(profiles, 7, at)[0] for at in (200, 300)] == ["", "loyal"]


def test_a_replay_does_not_bring_back_what_a_tombstone_took() -> None:
    profiles = Profiles()
    profiles.apply(0, frame([(1, 7, 100, "new", "u"), (2, 7, TOMBSTONE_MS, "", "")]))
    profiles.apply(0, frame([(1, 7, 100, "new", "u")]))
    assert asked(profiles, 7, 500) == ("", "")


def test_a_load_replaces_and_a_forgotten_partition_is_gone() -> None:
    profiles = Profiles()
    profiles.load(0, frame([(5, 7, 100, "new", "")]))
    profiles.load(0, frame([(3, 8, 100, "new", "")]))
    assert (asked(profiles, 7, 500)[0], asked(profiles, 8, 500)[0]) == ("", "new")
    assert (profiles.position(0), len(profiles)) == (3, 1)
    profiles.forget(0)
    profiles.forget(0)
    assert (profiles.position(0), len(profiles)) == (-1, 0)
    assert asked(profiles, 8, 500)[0] == ""


def test_an_empty_partition_loads_and_takes_rows() -> None:
    profiles = Profiles()
    profiles.load(0, frame([]))
    profiles.apply(0, frame([]))
    assert asked(profiles, 7, 500) == ("", "")
    profiles.apply(0, frame([(0, 7, 100, "new", "")]))
    assert asked(profiles, 7, 500)[0] == "new"


def test_many_steps_agree_with_a_walk_over_all_facts() -> None:
    chance = random.Random(1)
    profiles, facts = Profiles(), list[Fact]()
    profiles.load(0, frame([]))
    for _ in range(40):
        batch: list[Fact] = []
        for _ in range(chance.randrange(1, 30)):
            erased = chance.random() < 0.02
            moment = TOMBSTONE_MS if erased else chance.randrange(50)
            segments = "" if erased else f"s{chance.randrange(5)}"
            batch.append((len(facts) + len(batch), chance.randrange(20), moment, segments, segments.upper()))
        facts += batch
        known = chance.choices(facts, k=3) if chance.random() < 0.3 else []
        profiles.apply(0, frame([*batch, *known]))
        customers = np.repeat(np.arange(21, dtype=np.uint64), 51)
        moments = np.tile(np.arange(51, dtype=np.int64), 21)
        segments_found, units = profiles.lookup(0, customers, moments)
        expected = [walked(facts, int(c), int(m)) for c, m in zip(customers, moments, strict=True)]
        assert segments_found.to_list() == expected
        assert units.to_list() == [segment.upper() for segment in expected]


def test_the_rows_beside_are_merged_when_they_are_many() -> None:
    profiles = Profiles()
    profiles.load(0, frame([(0, 1, 0, "a", "")]))
    half = DELTA_ROWS // 2 + 1
    for step in range(3):
        profiles.apply(0, frame([(1 + step * half + i, 10 + i, step, f"s{step}", "") for i in range(half)]))
    assert [asked(profiles, 10, at)[0] for at in (0, 1, 2)] == ["s0", "s1", "s2"]
    assert asked(profiles, 1, 5)[0] == "a"
    assert len(profiles) == 1 + 3 * half


def walked(facts: list[Fact], customer: int, moment: int) -> str:
    """What holds, found the slow way: in order of offset, a tombstone empties, the newest moment not after wins."""
    history: dict[int, str] = {}
    for _, who, since, segments, _ in facts:
        if who == customer:
            if since == TOMBSTONE_MS:
                history.clear()
            else:
                history[since] = segments
    held = [since for since in history if since <= moment]
    return history[max(held)] if held else ""


def many(first: int, count: int) -> pl.DataFrame:
    """One row a customer, of the same moment; the customer's number is its offset."""
    return frame([(number, number + 1, 100, "loyal", "u1") for number in range(first, first + count)])


def test_beyond_the_limit_those_leave_who_have_not_changed_for_the_longest_and_are_counted() -> None:
    profiles = Profiles(limit=1_000)
    profiles.load(0, many(0, 1_000))
    assert (len(profiles), profiles.dropped) == (1_000, 0)
    profiles.apply(0, many(1_000, 1))
    assert (len(profiles), profiles.dropped) == (950, 51)
    assert asked(profiles, 51, 500) == ("", "")
    assert asked(profiles, 52, 500) == asked(profiles, 1_001, 500) == ("loyal", "u1")
    assert profiles.position(0) == 1_000


def test_the_fullest_partitions_make_room_and_small_ones_keep_all() -> None:
    profiles = Profiles(limit=1_000)
    profiles.load(0, many(0, 100))
    profiles.load(1, many(0, 500))
    profiles.load(2, many(0, 800))
    assert profiles.dropped == 1_400 - len(profiles)
    assert len(profiles) <= 1_000
    assert asked(profiles, 1, 500, part=0) == ("loyal", "u1")
    assert asked(profiles, 1, 500, part=1) == asked(profiles, 1, 500, part=2) == ("", "")
    assert asked(profiles, 500, 500, part=1) == asked(profiles, 800, 500, part=2) == ("loyal", "u1")


def test_a_row_that_came_back_is_known_again() -> None:
    profiles = Profiles(limit=1_000)
    profiles.load(0, many(0, 2_000))
    assert asked(profiles, 1, 500) == ("", "")
    profiles.apply(0, frame([(2_000, 1, 100, "back", "u2")]))
    assert asked(profiles, 1, 500) == ("back", "u2")


def test_no_row_leaves_below_the_limit() -> None:
    profiles = Profiles(limit=1_000)
    for start in range(0, 1_000, 100):
        profiles.apply(0, many(start, 100))
    assert (len(profiles), profiles.dropped) == (1_000, 0)
