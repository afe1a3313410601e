"""How much stronger than learned the daily cycle that all scopes share is today (pure, numpy).

What is learned at night knows a cycle that changed from its third day on. Within the day one thing tells its first
evening from a drop of everything: such a cycle has two halves. Where all scopes stood as much above the usual in the
good hours as they stand below it in the bad ones, it is the cycle; where only one half moved, or both moved the same
way, it is not. So each half is fitted by itself, and the nearer of the two counts, as far as it is more than chance.
"""

from __future__ import annotations

import numpy as np

from pipeline.alerts.baselines import Baseline
from pipeline.alerts.classes import Counts, Floats, net

#: Hours that are looked at: both halves of a day; and the part of them in which the running half lies.
HOURS_BACK, _RUNNING = 24, 12
#: Scopes from which on what all do is told from what some do.
_SCOPES = 10
#: One-sided 95 %: up to so many standard errors are chance.
_SURE = 1.645


def stronger(counts: Counts, who: Counts, baseline: Baseline, of_week: Counts) -> float:
    """By how many times the learned cycle it is stronger in the running hour; below 0: weaker, 0: as it was learned.

    `counts` [m, 24, 3] are the last hours that are over, in order, of the scopes `who` [m], no two of which count the
    same answers; `of_week` [m or 1, 25] is which hours of the week those are, and the running one.
    """
    cycle = baseline.slope[who, None] * (baseline.cycle[of_week, 1] - baseline.cycle[of_week, 0])
    cycle, now = cycle[:, :-1], cycle[:, -1:]
    n = counts.sum(axis=2)
    residual = counts[:, :, 2] - counts[:, :, 0] - n * net(baseline.shares[who[:, None], of_week[:, :-1]])
    running = (cycle * now > 0.0) & (np.arange(HOURS_BACK) >= HOURS_BACK - _RUNNING)
    this, other = (_found(residual * half, n * half, cycle) for half in (running, cycle * now < 0.0))
    return min(this, other, key=abs) if this * other > 0.0 else 0.0


def _found(residual: Floats, n: Floats, cycle: Floats) -> float:
    """How many times the learned cycle lies in these residuals on top of it, less what is chance as scopes differ."""
    informed = (n * cycle * cycle).sum(axis=1)
    seen = informed > 0.0
    if int(seen.sum()) < _SCOPES:
        return 0.0
    informed, each = informed[seen], (residual * cycle).sum(axis=1)[seen] / informed[seen]
    total = float(informed.sum())
    found = float((informed * each).sum()) / total
    # Each scope against the others: one that has most of the answers proves nothing of the rest.
    unsure = float(((informed / (total - informed)) ** 2 * (each - found) ** 2).sum())
    return found * max(1.0 - _SURE**2 * unsure / found**2, 0.0) if found else 0.0
