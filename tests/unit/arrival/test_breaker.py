"""The breaker of a partition: 200 invalid in a row, or more than a fifth of the last 1,000."""

from __future__ import annotations

import numpy as np

from pipeline.arrival import breaker
from pipeline.arrival.breaker import NEW
from pipeline.arrival.fingerprints import Flags
from pipeline.arrival.rules import ArrivalRules

RULES = ArrivalRules()


def flags(*runs: tuple[bool, int]) -> Flags:
    return np.concatenate([np.full(count, invalid) for invalid, count in runs])


def test_the_two_hundredth_invalid_in_a_row_opens_it_and_is_the_last_consumed() -> None:
    count, after = breaker.judge(NEW, flags((False, 50), (True, 300)), RULES)
    assert count == 250
    assert after.opened == "200 invalid events in a row"
    assert breaker.judge(after, flags((False, 10)), RULES) == (0, after)


def test_199_in_a_row_and_a_good_one_keep_it_closed() -> None:
    count, after = breaker.judge(NEW, flags((True, 199), (False, 1), (True, 199)), RULES)
    assert (count, after.opened) == (399, None)


def test_a_run_goes_on_over_slices() -> None:
    _, after = breaker.judge(NEW, flags((True, 150)), RULES)
    count, after = breaker.judge(after, flags((True, 100)), RULES)
    assert count == 50
    assert after.opened is not None


def test_more_than_a_fifth_of_the_last_thousand_opens_it() -> None:
    fifth = np.tile(np.array([True, False, False, False, False]), 400)
    count, after = breaker.judge(NEW, fifth, RULES)
    assert (count, after.opened) == (2_000, None)
    count, after = breaker.judge(after, flags((True, 2)), RULES)
    assert (count, after.opened) == (2, "more than 20% of the last 1000 events invalid")


def test_a_young_partition_is_not_judged_by_its_share() -> None:
    half = np.tile(np.array([True, False]), 499)
    count, after = breaker.judge(NEW, half, RULES)
    assert (count, after.opened) == (998, None)
    count, after = breaker.judge(after, flags((False, 2)), RULES)
    assert count == 2
    assert after.opened is not None


def test_it_is_restored_from_what_stands_in_the_ledger() -> None:
    seen = flags((False, 900), (True, 100))
    _, lived = breaker.judge(NEW, seen, RULES)
    again = breaker.restored(seen, RULES)
    assert breaker.judge(again, flags((True, 150)), RULES)[0] == breaker.judge(lived, flags((True, 150)), RULES)[0]
