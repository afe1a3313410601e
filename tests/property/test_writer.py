"""The delivery core through thousands of schedules of faults: every offset once, windows exact, no commit too early.

Each mutant below breaks one rule of the design. It must be caught: a simulator that lets one through proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.property.simulation import World, broken_by
from tests.property.workers import Rules

#: Schedules in `make test`; `make prove` runs ten times as many.
SCHEDULES = 1_000


def fence_of_generations(found: int, generation: int, attempt: int) -> int:
    """A fence whose upper half rises with every new attempt: a former owner can end up above its successor."""
    incarnation, seen = found >> 32, found & (1 << 32) - 1
    return (incarnation + 1 if found and seen >= generation else incarnation) << 32 | generation


def beyond_any_gap(position: int, gaps: Iterable[tuple[int, int]]) -> int:
    """A position that believes a gap although rows below it were never stored."""
    return max([position, *(hi for _, hi in gaps)])


def test_every_offset_is_counted_once_through_a_thousand_schedules() -> None:
    assert broken_by(Rules(), range(SCHEDULES)) is None


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_every_offset_is_counted_once_through_ten_thousand_schedules() -> None:
    assert broken_by(Rules(), range(SCHEDULES, 11 * SCHEDULES)) is None


def test_a_schedule_is_the_same_each_time() -> None:
    one, other = World(3, Rules()), World(3, Rules())
    one.run()
    other.run()
    assert one.sink == other.sink
    assert one.now == other.now


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (Rules(commit_after_insert=False), "committed"),
        (Rules(whole_token=False), "do not make up"),
        (Rules(absolute_windows=False), "windows"),
        (Rules(guard=False), "do not make up"),
        (Rules(fence=fence_of_generations), "windows"),
        (Rules(fence=lambda found, generation, attempt: 1), "windows"),
        (Rules(beyond=beyond_any_gap), "do not make up"),
    ],
    ids=[
        "commit before insert",
        "token without lo",
        "windows that add",
        "no guard",
        "rising fence",
        "no fence",
        "gap ahead",
    ],
)
def test_a_mutant_is_caught(rules: Rules, told: str) -> None:
    found = broken_by(rules, range(SCHEDULES))
    assert found is not None
    assert told in str(found[1])
