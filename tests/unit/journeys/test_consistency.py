"""The consistency index: noise is not inconsistency, one bad store is, and chance has its exact measure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.journeys.consistency import Consistency, chi_above, consistency, shrunk_towards
from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Sample


def stores(scores: list[float], n: float, variance: float = 0.6) -> Sample:
    return Sample(np.array(scores), np.full(len(scores), variance), np.full(len(scores), n))


def found(groups: Sample) -> Consistency:
    result = consistency(groups)
    assert isinstance(result, Consistency)
    return result


def test_a_score_of_few_answers_is_drawn_towards_its_parent_as_worked() -> None:
    """n 12, score -25, parent 30, tau 15 points, variance .61 (scores.md 3.5)."""
    weight = 0.61 / 0.15**2
    assert f"{weight:.3f}" == "27.111"
    assert f"{float(shrunk_towards(np.array(-25.0), np.array(12.0), 30, weight)):+.3f}" == "+13.125"


def test_the_mean_stays_flat_while_one_store_goes_bad_and_the_index_falls() -> None:
    before = stores([0.3] * 20, 200)
    after = stores([0.3 + 0.7 / 19] * 19 + [-0.4], 200)
    assert before.mean.mean() == pytest.approx(after.mean.mean())
    even, uneven = found(before), found(after)
    assert (even.index, even.uneven, even.p) == (100.0, False, 1.0)
    assert uneven.index < 85
    assert uneven.uneven
    assert uneven.high < even.index
    assert uneven.worst[0] == 19


def test_noise_of_few_answers_is_not_inconsistency() -> None:
    """500 companies of 40 stores, all truly alike, 20 answers each: 1 in 100 is called uneven, not 3."""
    random = np.random.default_rng(11)
    calls = 0
    for _ in range(500):
        drawn = random.multinomial(20, [0.2, 0.3, 0.5], size=40)
        mean = (drawn[:, 2] - drawn[:, 0]) / 20
        calls += found(Sample(mean, (drawn[:, 0] + drawn[:, 2]) / 20 - mean**2, np.full(40, 20.0))).uneven
    assert calls / 500 < 0.03


def test_the_interval_holds_the_true_spread_in_95_of_100_cases() -> None:
    random = np.random.default_rng(12)
    covered = 0
    for _ in range(400):
        truth = random.normal(0.2, 0.2, 15)
        drawn = truth + random.normal(0, math.sqrt(0.6 / 100), 15)
        result = found(stores(drawn.tolist(), 100))
        covered += result.low <= 80.0 <= result.high
    assert 0.92 < covered / 400 < 0.985


def test_a_shrunk_score_lies_between_the_groups_own_and_the_mean_of_all() -> None:
    result = found(Sample(np.array([0.5, 0.4, -0.6]), np.full(3, 0.6), np.array([500.0, 12.0, 500.0])))
    assert result.mean < result.shrunk[0] < 0.5
    pull = [abs(0.5 - result.shrunk[0]) / abs(0.5 - result.mean), abs(0.4 - result.shrunk[1]) / abs(0.4 - result.mean)]
    assert pull[1] > 5 * pull[0]


def test_groups_under_ten_answers_are_left_out_and_one_group_cannot_be_uneven() -> None:
    result = consistency(Sample(np.array([0.5, 0.1]), np.full(2, 0.6), np.array([50.0, 9.0])))
    assert isinstance(result, Refusal)
    three = found(Sample(np.array([0.5, -1.0, 0.4]), np.full(3, 0.6), np.array([50.0, 9.0, 50.0])))
    assert three.groups == 2
    assert math.isnan(three.shrunk[1])
    assert three.worst == (2, 0)


def test_chi_squared_is_that_of_the_tables() -> None:
    quantiles = {1: 3.841458820694124, 2: 5.991464547107979, 9: 16.918977604620448, 100: 124.34211340400407}
    for freedom, value in quantiles.items():
        assert chi_above(value, freedom) == pytest.approx(0.05, abs=1e-12)
    assert chi_above(0.0, 3) == 1.0
