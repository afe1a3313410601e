"""How strong the daily cycle that all scopes share is by now, against the one that was learned (pure, numpy).

A profile of 28 days takes up a cycle that grew only day by day, and until then each evening looks like a drop. Its
shape is known, though, and one number for all scopes together is sure after a day. So each day's answers are fitted to
the learned cycle, around the day's own mean of each scope (what a whole day does moves no strength), and the strength
of the coming day is the level of those numbers, as far as they move by more than chance.
"""

from __future__ import annotations

import numpy as np

from pipeline.alerts.classes import Floats

#: One-sided 95 %: up to so many standard errors are chance.
_SURE = 1.645
#: Days from which on a level is told from noise.
_LEAST_DAYS = 7


def strength(residual: Floats, n: Floats, cycle: Floats, spread: Floats, times: float = 1.0) -> float:
    """The cycle of the coming day as a multiple of the learned one, from [k, days, 24] hours in order.

    `residual` are sums of answers (-1, 0, 1) less what was expected, `n` answers, `cycle` what of the expected score
    is the shared cycle; `spread` [k] is the variance of an answer, which is counted in so many scopes (`times`).
    """
    answers = n.sum(axis=2, keepdims=True)
    around = cycle - (n * cycle).sum(axis=2, keepdims=True) / np.maximum(answers, 1.0)
    informed = (n * around * around).sum(axis=2)
    total = informed.sum(axis=0)
    seen = total > 0.0
    if int(seen.sum()) < _LEAST_DAYS:
        return 1.0
    fitted = (residual * around).sum(axis=(0, 2))[seen] / total[seen]
    noise = times * (spread[:, None] * informed).sum(axis=0)[seen] / total[seen] ** 2
    return 1.0 + _level(fitted, noise)


def _level(found: Floats, noise: Floats) -> float:
    """Where a level stands that moves from day to day and is seen with noise; 0 while chance may be all of it."""
    step = np.diff(found)
    # What stays of a step is the level's, what the next one takes back was noise.
    back = float((step[1:] * step[:-1]).mean())
    white = max(-back, float(noise.mean()))
    moves = float((step * step).mean()) + 2.0 * back - _SURE * np.sqrt(8.0 / len(step)) * white
    if moves <= 0.0:
        return 0.0
    level, unsure = float(found[0]), white
    before = level
    for value, own in zip(found[1:], noise[1:], strict=True):
        before = level
        unsure += moves
        gain = unsure / (unsure + max(white, float(own)))
        level += gain * (float(value) - level)
        unsure *= 1.0 - gain
    # Two days must say so: a drop of all scopes at noon looks like a stronger cycle, for that day.
    return 0.0 if before * level <= 0.0 else min(before, level, key=abs)
