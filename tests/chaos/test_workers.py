"""Workers that are killed, ended and frozen while events flow: every offset once, windows equal to the oracle's."""

from __future__ import annotations

import random
import time

import pytest

from tests.chaos.harness import Case

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Events a second: a slice is in flight nearly always.
RATE = 2_000


@pytest.mark.parametrize("kills", [pytest.param(8, id="short"), pytest.param(30, id="full", marks=pytest.mark.prove)])
def test_two_workers_killed_again_and_again_lose_nothing_and_count_nothing_twice(case: Case, kills: int) -> None:
    """T1."""
    dice = random.Random(1)
    workers = [case.worker("one"), case.worker("two")]
    with case.feed(RATE, seed=1):
        case.flowing(1)
        for number in range(kills):
            time.sleep(dice.uniform(0.1, 8.0) / (1 if kills > 8 else 4))
            case.in_flight()
            workers[number % 2].kill()
            workers[number % 2] = case.worker(("one", "two")[number % 2])
    found = case.verify(deadline_s=60)
    assert found.dispositions.keys() >= {"aggregated", "late", "duplicate", "dead_letter", "ignored"}
