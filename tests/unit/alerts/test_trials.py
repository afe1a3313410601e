"""The trials find what they should, the same every time; the full ones are run by `touchline rules simulate`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.alerts.detectors import Cusum
from pipeline.alerts.dropping import Drops
from pipeline.alerts.trials import Memory, Plan, Report, calm_alarms, hourly, run, world_of
from pipeline.alerts.worlds import DAY, HOUR, Drop, World

SMALL = Plan(segments=40, days=14, seed=3, replicates=1)


@pytest.fixture(scope="module")
def report() -> Report:
    return run(SMALL)


def test_larger_drops_and_busier_segments_are_found_sooner(report: Report) -> None:
    minutes = [delay.minutes for delay in report.delays]
    assert minutes == sorted(minutes, reverse=True)
    forty = report.delays[-1]
    assert forty.minutes < 300
    assert forty.within_a_day > 0.9
    assert forty.by_band["100-500"] < forty.by_band["20-100"] < forty.by_band["5-20"]


def test_false_alarms_stay_near_the_number_that_was_asked_for(report: Report) -> None:
    """Forty segments for two weeks: at most two alarms where 0.1 a month would give two."""
    assert report.alarms <= 4
    assert run(replace(SMALL, world="clean")).alarms <= 1


def test_the_rules_that_people_set_up_by_hand_cry_far_more_often_in_the_same_days(report: Report) -> None:
    points, sigmas, chart = report.usual
    assert points.all > 10
    assert min(points.all, sigmas.all, chart.all) > 5 * max(report.false_alarms, 0.1)
    assert points.bands["5-20"] < points.bands["20-100"], "of few answers an hour it seldom has thirty to look at"


def test_the_same_seed_gives_the_same_report_and_another_one_another(report: Report) -> None:
    assert run(SMALL) == report
    assert run(replace(SMALL, seed=4)).delays != report.delays


def test_a_detector_without_the_baseline_would_be_slower_and_one_that_wants_more_is_faster(report: Report) -> None:
    eager = run(replace(SMALL, false_alarms=10.0))
    assert eager.delays[2].minutes < report.delays[2].minutes


def test_a_drop_moves_the_score_by_its_size_from_its_minute_on() -> None:
    world = World.drawn("clean", 30, 1)
    start = np.full(30, DAY + 0.5)
    drop = Drop(0.2, start)
    assert drop.share(np.array([DAY - 1, DAY, DAY + 1]))[:, 0].tolist() == [0.0, 0.5, 1.0]
    plain, fallen = world.answers(2, 2 * DAY), world.answers(2, 2 * DAY, drop)
    after = slice(DAY + 1, None)
    counts = [each[after].sum(axis=(0, 1)) for each in (plain, fallen)]
    score = [(each[2] - each[0]) / each.sum() for each in counts]
    assert score[1] - score[0] == pytest.approx(-0.2, abs=0.015)


@pytest.mark.parametrize("kind", ["strong-cycle", "bursts", "mix-shift"])
def test_harder_worlds_are_like_the_easy_one_while_it_is_learned(kind: str) -> None:
    world = World.drawn(kind, 10, 1)
    easy = World.drawn("day-effects", 10, 1)
    assert (world.answers(5, DAY, learning=True) == easy.answers(5, DAY, learning=True)).all()
    assert (world.answers(5, 8 * DAY) != easy.answers(5, 8 * DAY)).any()


@pytest.mark.parametrize("kind", ["clean", "day-effects"])
def test_thirty_days_of_fifty_segments_raise_less_than_one_false_alarm_a_day_in_total(kind: str) -> None:
    plan = Plan(segments=50, days=30, seed=11, world=kind)
    world = World.drawn(kind, 50, 11)
    first = hourly(world.answers(1, 28 * DAY, learning=True))
    calm = calm_alarms(plan, world, world_of, first)
    assert calm.alarms.sum() < 30
    # At the nominal 0.1 a segment there should be five; the usual rule gives some two thousand.
    assert calm.alarms.sum() <= 12
    assert calm.usual[0].sum() > 1_000
    loud = calm_alarms(replace(plan, false_alarms=1e6, days=3), world, world_of, first)
    assert loud.alarms.sum() > 30, "with no budget at all it is loud: what is counted are alarms"


def test_a_drop_of_fifteen_points_is_found_in_two_windows_where_five_thousand_answers_come_an_hour() -> None:
    """About 400 answers of a window; at 500 an hour it takes ten times as long, which no method changes."""
    drawn = World.drawn("clean", 40, 5)
    windows = {}
    for rate in (5_000.0, 500.0):
        world = replace(drawn, rate=np.full(40, rate))
        memory = Memory(hourly(world.answers(6, 28 * DAY, learning=True)), world.phase)
        drops, state = Drops(memory.learned(), 0.1), Cusum.fresh(40, 2)
        start = 10 * HOUR  # ten in the morning, when it is neither quiet nor busy
        counts = world.answers(7, DAY, Drop(0.15, np.full(40, float(start))))
        found = np.full(40, np.inf)
        for at in range(DAY):
            drops.step_at(state, counts[at], at, at // HOUR % 168)
            new = (state.level(drops.limit) >= 1.0) & np.isinf(found)
            found[new] = at + 1 - start
        windows[rate] = float(np.median(found))
    assert windows[5_000.0] <= 2
    assert windows[500.0] > 4
