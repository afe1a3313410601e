"""Do more satisfied customers stay longer and spend more? Rank correlations from a table of counts. Pure.

A table [answers, outcomes] of counts, both in rising order, holds all that ranks need: it adds up over partitions, and
a million customers are a few hundred cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Counts, Floats, Z
from pipeline.scores.meters import ENOUGH


@dataclass(frozen=True, slots=True)
class Correlation:
    """-1 to 1, with a 95 % interval on Fisher's scale."""

    value: float
    low: float
    high: float
    n: int


def spearman(table: Counts) -> Correlation | Refusal:
    """Spearman's rho with ties at their mean rank; interval by Bonett and Wright (2000)."""
    refusal = _refusal(table)
    if refusal:
        return refusal
    value = spearman_value(table)
    n = int(table.sum())
    return _fisher(value, math.sqrt((1.0 + value * value / 2.0) / (n - 3)), n)


def tau_b(table: Counts) -> Correlation | Refusal:
    """Kendall's tau-b, ties counted on both sides; interval by Fieller, Hartley and Pearson (1957)."""
    refusal = _refusal(table)
    if refusal:
        return refusal
    n = int(table.sum())
    return _fisher(tau_b_value(table), math.sqrt(0.437 / (n - 4)), n)


def spearman_value(table: Counts) -> float:
    """Spearman's rho itself, of any two or more pairs that are not all alike."""
    n = float(table.sum())
    rows, columns = (_centred_ranks(table.sum(axis=axis).astype(np.float64)) for axis in (1, 0))
    together = float(rows @ table @ columns) / n
    spread = [float((ranks * ranks) @ table.sum(axis=axis)) / n for ranks, axis in ((rows, 1), (columns, 0))]
    return float(together / math.sqrt(spread[0] * spread[1]))


def tau_b_value(table: Counts) -> float:
    """Kendall's tau-b itself."""
    counts = table.astype(np.float64)
    # Pairs in the same order: each cell with all cells strictly below and to the right of it.
    beyond = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1))
    beyond[:-1, :-1] = counts[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
    concordant = float((counts * beyond[1:, 1:]).sum())
    pairs = float(counts.sum() * (counts.sum() - 1.0)) / 2.0
    ties = [float((totals * (totals - 1.0)).sum()) / 2.0 for totals in (counts.sum(axis=1), counts.sum(axis=0))]
    both = float((counts * (counts - 1.0)).sum()) / 2.0
    discordant = pairs - ties[0] - ties[1] + both - concordant
    return float(concordant - discordant) / math.sqrt((pairs - ties[0]) * (pairs - ties[1]))


def _centred_ranks(totals: Floats) -> Floats:
    """Mean rank of each level, less the mean of all ranks."""
    after = totals.cumsum()
    return np.asarray(after - totals / 2.0 - after[-1] / 2.0)


def _refusal(table: Counts) -> Refusal | None:
    n = int(table.sum())
    if n < ENOUGH:
        return Refusal(f"{n} customers are too few", n, ENOUGH)
    if min(int((table.sum(axis=axis) > 0).sum()) for axis in (0, 1)) < 2:
        return Refusal("all customers answered, or all fared, alike: there is nothing to rank", n)
    return None


def _fisher(value: float, error: float, n: int) -> Correlation:
    if abs(value) >= 1.0:
        return Correlation(value, value, value, n)
    centre = math.atanh(value)
    return Correlation(value, math.tanh(centre - Z * error), math.tanh(centre + Z * error), n)
