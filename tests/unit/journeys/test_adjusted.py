"""Odds with other things held equal: the table's own odds where nothing is held, the planted effect elsewhere."""

from __future__ import annotations

import math

import numpy as np

from pipeline.journeys.adjusted import adjusted_odds
from pipeline.journeys.contrasts import Ratio
from pipeline.journeys.refusing import Refusal


def found(columns: list[list[float]], hits: list[int], totals: list[int]) -> Ratio:
    result = adjusted_odds(np.array(columns), np.array(hits), np.array(totals))
    assert isinstance(result, Ratio)
    return result


def test_with_one_column_it_is_the_odds_ratio_of_the_table_as_worked() -> None:
    """Detractors 40 of 160, promoters 6 of 200 (scores.md 5)."""
    odds = found([[1.0], [0.0]], [40, 6], [160, 200])
    assert [f"{x:.4f}" for x in (odds.value, odds.low, odds.high)] == ["10.7778", "4.4359", "26.1862"]


def test_an_effect_that_is_only_that_of_spend_goes_away_when_spend_is_held_equal() -> None:
    # Who spends much stays (5 %), who spends little leaves (40 %), whatever they answered; the poor answer more poorly.
    columns = [[1.0, 0.0], [0.0, 0.0], [1.0, 8.0], [0.0, 8.0]]
    hits, totals = [160, 40, 5, 20], [400, 100, 100, 400]
    crude = found([[row[0]] for row in columns], hits, totals)
    held = found(columns, hits, totals)
    assert crude.low > 2
    assert math.isclose(held.value, 1.0, abs_tol=1e-9)
    assert held.low < 1 < held.high


def test_a_planted_effect_is_found_in_its_interval_nine_times_of_ten() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        poor, spent = random.integers(0, 2, 600), random.integers(0, 6, 600)
        p = 1 / (1 + np.exp(-(-1.0 + 1.2 * poor - 0.4 * spent)))
        hits = (random.random(600) < p).astype(float)
        result = adjusted_odds(np.column_stack([poor, spent]).astype(float), hits, np.ones(600))
        assert isinstance(result, Ratio)
        covered += result.low < math.exp(1.2) < result.high
    assert 0.9 < covered / 200 < 0.99


def test_too_few_outcomes_for_the_predictors_and_outcomes_told_apart_are_refused() -> None:
    few = adjusted_odds(np.array([[1.0, 2.0], [0.0, 5.0]]), np.array([12, 7]), np.array([100, 100]))
    assert isinstance(few, Refusal)
    assert (few.n, few.needed) == (19, 20)
    apart = adjusted_odds(np.array([[1.0], [0.0]]), np.array([50, 0]), np.array([50, 50]))
    assert isinstance(apart, Refusal)
    assert isinstance(adjusted_odds(np.array([[1.0], [1.0]]), np.array([30, 30]), np.array([60, 60])), Refusal)


def test_what_is_the_same_everywhere_is_held_equal_anyway() -> None:
    odds = found([[1.0, 3.0], [0.0, 3.0]], [40, 6], [160, 200])
    assert f"{odds.value:.4f}" == "10.7778"
