"""From exposures to a ranked list: what is fixed first, what hurts, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.journeys import answers
from pipeline.journeys.drivers import DriverQuestion
from pipeline.journeys.impacts import Drivers, Exposed, drivers_of
from pipeline.scores.meters import bounds

QUESTION = DriverQuestion(0, 86_400, of="moment")
NAMES = ("delivery fail", "chat ok", "delivery ok", "checkout ok")


def exposed(seed: int = 1, size: int = 1_000) -> Exposed:
    """A failed delivery (30 %) costs 60 points; a chat (20 %) lifts by 20; all met the checkout."""
    random = np.random.default_rng(seed)
    late, chat = random.random(size) < 0.3, random.random(size) < 0.2
    met = np.stack([late, chat, ~late, np.ones(size, dtype=bool)], axis=1).astype(np.int64)
    promoter = random.random(size) < 0.6 - 0.3 * late + 0.1 * chat
    return Exposed("0-10", NAMES, met, np.where(promoter, 10, 2), np.ones(size, dtype=np.int64), True)


def rows(found: Drivers) -> dict[str, dict[str, Any]]:
    return {row["driver"]: row for row in found.drivers}


def test_the_strong_driver_with_a_poor_score_is_to_be_fixed_first_and_its_twin_with_it() -> None:
    found = rows(drivers_of(exposed(), QUESTION))
    assert {found["delivery fail"]["goes_along_with"], found["delivery ok"]["goes_along_with"]} == {
        None,
        "delivery fail",
    }
    assert (found["delivery fail"]["quadrant"], found["delivery ok"]["quadrant"]) == ("fix first", "keep up")
    assert (found["delivery fail"]["pain"], found["chat ok"]["pain"]) == (True, False)
    assert found["delivery fail"]["critical"]
    assert found["checkout ok"]["quadrant"] is None


def test_a_driver_whose_lift_may_be_nothing_is_never_critical() -> None:
    random = np.random.default_rng(3)
    met = (random.random((300, 2)) < 0.5).astype(np.int64)
    noise = Exposed("0-10", ("a", "b"), met, random.integers(0, 11, 300), np.ones(300, dtype=np.int64), True)
    found = rows(drivers_of(noise, QUESTION))
    for row in found.values():
        sure = row["lift"]["low"] > 0 or row["lift"]["high"] < 0
        assert (row["critical"], row["quadrant"] != "unclear") == (sure, sure)
    assert not all(row["critical"] for row in found.values())


def test_a_row_that_stands_for_many_customers_counts_as_many() -> None:
    once = exposed()
    keys, times = np.unique(np.column_stack([once.met, once.bins]), axis=0, return_counts=True)
    grouped = Exposed("0-10", NAMES, keys[:, :-1], keys[:, -1], times, True)
    one, many = (rows(drivers_of(e, QUESTION)) for e in (once, grouped))
    for name in NAMES:
        assert many[name]["lift"] == one[name]["lift"]
        assert (
            many[name]["impact"]["value"] == pytest.approx(one[name]["impact"]["value"] or 0) or name == "checkout ok"
        )
    assert many["delivery fail"]["weight"]["value"] == pytest.approx(one["delivery fail"]["weight"]["value"])


def test_without_answers_there_is_nothing_but_the_reason() -> None:
    found = drivers_of(Exposed.nothing(), QUESTION)
    assert (found.drivers, found.document()["weights"]["status"]) == ([], "insufficient")


@pytest.mark.parametrize(
    ("metric", "scale", "first", "last", "worth"),
    [
        ("nps", "0-10", "detractors", "promoters", [-1, 0, 1]),
        ("sentiment", "minilm", "negative", "positive", [-1, 0, 1]),
        ("csat", "1-5", "1", "5", [0, 0, 0, 1, 1]),
        ("ces", "1-5", "5", "1", [5, 4, 3, 2, 1]),
        ("ces", "1-7", "1", "7", [1, 2, 3, 4, 5, 6, 7]),
        ("rating", "0-5", "0", "5", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_classes_run_from_the_least_to_the_most_satisfied(
    metric: str, scale: str, first: str, last: str, worth: list[float]
) -> None:
    groups = answers.classes(metric, scale)
    assert (groups[0][0], groups[-1][0]) == (first, last)
    assert [answers.worth(metric, scale)[bins[0]] for _, bins in groups] == worth
    low, high = bounds(scale)
    assert sorted(place for _, bins in groups for place in bins) == list(range(high - low + 1 if high else 3))
