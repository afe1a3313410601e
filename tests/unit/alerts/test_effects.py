"""A level that wanders is told from days that differ, and a drop is neither."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.alerts.baselines import DAYS, learn
from pipeline.alerts.classes import Counts, net
from pipeline.alerts.effects import Effects, levels
from pipeline.alerts.trials import hourly
from pipeline.alerts.worlds import DAY, Drop, World

MONDAY = 4 * 86_400


def four_weeks(kind: str, drop: Drop | None = None) -> tuple[World, Counts]:
    """A world of 120 scopes and its windows."""
    world = World.drawn(kind, 120, 5)
    return world, world.answers(9, DAYS * DAY, drop)


def test_a_level_that_wanders_is_found_where_it_stands_by_now() -> None:
    """0.2 x 0.04 a day are 0.8 points, a variance of 0.000064, of which what may be chance is left out."""
    world, counts = four_weeks("mix-shift")
    learned = learn(hourly(counts), MONDAY)
    assert 0.000015 < learned.effects.wander < 0.000080
    assert 0.015 < learned.effects.tau < 0.025
    last = counts[-4 * DAY :].sum(axis=0)
    off_level, off_mean = (net(each) - net(last) for each in (learned.mean, counts.sum(axis=0)))
    busy = world.rate > 50
    assert off_level[busy].std() < 0.75 * off_mean[busy].std()
    assert (learned.level > 0.0).all()


def test_days_that_differ_and_drops_of_one_or_all_are_no_wandering() -> None:
    for drop in (
        None,
        Drop(0.20, np.full(120, 24.0 * DAY)),
        Drop(0.30, np.where(np.arange(120) == 7, 21.0, 99.0) * DAY),
    ):
        learned = learn(hourly(four_weeks("day-effects", drop)[1]), MONDAY)
        assert learned.effects.wander < 0.000004
    assert learn(hourly(four_weeks("mix-shift")[1])[:9], MONDAY).effects.wander == 0.0, "nine scopes tell too little"


def test_the_guess_of_a_level_weighs_days_by_how_near_and_how_sure_they_are() -> None:
    """Without effects and noise it is the last day; of two days, with as much noise as wandering, by hand.

    Half a day and one and a half ago: covariance (0.5, 0.5; 0.5, 1.5) + 1 = (1.5, 0.5; 0.5, 2.5), weights 2 : 1.
    """
    scores = np.array([[-10.0, 20.0]])
    answers = np.full((1, 2), 100.0)
    sure, _ = levels(scores, answers, np.array([1e-12]), Effects(0.0, 0.6, 0.01))
    assert sure[0] == pytest.approx(0.2)
    even, variance = levels(scores, answers, np.array([1.0]), Effects(0.0, 0.6, 0.01))
    assert even[0] == pytest.approx((2.0 * 0.2 - 0.1) / 3.0)
    assert variance[0] == pytest.approx(0.01 * 3.5 / 3.0)
    missing, _ = levels(np.array([[-10.0, 0.0]]), np.array([[100.0, 0.0]]), np.array([1.0]), Effects(0.0, 0.6, 0.01))
    assert missing[0] == pytest.approx(-0.1, abs=1e-6)
    assert levels(scores, answers, np.array([1.0]), Effects(0.02, 0.6, 0.0))[0].tolist() == [0.0]
