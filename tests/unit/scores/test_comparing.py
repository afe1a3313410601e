"""Comparison of scores: the worked numbers of scores.md, and intervals that keep their promise."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scores.comparing import between_variance, change, detectable, ranked, shrunken, trend
from pipeline.scores.defined import read_definitions
from pipeline.scores.intervals import Sample
from tests.unit.scores.test_meters import three


def sample(mean: float, variance: float, n: int) -> Sample:
    return Sample(*(np.array([value], dtype=np.float64) for value in (mean, variance, n)))


def test_the_change_between_two_windows_has_its_worked_numbers() -> None:
    nps = read_definitions().find("nps")
    before, now = (nps.sample("0-10", [three(*answers)]) for answers in ((200, 300, 500), (30, 30, 40)))
    found = change(before, now)
    assert f"{100 * found.change[0]:.0f}" == "-20"
    assert f"{100 * (found.high[0] - found.change[0]) / 1.959963984540054:.6f}" == "8.666026"
    assert f"{found.p[0]:.6f}" == "0.021007"


def test_equal_windows_do_not_differ_and_certain_ones_do() -> None:
    assert change(sample(1.0, 0.0, 10), sample(1.0, 0.0, 10)).p[0] == 1.0
    assert change(sample(1.0, 0.0, 10), sample(-1.0, 0.0, 10)).p[0] == 0.0


def test_a_small_unit_is_drawn_to_its_parent_by_the_worked_numbers() -> None:
    assert f"{0.61 / 0.15**2:.3f}" == "27.111"
    found = shrunken(sample(-0.25, 0.61, 12), 0.30, 0.15**2, 0.61)
    assert f"{100 * found[0]:.3f}" == "13.125"
    assert shrunken(sample(-0.25, 0.61, 12), 0.30, 0.0, 0.61)[0] == 0.30


def test_the_variance_between_units_is_recovered_and_ranks_are_closer_to_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0.3, 0.15, 2_000)
    n = rng.integers(8, 200, 2_000).astype(np.float64)
    seen = Sample(rng.normal(truth, np.sqrt(0.61 / n)), np.full(2_000, 0.61), n)
    assert between_variance(seen) == pytest.approx(0.15**2, rel=0.1)
    raw, drawn = (np.sqrt(np.mean((values - truth) ** 2)) for values in (seen.mean, ranked(seen)))
    assert drawn < 0.85 * raw


def test_no_difference_between_units_is_no_ranking() -> None:
    same = Sample(np.array([0.2, 0.2]), np.array([0.5, 0.5]), np.array([10.0, 20.0]))
    assert ranked(same).tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(("per_hour", "points"), [(5, "24"), (20, "13"), (100, "6.6"), (500, "3.2")])
def test_the_smallest_drop_that_a_day_shows_is_the_worked_one(per_hour: int, points: str) -> None:
    n = np.array([per_hour * 24.0])
    found = 100 * detectable(np.array([0.61]), n, np.array([86_400.0]))[0]
    assert f"{found:.{len(points.partition('.')[2])}f}" == points


def test_a_trend_is_the_line_through_the_windows() -> None:
    at = np.arange(5.0)
    line = Sample(0.1 + 0.02 * at, np.full(5, 0.5), np.array([10.0, 20, 30, 40, 50]))
    found = trend(at, line)
    assert found is not None
    assert found.slope == pytest.approx(0.02)
    assert found.low < 0.02 < found.high
    assert trend(at[:2], Sample(*(column[:2] for column in line))) is None
    empty = Sample(line.mean, line.variance, np.array([10.0, 0, 0, 0, 10]))
    assert trend(at, empty) is None


def test_the_interval_of_a_trend_and_of_a_change_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    at, shares, hits, changed = np.arange(12.0), [0.2, 0.3, 0.5], 0, 0
    nps = read_definitions().find("nps")
    for _ in range(400):
        counts = [three(*rng.multinomial(60, shares)) for _ in range(12)]
        samples = nps.sample("0-10", counts)
        found = trend(at, samples)
        assert found is not None
        hits += found.low <= 0.0 <= found.high
        one = change(Sample(*(c[:1] for c in samples)), Sample(*(c[1:2] for c in samples)))
        changed += bool(one.low[0] <= 0.0 <= one.high[0])
    assert 0.92 <= hits / 400 <= 0.98
    assert 0.92 <= changed / 400 <= 0.98
