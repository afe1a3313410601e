"""What is normal is learned by hour of the week, no finer than the counts can bear."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.alerts.baselines import DAYS, Baseline, hour_of_week, learn, shrunk
from pipeline.alerts.classes import net
from pipeline.alerts.trials import hourly
from pipeline.alerts.worlds import DAY, World

MONDAY = 4 * 86_400


@pytest.fixture(scope="module")
def world() -> World:
    return World.drawn("day-effects", 60, 5)


@pytest.fixture(scope="module")
def learned(world: World) -> Baseline:
    return learn(hourly(world.answers(9, DAYS * DAY)), MONDAY)


def truth(world: World) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    hours = np.arange(168)
    cycle = np.cos(2 * np.pi * (hours % 24 + 0.5 - 20.0) / 24.0)
    return np.asarray(world.score[:, None] - world.cycle[:, None] * cycle - 0.03 * (hours // 24 >= 5))


def test_the_hours_of_a_week_begin_on_monday() -> None:
    assert [hour_of_week(second) for second in (0, MONDAY, MONDAY + 3599, MONDAY + 3600, MONDAY - 1)] == [
        72,
        0,
        0,
        1,
        167,
    ]


def test_the_daily_cycle_and_the_weekend_are_recovered(world: World, learned: Baseline) -> None:
    off = net(learned.shares) - truth(world)
    busy = world.rate > 50
    assert np.sqrt((off[busy] ** 2).mean()) < 0.02
    flat = net(learned.mean)[:, None] - truth(world)
    assert np.sqrt((off**2).mean()) < 0.7 * np.sqrt((flat**2).mean())


def test_the_effect_of_days_is_recovered_by_moments(learned: Baseline) -> None:
    """1.73 points were recovered of a true 2.0 where this was worked out: the mean takes part of it away."""
    assert learned.effects.tau == pytest.approx(0.0173, abs=0.002)


def test_a_profile_that_is_noise_comes_out_as_none() -> None:
    random = np.random.default_rng(3)
    counts = random.multinomial(random.poisson(4.0, (30, DAYS * 24)), [0.2, 0.3, 0.5])
    score = net(learn(counts, MONDAY).shares)
    # One cell of one scope has a standard error of 0.2; of that next to nothing may be left.
    assert float((score - score.mean(axis=1, keepdims=True)).std()) < 0.04
    assert learn(counts, MONDAY).effects.tau < 0.012


def test_means_are_drawn_to_zero_as_far_as_they_are_noise() -> None:
    n = np.full(168, 100.0)
    random = np.random.default_rng(1)
    noise = random.normal(0.0, 0.1, 168)
    assert np.abs(shrunk(noise * n, n, 1.0)).max() < 0.1
    signal = np.where(np.arange(168) % 2 == 0, 1.0, -1.0)
    assert np.abs(shrunk(signal * n, n, 1.0) - signal).max() < 0.02
    assert shrunk(np.zeros(3), np.zeros(3), 1.0).tolist() == [0.0, 0.0, 0.0]


def test_shares_are_shares_and_an_empty_scope_harms_no_other(learned: Baseline) -> None:
    assert np.allclose(learned.shares.sum(axis=2), 1.0)
    assert learned.shares.min() >= 0.0
    counts = np.zeros((2, 48, 3), dtype=np.int64)
    counts[0] = (2, 3, 5)
    both = learn(counts, MONDAY)
    assert both.known.tolist() == [False, False]
    assert np.isfinite(both.shares).all()
    assert both.answers.tolist() == [7_200.0, 0.0]


def test_a_history_of_less_than_four_weeks_is_learning_and_less_sure() -> None:
    counts = np.tile(np.array([2, 3, 5]), (1, 14 * 24, 1))
    short, long = learn(counts, MONDAY), learn(np.tile(counts, (1, 2, 1)), MONDAY)
    assert (short.learning.tolist(), long.learning.tolist()) == ([True], [False])
    assert short.unsure[0] == pytest.approx(1.645 * np.sqrt(0.61 / 3_360), rel=0.01)
    assert long.unsure[0] == 0.0
    assert short.known[0]
    assert learn(np.zeros((3, 0, 3), dtype=np.int64), MONDAY).known.tolist() == [False] * 3
