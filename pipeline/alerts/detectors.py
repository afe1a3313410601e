"""Sequential detectors of drops, one step a closed window, for many scopes at once (pure, numpy).

LLR-CUSUM with dead-band on three classes, two sizes side by side, and the e-detector of Shin, Ramdas and Rinaldo
("E-detectors", NEJSDS) as the mode with a guarantee. Fractions everywhere: a drop of 10 points is 0.10.
Shapes: k scopes, j sizes; shares and counts are [k, 3] (negative, in between, positive).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts.classes import Counts, Floats, net

#: A share that is never seen in history is not impossible.
FLOOR = 0.01
#: Share of the answers in between that is left where the negative ones are nearly all.
_LEAST_BETWEEN = 0.001
#: Logarithms below it are rounding.
_SAME = 1e-12
#: Drops below the dead-band that are looked for side by side: with it they are 10 and 20 points below the baseline.
#: The smaller size sees slow harm, the larger one is fast. A threshold for each, both for the whole of the false alarms
#: wanted: that the two together stay within them is the dead-band's business (bands.py).
SIZES: tuple[float, ...] = (0.08, 0.18)
#: Shifts that harm nobody, whatever the volume: no drop below it is looked for.
DEAD_BAND = 0.02
#: The e-detector's dead-band in standard deviations of harmless days, where that is more.
_OF_DAYS = 1.25
#: No threshold below it: at two or three answers a day the formula would give almost nothing.
LEAST_THRESHOLD = 2.0
#: Bets of the e-detector, as shares of the wealth put on each answer.
BETS: tuple[float, ...] = (0.03, 0.06, 0.12, 0.25, 0.5)
#: A firing alert resolves when the statistic has come down to this share of the threshold.
RESOLVED_AT = 0.5


class Weights(NamedTuple):
    """What one answer of each class adds, and the information per answer without and with the drop.

    Answers in between add nothing, but where the positive share is at its floor: there they are what becomes fewer.
    """

    negative: Floats
    between: Floats
    positive: Floats
    information: Floats
    information_dropped: Floats


def shifted(shares: Floats, drop: Floats | float) -> Floats:
    """Shares after the score fell by `drop`: half of it from the positive, half to the negative answers, floored."""
    negative = np.clip(shares[..., 0] + np.asarray(drop) / 2.0, FLOOR, 1.0 - FLOOR)
    positive = np.clip(shares[..., 2] - np.asarray(drop) / 2.0, FLOOR, 1.0 - FLOOR)
    between = 1.0 - negative - positive
    # Next to the end of the scale nothing is left in between; the shares are one whole all the same.
    low = between < _LEAST_BETWEEN
    scale = np.where(low, (1.0 - _LEAST_BETWEEN) / (negative + positive), 1.0)
    return np.stack([negative * scale, np.where(low, _LEAST_BETWEEN, between), positive * scale], axis=-1)


def weights(shares: Floats, dead_band: Floats | float, size: float) -> Weights:
    """Log-likelihood ratios of a drop of `size` below the dead-band against the dead-band itself."""
    calm = shifted(shares, dead_band)
    dropped = shifted(calm, size)
    ratios = np.log(dropped / calm)
    # Exactly 0 where both halves of the drop find room: 1 - n - p differs there in the last digit only.
    between = np.where(np.abs(ratios[..., 1]) < _SAME, 0.0, ratios[..., 1])
    return Weights(
        ratios[..., 0],
        between,
        ratios[..., 2],
        -(calm[..., 0] * ratios[..., 0] + calm[..., 1] * between + calm[..., 2] * ratios[..., 2]),
        dropped[..., 0] * ratios[..., 0] + dropped[..., 1] * between + dropped[..., 2] * ratios[..., 2],
    )


def threshold(information: Floats, answers: Floats, false_alarms: Floats | float) -> Floats:
    """h = ln(I N / FA): N answers in 30 days, FA false alarms wanted of this scope in 30 days; at least 2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(information * answers / false_alarms)
    return np.asarray(np.fmax(found, LEAST_THRESHOLD), dtype=np.float64)


def detectable(variance: Floats, limit: Floats, answers: Floats, dead_band: Floats | float = 0.0) -> Floats:
    """The smallest drop that so many answers can show, sqrt(2 var h / n), and the dead-band on top; inf without any."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(2.0 * variance * limit / answers) + dead_band, dtype=np.float64)


def dead_band(tau: float) -> float:
    """The e-detector's: wide enough for what days differ by without harm, max(2 points, 1.25 tau)."""
    return max(DEAD_BAND, _OF_DAYS * tau)


@dataclass(slots=True)
class Cusum:
    """State of the CUSUM of k scopes and j sizes; `since` sums what was seen since a statistic was last 0.

    `began` is the end (Unix seconds) of the last window at which the statistic was 0: the estimated start.
    `since` is [k, j, 3] counts, `expected` the sum of the baseline over the same answers.
    """

    statistic: Floats
    began: Counts
    since: Counts
    expected: Floats

    @classmethod
    def fresh(cls, scopes: int, sizes: int, start: int = 0) -> Cusum:
        """Nothing seen yet; `start` is the beginning of the first window."""
        shape = (scopes, sizes)
        return cls(
            np.zeros(shape),
            np.full(shape, start, dtype=np.int64),
            np.zeros((*shape, 3), dtype=np.int64),
            np.zeros(shape),
        )

    def step(self, counts: Counts, shares: Floats, weighed: Weights, limit: Floats, end: int) -> None:
        """One window that ended at `end`: weights and limits are [k, j], the statistic is capped at the limit."""
        increment = (
            counts[:, :1] * weighed.negative + counts[:, 1:2] * weighed.between + counts[:, 2:] * weighed.positive
        )
        self.statistic = np.minimum(limit, np.maximum(0.0, self.statistic + increment))
        self.since += counts[:, None, :]
        self.expected += (counts.sum(axis=1) * net(shares))[:, None]
        calm = self.statistic == 0.0
        self.began[calm] = end
        self.since[calm] = 0
        self.expected[calm] = 0.0

    def leading(self, limit: Floats) -> NDArray[np.intp]:
        """Of each scope the size whose statistic stands highest against its limit."""
        return np.asarray((self.statistic / limit).argmax(axis=1))

    def level(self, limit: Floats) -> Floats:
        """Statistic as a share of the limit, the highest of the sizes: 1 is an alarm."""
        return np.asarray((self.statistic / limit).max(axis=1))


def e_increments(counts: Counts, mean: Floats) -> Floats:
    """Logarithm of what one window does to each bet, [k, bets]; `mean` is the baseline less the dead-band."""
    bets = np.asarray(BETS)
    m = mean[:, None]
    found = (
        counts[:, :1] * np.log1p(bets * (m + 1.0))
        + counts[:, 1:2] * np.log1p(bets * m)
        + counts[:, 2:] * np.log1p(bets * (m - 1.0))
    )
    return np.asarray(found, dtype=np.float64)


def e_step(logs: Floats, counts: Counts, mean: Floats, cap: Floats | None = None) -> Floats:
    """M <- (M + 1) e^increment for each bet, in logarithms [k, bets]; a window without answers changes nothing.

    `cap` [k] bounds each bet, so that the statistic can come down after a recovery.
    """
    moved = np.logaddexp(logs, 0.0) + e_increments(counts, mean)
    moved = np.where((counts.sum(axis=1) > 0)[:, None], moved, logs)
    return np.asarray(moved if cap is None else np.minimum(moved, cap[:, None]), dtype=np.float64)


def e_statistic(logs: Floats) -> Floats:
    """Logarithm of the mean over the bets; at ln(1 / alpha) it is an alarm."""
    return np.asarray(np.logaddexp.reduce(logs, axis=1) - np.log(logs.shape[1]), dtype=np.float64)


def e_fresh(scopes: int) -> Floats:
    """No wealth yet."""
    return np.full((scopes, len(BETS)), -np.inf)
