"""Every score as three classes: negative, in between, positive answers (pure).

The detectors look at shares of three classes, because those are what a drop moves, whatever the scale was: for NPS
they are detractors, passives, promoters. `net` is (positive - negative) / n, a fraction; for NPS it is the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from schemas.limits import MAX_BINS

Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

#: First bin that is no longer negative and first bin that is positive, by metric and scale. Sentiment has one scale
#: for each labelling tier ("" here). Satisfied is what the top box says (pipeline/scores/meters.py).
_EDGES: Mapping[tuple[str, str], tuple[int, int]] = {
    ("nps", "0-10"): (7, 9),
    ("sentiment", ""): (1, 2),
    ("csat", "1-5"): (2, 3),
    ("csat", "1-7"): (3, 5),
    ("csat", "1-10"): (6, 8),
    ("csat", "0-1"): (1, 1),
    ("ces", "1-7"): (3, 5),
    ("rating", "1-5"): (2, 3),
}
#: CES 1.0 asks for effort: low answers are the good ones.
_EFFORT = ("ces", "1-5")
#: Metrics whose answers fall into three classes.
METRICS: tuple[str, ...] = ("nps", "csat", "ces", "rating", "sentiment")


def sides(metric: str, scale: str) -> tuple[slice, slice]:
    """Bins of the negative and of the positive answers. Raises UsageError for a metric without classes."""
    if (metric, scale) == _EFFORT:
        return slice(3, 5), slice(0, 2)
    found = _EDGES.get((metric, scale)) or _EDGES.get((metric, ""))
    if found is None:
        raise UsageError(f"the answers of {metric} {scale} fall into no three classes; {', '.join(METRICS)} do")
    return slice(0, found[0]), slice(found[1], MAX_BINS)


def three(metric: str, scale: str, histograms: Counts) -> Counts:
    """[..., 11] answer counts as [..., 3] counts of negative, in between, positive."""
    negative, positive = (histograms[..., side].sum(axis=-1) for side in sides(metric, scale))
    return np.stack([negative, histograms.sum(axis=-1) - negative - positive, positive], axis=-1)


def negative_sql(metric: str, scale: str, bin_: str) -> str:
    """SQL of whether an answer is negative; the arguments are column names."""
    edges = ", ".join(
        f"{metric} = '{name}' AND " + (f"{scale} = '{of}', " if of else "1, ") + f"{bin_} < {edge}"
        for (name, of), (edge, _) in _EDGES.items()
    )
    return f"multiIf({metric} = '{_EFFORT[0]}' AND {scale} = '{_EFFORT[1]}', {bin_} >= 3, {edges}, 0)"


def net(counts: Counts | Floats) -> Floats:
    """[..., 3] counts or shares as (positive - negative) / all; NaN without any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((counts[..., 2] - counts[..., 0]) / counts.sum(axis=-1), dtype=np.float64)


def variance(shares: Floats) -> Floats:
    """Variance of -1, 0, +1 with these shares [..., 3]."""
    mean = shares[..., 2] - shares[..., 0]
    return np.asarray(shares[..., 0] + shares[..., 2] - mean * mean, dtype=np.float64)
