"""Odds with other things held equal: a logistic regression on counted cells (pure).

Customers who spent more, or who have been known longer, answer otherwise and leave otherwise. The coefficient of the
first column says what is left of the answer when the others are the same. Maximum likelihood by Newton's steps; with
one column of 0 and 1 it is the odds ratio of the table, with the same interval.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.journeys.contrasts import Ratio
from pipeline.journeys.refusing import ENOUGH_OUTCOMES, Refusal
from pipeline.scores.intervals import Floats, Z

#: Newton's steps; it takes five to eight where there is a maximum.
_STEPS = 50
#: A step this small is the end.
_SMALL = 1e-10
#: A coefficient beyond this many of its column's deviations says that the column separates the outcomes: no maximum.
_LARGE = 30.0


def adjusted_odds(columns: Floats, hits: Floats, totals: Floats) -> Ratio | Refusal:
    """Odds ratio of one more of the first of `columns` [cells, k], the others equal; `hits` of `totals` a cell.

    Columns that are the same everywhere are left out. Refused under ten outcomes of the rarer kind for each column.
    """
    columns = np.asarray(columns, dtype=np.float64)
    varies = columns.std(axis=0) > 0
    happened = float(min(hits.sum(), (totals - hits).sum()))
    if not columns.size or not varies[0]:
        return Refusal("all customers gave the same answer", int(totals.sum()))
    design = np.column_stack([np.ones(len(columns)), columns[:, varies]])
    needed = ENOUGH_OUTCOMES * int(varies.sum())
    if happened < needed:
        return Refusal(f"{happened:.0f} outcomes of the rarer kind are too few for {int(varies.sum())} predictors",
                       int(happened), needed)  # fmt: skip
    found = _fitted(design, np.asarray(hits, dtype=np.float64), np.asarray(totals, dtype=np.float64))
    if found is None:
        return Refusal("the outcomes are told apart completely by what is held equal", int(totals.sum()))
    beta, error = found
    return Ratio(math.exp(beta), math.exp(beta - Z * error), math.exp(beta + Z * error))


def _fitted(design: Floats, hits: Floats, totals: Floats) -> tuple[float, float] | None:
    """Coefficient of the second column of the design and its standard error; None without a maximum."""
    beta = np.zeros(design.shape[1])
    width = np.where(design.std(axis=0) > 0, design.std(axis=0), 1.0)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -700.0, 700.0)))
        weight = totals * p * (1.0 - p)
        information = design.T @ (design * weight[:, None])
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (hits - totals * p))
        beta = beta + step
        if (np.abs(beta * width) > _LARGE).any():
            return None
        if float(np.abs(step).max()) < _SMALL:
            covariance = np.linalg.inv(information)
            return float(beta[1]), math.sqrt(float(covariance[1, 1]))
    return None
