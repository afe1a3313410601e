"""The trials find what they should, the same every time; the full ones are run by `touchline rules simulate`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.alerts.trials import Plan, Report, run
from pipeline.alerts.worlds import DAY, Drop, World

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
