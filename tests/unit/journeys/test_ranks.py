"""Rank correlations from tables of counts: the worked numbers, and all pairs counted one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.journeys.ranks import Correlation, spearman, spearman_value, tau_b, tau_b_value
from pipeline.journeys.refusing import Refusal


def table(pairs: list[tuple[int, int]]) -> np.ndarray:
    counts = np.zeros((11, 3), dtype=np.int64)
    for answer, outcome in pairs:
        counts[answer, outcome] += 1
    return counts


def test_answers_against_churn_are_the_worked_correlations() -> None:
    found = table(list(zip([10, 9, 9, 7, 3, 0], [0, 0, 0, 1, 0, 1], strict=True)))
    assert f"{spearman_value(found):.6f}" == "-0.630126"
    assert f"{tau_b_value(found):.6f}" == "-0.566947"


def test_under_ten_customers_and_without_any_difference_it_is_refused() -> None:
    few = spearman(table([(1, 1)] * 5 + [(2, 0)] * 4))
    alike = tau_b(table([(5, 1)] * 20))
    assert isinstance(few, Refusal)
    assert (few.n, few.needed) == (9, 10)
    assert isinstance(alike, Refusal)
    assert "alike" in alike.reason


def test_the_interval_covers_in_95_of_100_samples() -> None:
    """Pairs of a normal copula with rho 0.5, both sides cut into levels; the truth from a large sample."""
    random = np.random.default_rng(8)

    def sample(size: int) -> np.ndarray:
        x = random.normal(size=size)
        y = 0.5 * x + np.sqrt(0.75) * random.normal(size=size)
        return table(
            list(zip((np.clip(2 * x + 5, 0, 10)).astype(int), (np.clip(y + 1.5, 0, 2)).astype(int), strict=True))
        )

    large = sample(200_000)
    for measure, value in ((spearman, spearman_value), (tau_b, tau_b_value)):
        truth, hits = value(large), 0
        for _ in range(300):
            found = measure(sample(80))
            assert isinstance(found, Correlation)
            hits += found.low <= truth <= found.high
        assert hits / 300 >= 0.90, measure.__name__


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 2)), min_size=2, max_size=30))
def test_the_table_says_the_same_as_all_pairs_one_by_one(pairs: list[tuple[int, int]]) -> None:
    assume(len({a for a, _ in pairs}) > 1 and len({b for _, b in pairs}) > 1)
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in combinations(pairs, 2)]
    apart = [sum(sign[side] != 0 for sign in signs) for side in (0, 1)]
    expected = sum(one * two for one, two in signs) / np.sqrt(float(apart[0]) * apart[1])
    assert tau_b_value(table(pairs)) == pytest.approx(expected)
    ranks = [
        [np.mean([i for i, w in enumerate(sorted(side)) if w == v]) for v in side] for side in zip(*pairs, strict=True)
    ]
    assert spearman_value(table(pairs)) == pytest.approx(np.corrcoef(ranks)[0, 1])
