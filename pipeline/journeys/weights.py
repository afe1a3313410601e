"""Which of several correlated things matters most for a score: Johnson's relative weights. Pure, numpy.

The weights are not negative and sum to R^2, the share of the score's variance that all of them explain together, also
when they go along with each other. They come from sums of products alone, which add up over days and partitions.
Source: Johnson, "A heuristic method for estimating the relative weight of predictor variables" (2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UsageError
from pipeline.journeys.refusing import ENOUGH_FOR_WEIGHTS, Refusal
from pipeline.scores.intervals import Counts, Floats

#: Above this two things cannot be told apart by these data.
TOO_ALIKE = 0.95
#: Draws of the bootstrap. The interval is of the percentile kind: weights are never negative, so not symmetric.
DRAWS = 500
#: Draws at a time: bounds the memory at draws x rows x 8 bytes.
_AT_ONCE = 50
#: Rows at a time when covariances are summed: a few megabytes.
_ROWS_AT_ONCE = 8_192
#: From here on the means of products are normal for all that matters, and drawing rows would take seconds.
_MANY = 5_000
#: The same data give the same interval.
_SEED = 52


@dataclass(frozen=True, slots=True)
class Weights:
    """Relative weights with 95 % intervals in the order of `names`, beside the standardised betas and correlations."""

    names: tuple[str, ...]
    weight: Floats
    low: Floats
    high: Floats
    beta: Floats
    correlation: Floats
    r_squared: float
    n: int


def relative_weights(names: tuple[str, ...], x: Floats, y: Floats, times: Counts | None = None) -> Weights | Refusal:
    """Weights of the columns of `x` [rows, names] on `y`; a row stands for `times` answers (1 by default).

    Refused under 50 answers, when a column or the score never varies, or when two columns say the same.
    """
    counts = np.ones(len(y), dtype=np.int64) if times is None else times
    n = int(counts.sum())
    if n < ENOUGH_FOR_WEIGHTS:
        return Refusal(f"{n} answers are too few for relative weights", n, ENOUGH_FOR_WEIGHTS)
    wide = np.column_stack([x, y, np.ones(len(y))]).astype(np.float64)
    moments = _square(_means(wide, counts / n)[None], wide.shape[1])
    spread = np.diagonal(_covariances(moments)[0])
    constant = [name for name, value in zip((*names, "the score"), spread, strict=True) if value <= 1e-12]
    if constant:
        return Refusal(f"{', '.join(constant)} never varies", n)
    r = _correlations(moments)
    alike = np.argwhere(np.triu(np.abs(r[0, :-1, :-1]), 1) > TOO_ALIKE)
    if len(alike):
        one, two = (names[i] for i in alike[0])
        return Refusal(f"{one} and {two} go along with each other: {abs(r[0, alike[0][0], alike[0][1]]):.2f}", n)
    weight, beta = johnson(r[0, :-1, :-1], r[0, :-1, -1])
    low, high = _bootstrapped(wide, counts)
    return Weights(names, weight, low, high, beta, r[0, :-1, -1], float(weight.sum()), n)


def johnson(rxx: Floats, rxy: Floats) -> tuple[Floats, Floats]:
    """Relative weights and standardised betas from correlations [.., k, k] and [.., k].

    With Rxx = V D V' and L = V sqrt(D) V' (the correlations of the columns with their nearest uncorrelated
    counterparts): weights = L^2 (L^-1 rxy)^2. Raises UsageError when the predictors determine each other.
    """
    values, vectors = np.linalg.eigh(rxx)
    if np.any(values <= 1e-12):
        raise UsageError("the predictors determine each other: leave one of them out")
    turned = np.swapaxes(vectors, -1, -2)
    root = (vectors * np.sqrt(values)[..., None, :]) @ turned
    inverse = (vectors / np.sqrt(values)[..., None, :]) @ turned
    betas_apart = inverse @ rxy[..., None]
    return ((root * root) @ (betas_apart * betas_apart))[..., 0], (inverse @ betas_apart)[..., 0]


def _products(wide: Floats) -> Floats:
    """Products [rows, pairs] of the columns, each pair once."""
    upper = np.triu_indices(wide.shape[1])
    return np.asarray(wide[:, upper[0]] * wide[:, upper[1]])


def _means(wide: Floats, share: Floats) -> Floats:
    """Mean products [pairs]; a row weighs its `share` of all answers."""
    upper = np.triu_indices(wide.shape[1])
    return np.asarray(((wide * share[:, None]).T @ wide)[upper])


def _square(sums: Floats, size: int) -> Floats:
    """Mean products [draws, pairs] as symmetric matrices [draws, size, size]."""
    upper = np.triu_indices(size)
    full = np.zeros((len(sums), size, size))
    full[:, upper[0], upper[1]] = sums
    full[:, upper[1], upper[0]] = sums
    return full


def _covariances(moments: Floats) -> Floats:
    means = moments[:, :-1, -1]
    return np.asarray(moments[:, :-1, :-1] - means[:, :, None] * means[:, None, :])


def _correlations(moments: Floats) -> Floats:
    covariances = _covariances(moments)
    errors = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    return np.asarray(covariances / (errors[:, :, None] * errors[:, None, :]))


def _bootstrapped(wide: Floats, counts: Counts) -> tuple[Floats, Floats]:
    """2.5 and 97.5 % quantiles of the weights over samples drawn anew; draws in which a column never varies are out."""
    random, size = np.random.default_rng(_SEED), wide.shape[1]
    draw = _drawn_from_limit if counts.sum() >= _MANY else _drawn_from_rows
    moments = _square(draw(wide, counts, random), size)
    spread = np.diagonal(_covariances(moments), axis1=1, axis2=2)
    r = _correlations(moments[(spread > 1e-12).all(axis=1)])
    r = r[np.linalg.eigvalsh(r[:, :-1, :-1])[:, 0] > 1e-9]
    if not len(r):
        return np.full(size - 2, np.nan), np.full(size - 2, np.nan)
    weights = johnson(r[:, :-1, :-1], r[:, :-1, -1])[0]
    low, high = np.quantile(weights, (0.025, 0.975), axis=0)
    return low, high


def _drawn_from_rows(wide: Floats, counts: Counts, random: np.random.Generator) -> Floats:
    """Mean products of as many answers, drawn from the rows themselves."""
    n, products = int(counts.sum()), _products(wide)
    drawn = (random.multinomial(n, counts / n, size=_AT_ONCE) @ products / n for _ in range(DRAWS // _AT_ONCE))
    return np.concatenate(list(drawn))


def _drawn_from_limit(wide: Floats, counts: Counts, random: np.random.Generator) -> Floats:
    """The same for many answers: their mean products are normal then, with the covariance that the rows show."""
    n = int(counts.sum())
    share = counts / n
    mean = _means(wide, share)
    covariance = np.zeros((len(mean), len(mean)))
    for first in range(0, len(wide), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        # Single precision is enough for a spread, and twice as fast.
        apart = ((_products(wide[rows]) - mean) * np.sqrt(share[rows])[:, None]).astype(np.float32)
        covariance += apart.T @ apart
    values, vectors = np.linalg.eigh(covariance / n)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(mean + random.standard_normal((DRAWS, len(mean))) @ root.T)
