"""Johnson's relative weights: the worked numbers, what they sum to, and when they are refused."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.journeys import weights
from pipeline.journeys.refusing import Refusal
from pipeline.journeys.weights import Weights, johnson, relative_weights

X = np.array([[5, 4, 3], [4, 4, 2], [3, 5, 4], [2, 3, 1], [5, 5, 5], [1, 2, 2], [4, 3, 3], [3, 4, 5]], dtype=float)
Y = np.array([10, 8, 8, 3, 10, 1, 7, 8], dtype=float)
NAMES = ("delivery", "price", "app")


def digits(values: np.ndarray) -> list[str]:
    return [f"{value:.6f}" for value in values]


def test_the_worked_ratings_give_their_weights_betas_and_correlations() -> None:
    found = relative_weights(NAMES, X, Y, np.full(8, 10))
    assert isinstance(found, Weights)
    assert digits(found.weight) == ["0.491966", "0.298045", "0.174895"]
    assert digits(found.beta) == ["0.646868", "0.303026", "0.165694"]
    assert digits(found.correlation) == ["0.923788", "0.844787", "0.671994"]
    assert f"{found.r_squared:.6f}" == "0.964906"
    assert digits(X.mean(axis=0)) == ["3.375000", "3.750000", "3.125000"]
    assert found.n == 80


def test_a_row_that_stands_for_ten_answers_is_ten_rows() -> None:
    once = relative_weights(NAMES, X, Y, np.full(8, 10))
    rows = relative_weights(NAMES, np.tile(X, (10, 1)), np.tile(Y, 10))
    assert isinstance(once, Weights)
    assert isinstance(rows, Weights)
    assert np.allclose(once.weight, rows.weight, atol=1e-12)
    assert np.allclose(once.low, rows.low, atol=0.03)


def test_the_planted_driver_ranks_first_and_its_interval_covers() -> None:
    """Three independent causes of sizes 2, 1 and 0: the weights are the squares of their parts of the variance."""
    random = np.random.default_rng(52)
    hits, samples = 0, 60
    for _ in range(samples):
        x = (random.random((400, 3)) < 0.5).astype(float)
        y = 2 * x[:, 0] + x[:, 1] + random.normal(size=400)
        found = relative_weights(NAMES, x, y)
        assert isinstance(found, Weights)
        assert found.weight.argmax() == 0
        hits += found.low[0] <= 1.0 / (1.0 + 0.25 + 1.0) <= found.high[0]
    assert hits / samples > 0.85


def test_many_answers_get_the_interval_that_their_rows_would_give() -> None:
    random = np.random.default_rng(4)
    x = (random.random((6_000, 4)) < [0.5, 0.1, 0.3, 0.02]).astype(float)
    y = np.sign(x @ [1.0, -1.0, 0.2, -1.0] + random.normal(size=6_000))
    wide, counts = np.column_stack([x, y, np.ones(6_000)]), np.ones(6_000, dtype=np.int64)
    kinds = (weights._drawn_from_rows, weights._drawn_from_limit)
    drawn = [draw(wide, counts, np.random.default_rng(9)) for draw in kinds]
    spreads = [np.cov(moments.T)[np.triu_indices(moments.shape[1])] for moments in drawn]
    assert np.allclose(drawn[0].mean(axis=0), drawn[1].mean(axis=0), atol=3e-3)
    assert np.allclose(spreads[0], spreads[1], atol=2e-5)
    found = relative_weights(tuple("abcd"), x, y)
    assert isinstance(found, Weights)
    assert np.all((found.low < found.weight) & (found.weight < found.high))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y, "8 answers are too few"),
        (np.tile(X * [1, 0, 1], (10, 1)), np.tile(Y, 10), "price never varies"),
        (np.tile(X, (10, 1)), np.full(80, 7.0), "the score never varies"),
        (np.tile(X[:, [0, 0, 2]], (10, 1)), np.tile(Y, 10), "delivery and price go along with each other"),
    ],
)
def test_what_the_data_cannot_say_is_refused_with_the_reason(x: np.ndarray, y: np.ndarray, words: str) -> None:
    found = relative_weights(NAMES, x, y)
    assert isinstance(found, Refusal)
    assert words in found.reason


def test_weights_are_not_negative_and_sum_to_r_squared() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        r = np.asarray(np.corrcoef(random.normal(size=(5, 30)))).reshape(5, 5)
        weight, beta = johnson(r[:4, :4], r[:4, 4])
        assert np.all(weight >= 0)
        assert weight.sum() == pytest.approx(float(beta @ r[:4, 4]))


def test_predictors_that_determine_each_other_have_no_weights() -> None:
    with pytest.raises(UsageError, match="determine each other"):
        johnson(np.ones((2, 2)), np.array([0.5, 0.5]))
