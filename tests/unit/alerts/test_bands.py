"""The dead-band of each scope: what days differ by and what few answers leave open, for as long as a climb takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.alerts import detectors as d
from pipeline.alerts.bands import _answers_to_alarm, dead_bands
from pipeline.alerts.baselines import WEEK, Baseline, learn
from pipeline.alerts.detectors import SIZES
from pipeline.alerts.dropping import Drops
from pipeline.alerts.effects import STAYS, Effects, averaged
from pipeline.alerts.worlds import DAY, World

MONDAY = 4 * 86_400
#: Answers of 30 days: of a quiet, a middling and a busy scope.
ANSWERS = np.array([7_200.0, 36_000.0, 216_000.0])


def known(tau: float, stays: float = STAYS, days: float = 28.0, wander: float = 0.0) -> Baseline:
    """Three scopes with shares (.2, .3, .5) all week."""
    shares = np.broadcast_to(np.array([0.2, 0.3, 0.5]), (3, WEEK, 3)).copy()
    learned = (ANSWERS * days / 30.0).astype(np.int64)
    effects = Effects(tau, stays, wander)
    none = np.zeros(3)
    return Baseline(shares, ANSWERS, learned, np.full(3, days), none, none, np.zeros((WEEK, 2)), effects)


def test_busy_scopes_need_a_wider_band_than_quiet_ones_in_which_effects_of_several_days_cancel() -> None:
    quiet, middling, busy = dead_bands(known(0.02), SIZES, 0.1, 0.0)
    assert 0.015 < quiet < middling < busy < 0.04
    assert (dead_bands(known(0.04), SIZES, 0.1, 0.0) > dead_bands(known(0.02), SIZES, 0.1, 0.0)).all()
    assert (dead_bands(known(0.02, 0.9), SIZES, 0.1, 0.0) > dead_bands(known(0.02, 0.3), SIZES, 0.1, 0.0)).all()


def test_where_days_do_not_differ_only_what_few_answers_leave_open_widens_it() -> None:
    sure = dead_bands(known(0.0), SIZES, 0.1, 0.0)
    assert sure[2] < 0.002
    few = dead_bands(replace(known(0.0), learned=np.array([1_000, 1_000, 1_000])), SIZES, 0.1, 0.0)
    assert (few > sure + 0.02).all()
    assert (dead_bands(known(0.0), SIZES, 0.1, 0.02) >= 0.02).all(), "never below what harms nobody"


def test_a_smaller_budget_widens_it_and_each_size_that_looks_along_as_well() -> None:
    assert (dead_bands(known(0.02), SIZES, 0.005, 0.0) > dead_bands(known(0.02), SIZES, 0.1, 0.0)).all()
    assert (dead_bands(known(0.02), SIZES, 0.1, 0.0) > dead_bands(known(0.02), SIZES[:1], 0.1, 0.0)).all()
    assert (dead_bands(known(0.5), SIZES, 0.1, 0.0) == 0.10).all(), "the widest that is tried"


def test_at_the_end_of_the_scale_nothing_can_fall_and_no_band_is_needed() -> None:
    worst = np.broadcast_to(np.array([0.98, 0.01, 0.01]), (3, WEEK, 3)).copy()
    assert (dead_bands(replace(known(0.02), shares=worst), SIZES, 0.1, 0.02) == 0.02).all()


def test_the_time_to_an_alarm_is_that_of_a_brownian_walk() -> None:
    """Drift -1/2, variance 1, barrier 3: 2 (e^3 - 3 - 1); without drift b^2; upwards nearly b / drift."""
    drift, spread, barrier = np.array([-0.5, 0.0, 2.0]), np.ones(3), np.full(3, 3.0)
    found = _answers_to_alarm(drift, spread, barrier)
    assert found == pytest.approx([2.0 * (np.exp(3.0) - 4.0), 9.0, (12.0 + np.exp(-12.0) - 1.0) / 8.0], rel=1e-4)


def test_what_is_left_of_an_effect_in_the_mean_of_several_days() -> None:
    """0.6 a day later: L = -ln 0.6 = 0.510826; 2 (L - 1 + 0.6) / L^2 = 0.849425."""
    assert averaged(np.float64(1.0), 0.6) == pytest.approx(0.849425, abs=1e-6)
    assert averaged(np.array([0.01, 28.0]), 0.6) == pytest.approx([0.9983, 0.1301], abs=1e-4)


def test_how_long_effects_stay_is_learned_and_none_is_taken_for_granted() -> None:
    hours = World.drawn("day-effects", 60, 5).answers(6, 28 * DAY).reshape(672, 12, 60, 3).sum(axis=1)
    found = learn(hours.transpose(1, 0, 2).astype(np.int64), MONDAY)
    assert found.effects.stays == pytest.approx(0.6, abs=0.08)
    alike = World.drawn("clean", 60, 5).answers(6, 28 * DAY).reshape(672, 12, 60, 3).sum(axis=1)
    assert learn(alike.transpose(1, 0, 2).astype(np.int64), MONDAY).effects.stays == pytest.approx(STAYS, abs=0.1)
    assert learn(np.zeros((2, 672, 3), dtype=np.int64), MONDAY).effects.stays == STAYS


def test_a_detector_that_is_learning_has_no_narrower_band_than_the_uncertainty_of_its_mean() -> None:
    early = known(0.0, days=3.0)
    assert (Drops(early).bands >= d.DEAD_BAND + early.unsure).all()
    assert (early.unsure > 0.0).all()


def test_a_level_that_wanders_needs_a_wider_band_and_less_of_it_where_it_was_found() -> None:
    steady, wandering = known(0.02), known(0.02, wander=0.00006)
    found = replace(wandering, level=np.full(3, 0.0002))
    bands = [dead_bands(each, SIZES, 0.1, 0.0) for each in (steady, found, wandering)]
    assert (bands[0] < bands[1]).all()
    assert (bands[1] < bands[2]).all()
