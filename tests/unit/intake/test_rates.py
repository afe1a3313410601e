"""Rates: a bucket holds two seconds, refills with time, and one key cannot use up another's."""

from __future__ import annotations

from pipeline.intake.rates import Rates


def test_twice_the_rate_is_answered_with_the_seconds_to_wait() -> None:
    rates = Rates(key_rate=100, rate=0, burst=50)
    assert rates.admit("a", 200, 0.0) == 0
    assert rates.admit("a", 50, 0.0) == 0.5
    assert rates.admit("a", 50, 0.4) > 0
    assert rates.admit("a", 50, 0.5) == 0
    assert rates.admit("b", 200, 0.5) == 0


def test_over_ten_seconds_no_more_comes_through_than_the_rate_and_one_bucket() -> None:
    rates = Rates(key_rate=100, rate=0, burst=1)
    taken = sum(10 for step in range(1_000) if rates.admit("a", 10, step / 100) == 0)
    assert 1_150 <= taken <= 1_200


def test_the_limit_of_all_together_holds_and_what_is_refused_takes_nothing() -> None:
    rates = Rates(key_rate=100, rate=150, burst=10)
    assert rates.admit("a", 200, 0.0) == 0
    assert rates.admit("b", 100, 0.0) == 0
    assert rates.admit("c", 1, 0.0) > 0
    assert rates.admit("c", 150, 1.0) == 0  # nothing was taken from c's own bucket


def test_a_request_larger_than_the_bucket_waits_for_a_full_one() -> None:
    rates = Rates(key_rate=10, rate=0, burst=5)
    assert rates.admit("a", 500, 0.0) == 0
    assert 0 < rates.admit("a", 500, 0.0) <= 52
    assert Rates(0, 0, 500).admit("a", 10**9, 0.0) == 0


def test_a_clock_that_steps_back_gives_nothing() -> None:
    rates = Rates(key_rate=10, rate=0, burst=1)
    assert rates.admit("a", 20, 100.0) == 0
    assert rates.admit("a", 1, 50.0) > 0
    assert rates.admit("a", 1, 100.2) == 0
