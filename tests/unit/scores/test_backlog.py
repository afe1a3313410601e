"""How far scores are behind: events that arrived and are not counted, and the clock of who is farthest back."""

from __future__ import annotations

from pipeline.scores.backlog import measured, sentence
from pipeline.scores.closing import Progress


def at(part: int, settled: int, log_end: int, clock_ms: int) -> Progress:
    return Progress("feedback", 1, part, settled, clock_ms, log_end)


def test_the_farthest_back_is_the_clock_of_a_partition_that_has_something_to_count() -> None:
    assert measured([at(0, 99, 100, 5_000), at(1, 49, 100, 9_000), at(2, 9, 1_000, 7_000)]) == (1_040, 7_000)
    assert measured([at(0, 99, 100, 5_000)]) == (0, 0), "a quiet partition is not behind, however old its clock"
    assert measured([at(0, 120, 100, 5_000), at(1, -1, 10, 0)]) == (10, 0), "nothing counted yet: no clock"


def test_people_are_told_how_far_it_has_come() -> None:
    found = {"behind": 1_200_000, "counted_through": "2026-11-25T20:00:00Z", "as_of": "2026-11-25T20:10:00Z"}
    assert sentence(found) == (
        "catching up: 1,200,000 events behind, counted through 2026-11-25T20:00:00Z "
        "(as of 2026-11-25T20:10:00Z); these scores will change"
    )
    assert "counted through" not in sentence(found | {"counted_through": None})
