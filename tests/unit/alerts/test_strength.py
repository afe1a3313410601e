"""A daily cycle that all scopes share is as strong as the last days say, and no drop passes for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.alerts.baselines import DAYS, Baseline, chosen, learn
from pipeline.alerts.classes import Counts, Floats, net
from pipeline.alerts.keeping import pack, unpack
from pipeline.alerts.scopes import Group
from pipeline.alerts.trials import hourly
from pipeline.alerts.worlds import DAY, Drop, World

MONDAY = 4 * 86_400
WORLD = World.drawn("strong-cycle", 60, 5)


@pytest.fixture(scope="module")
def before() -> Counts:
    """Four weeks as they always were, in windows."""
    return WORLD.answers(9, DAYS * DAY, learning=True)


@pytest.fixture(scope="module")
def doubled() -> Counts:
    """The same weeks with a cycle twice as strong."""
    return WORLD.answers(9, DAYS * DAY)


def after(days: int, before: Counts, doubled: Counts) -> Baseline:
    """What is learned when the cycle has been twice as strong for so many days."""
    first = (DAYS - days) * DAY
    return learn(hourly(np.concatenate([before[:first], doubled[first:]])), MONDAY)


def times(baseline: Baseline) -> float:
    """How strong the learned cycle is against that of the world, over all busy scopes."""
    busy = WORLD.rate > 50
    true = -WORLD.cycle[busy, None] * np.cos(2 * np.pi * (np.arange(24) + 0.5 - 20.0) / 24.0)
    days = net(baseline.shares)[busy].reshape(-1, 7, 24)
    found = (days - days.mean(axis=2, keepdims=True)).mean(axis=1)
    return float((found * true).sum() / (true * true).sum())


def test_a_cycle_that_doubled_is_expected_after_two_days_and_not_after_one(before: Counts, doubled: Counts) -> None:
    """Four weeks of a mean would be at 1.07 after two days and at 1.25 after a week.

    The hours of the week that were seen twice as strong are half there by themselves: what is left of them is less.
    """
    usual, one, two, week = (times(after(days, before, doubled)) for days in (0, 1, 2, 7))
    assert usual == pytest.approx(1.0, abs=0.1)
    assert one == pytest.approx(usual, abs=0.06)
    assert 1.7 < two < week < 2.1


def test_while_nothing_changes_the_cycle_is_the_learned_one_to_the_last_digit(before: Counts) -> None:
    usual = after(0, before, before)
    assert (usual.in_cycle(usual.cycle) == usual.shares).all()
    assert times(usual) == pytest.approx(1.0, abs=0.1)
    # Two weeks of it are half of a history: a scope that learns follows nothing.
    assert after(0, before[: 14 * DAY], before[: 14 * DAY]).slope.tolist() == [0.0] * 60


def test_a_drop_of_everything_at_noon_is_no_stronger_cycle(before: Counts) -> None:
    easy = replace(WORLD, kind="day-effects")
    for half_days in (1, 3):
        start = np.full(60, DAYS * DAY - half_days * DAY / 2.0)
        fallen = easy.answers(9, DAYS * DAY, Drop(0.10, start))
        assert times(learn(hourly(fallen), MONDAY)) == pytest.approx(times(after(0, before, before)), abs=0.1)


def test_a_scope_whose_alarm_is_open_keeps_its_level_and_follows_the_cycle(before: Counts, doubled: Counts) -> None:
    old, new = after(0, before, doubled), after(2, before, doubled)
    mixed = chosen(np.ones(60, dtype=np.bool_), old, new)
    assert 1.7 < times(mixed) < 2.1
    # But for scopes at the end of the scale, where a share has no room to move.
    assert np.quantile(np.abs(net(mixed.mean) - net(old.mean)), 0.9) < 0.0002
    unknown = replace(old, slope=np.zeros(60))
    assert (chosen(np.ones(60, dtype=np.bool_), unknown, new).shares == old.shares).all()


def test_all_that_is_learned_is_kept_and_taken_up_to_the_last_bit(before: Counts, doubled: Counts) -> None:
    group, other = (Group("nps", "0-10", (("brand",),)) for _ in range(2))
    for at in range(60):
        group.find((("brand", str(at)),), ("brand",))
    group.baseline = replace(after(2, before, doubled), level=np.linspace(0.0, 0.1, 60))
    other.load(unpack(pack(group.dump())))
    kept, taken = _parts(group.baseline), _parts(other.baseline)
    assert all((one == two).all() for one, two in zip(kept, taken, strict=True))
    assert other.baseline.effects == group.baseline.effects


def _parts(baseline: Baseline) -> tuple[Floats, ...]:
    return (baseline.shares, baseline.answers, baseline.days, baseline.slope, baseline.level, baseline.cycle)
