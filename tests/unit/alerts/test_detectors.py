"""The worked numbers of the detectors, to their last digit, and what must hold of them whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerts.classes import net, sides, three
from pipeline.alerts.detectors import (
    Cusum,
    Weights,
    detectable,
    e_fresh,
    e_statistic,
    e_step,
    shifted,
    threshold,
    weights,
)
from pipeline.errors import UsageError

BASE = np.array([[0.2, 0.3, 0.5]])
#: Windows of (detractors, passives, promoters): a drop and a recovery.
WINDOWS = [(3, 2, 4), (6, 2, 2), (5, 3, 1), (9, 3, 4), (8, 2, 3), (7, 3, 5), (2, 3, 9), (1, 4, 12), (0, 5, 10)]
WINDOWS.append((1, 3, 14))
STATISTICS = [0.192064, 1.229009, 2.0, 2.0, 2.0, 2.0, 1.438958, 0.342415, 0.0, 0.0]
#: One answer each: detractor -1, passive 0, promoter +1.
ANSWERS = (-1, -1, 0, 1, -1, -1, 0, -1)


def of_answer(x: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([[x == -1, x == 0, x == 1]], dtype=np.int64)


def column(weighed: Weights) -> Weights:
    """Weights of one size as [k, 1]."""
    return Weights(*(values[:, None] for values in weighed))


def test_the_weights_of_the_worked_example() -> None:
    calm = shifted(BASE, 0.03)
    assert calm[0].tolist() == pytest.approx([0.215, 0.3, 0.485])
    assert shifted(calm, 0.10)[0].tolist() == pytest.approx([0.265, 0.3, 0.435])
    found = weights(BASE, 0.03, 0.10)
    assert found.negative[0] == pytest.approx(0.2090917979, abs=5e-11)
    assert found.positive[0] == pytest.approx(-0.1088028598, abs=5e-11)
    assert found.information[0] == pytest.approx(0.0078146505, abs=5e-11)
    assert found.information_dropped[0] == pytest.approx(0.0080800824, abs=5e-11)


@pytest.mark.parametrize(
    ("answers", "wanted", "limit"),
    [
        (3_600, 0.1, 5.6395),
        (3_600, 1.0, 3.3369),
        (38_500, 0.1, 8.0092),
        (38_500, 1.0, 5.7067),
        (360_000, 0.1, 10.2447),
        (360_000, 1.0, 7.9421),
    ],
)
def test_the_thresholds_of_the_worked_example(answers: int, wanted: float, limit: float) -> None:
    information = weights(BASE, 0.03, 0.10).information
    assert threshold(information, np.array([float(answers)]), wanted)[0] == pytest.approx(limit, abs=5e-5)


def test_a_scope_of_three_answers_has_the_least_threshold_and_not_a_negative_one() -> None:
    assert threshold(np.array([0.008]), np.array([3.0]), 0.1)[0] == 2.0
    assert threshold(np.array([0.008]), np.array([0.0]), 0.1)[0] == 2.0


def test_the_path_of_the_worked_example_fires_at_the_third_and_resolves_at_the_eighth_window() -> None:
    state = Cusum.fresh(1, 1)
    weighed, limit = column(weights(BASE, 0.03, 0.10)), np.array([[2.0]])
    path, levels = [], []
    for number, window in enumerate(WINDOWS, 1):
        state.step(np.array([window]), BASE, weighed, limit, number * 300)
        path.append(float(state.statistic[0, 0]))
        levels.append(float(state.level(limit)[0]))
    assert path == pytest.approx(STATISTICS, abs=5e-7)
    assert [level >= 1.0 for level in levels].index(True) == 2
    assert [level <= 0.5 for level in levels[3:]].index(True) == 4


def test_the_estimated_start_is_the_last_window_at_zero_and_the_size_counts_from_there() -> None:
    state = Cusum.fresh(1, 1)
    weighed, limit = column(weights(BASE, 0.03, 0.10)), np.array([[2.0]])
    for number, window in enumerate([(0, 5, 10), (3, 2, 4), (6, 2, 2), (5, 3, 1)], 1):
        state.step(np.array([window]), BASE, weighed, limit, number * 300)
    assert state.began[0, 0] == 300
    assert state.since[0, 0].tolist() == [14, 7, 7]
    assert state.expected[0, 0] == pytest.approx(28 * 0.3)
    assert net(state.since[0, 0]) == pytest.approx(-0.25)


def test_the_e_detector_walks_the_worked_path() -> None:
    logs, means = e_fresh(1), []
    for window in WINDOWS[:7]:
        logs = e_step(logs, np.array([window]), np.array([0.27]))
        means.append(float(np.exp(e_statistic(logs))[0]))
    worked = [1.06529, 7.516435, 55.231016, 926.530724, 14894.157457, 69683.385856, 4843.446507]
    assert means == pytest.approx(worked, rel=1e-6)


def test_the_e_detector_per_answer_with_one_bet() -> None:
    """Worked for the bet 0.12 alone: the third column."""
    logs, found, product = e_fresh(1), [], 0.0
    for x in ANSWERS:
        before = logs
        logs = e_step(logs, of_answer(x), np.array([0.30]))
        found.append(float(np.exp(logs[0, 2])))
        product += float(logs[0, 2] - np.logaddexp(before[0, 2], 0.0))
    assert found == pytest.approx(
        [1.156, 2.492336, 3.61806, 4.230143, 6.046045, 8.145228, 9.474457, 12.108472], abs=1e-6
    )
    assert np.exp(product) == pytest.approx(2.02957056, abs=5e-9)


def test_a_capped_e_detector_comes_down_again() -> None:
    calm, bad = np.array([[1, 3, 14]]), np.array([[9, 3, 4]])
    free, capped = e_fresh(1), e_fresh(1)
    cap = np.array([np.log(5.0 / 0.001)])
    for window in [bad] * 30 + [calm] * 20:
        free = e_step(free, window, np.array([0.27]))
        capped = e_step(capped, window, np.array([0.27]), cap)
    assert e_statistic(capped)[0] < np.log(1000.0) / 2 < e_statistic(free)[0]


@pytest.mark.parametrize(("rate", "drop"), [(5, 0.24), (20, 0.13), (100, 0.066), (500, 0.032)])
def test_the_smallest_drop_that_a_day_can_show(rate: int, drop: float) -> None:
    n = np.array([24.0 * rate])
    information = weights(BASE, 0.03, 0.10).information
    limit = threshold(information, 30 * n, 0.1)
    assert detectable(np.array([0.61]), limit, n)[0] == pytest.approx(drop, abs=0.006)


@given(
    st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=1, max_size=30),
    st.floats(0.02, 0.6),
    st.floats(0.02, 0.38),
)
def test_the_statistic_stays_between_zero_and_the_limit_and_scopes_do_not_touch_each_other(
    windows: list[tuple[int, int, int]], negative: float, positive: float
) -> None:
    shares = np.array([[negative, 1 - negative - positive, positive], [0.2, 0.3, 0.5]])
    weighed = column(weights(shares, 0.03, 0.10))
    limit = np.array([[3.0], [3.0]])
    both, alone = Cusum.fresh(2, 1), Cusum.fresh(1, 1)
    other = Weights(*(values[:1] for values in weighed))
    for number, window in enumerate(windows, 1):
        both.step(np.array([window, (0, 0, 9)]), shares, weighed, limit, number)
        alone.step(np.array([window]), shares[:1], other, limit[:1], number)
    assert 0.0 <= both.statistic[0, 0] <= 3.0
    assert both.statistic[0, 0] == alone.statistic[0, 0]
    assert both.statistic[1, 0] == 0.0


def test_every_scale_falls_into_three_classes_that_agree_with_its_top_box() -> None:
    one_each = np.ones(11, dtype=np.int64)
    assert three("nps", "0-10", one_each).tolist() == [7, 2, 2]
    five = np.array([1] * 5 + [0] * 6)
    seven = np.array([1] * 7 + [0] * 4)
    ten = np.array([1] * 10 + [0])
    assert three("csat", "1-5", five).tolist() == [2, 1, 2]
    assert three("csat", "1-7", seven).tolist() == [3, 2, 2]
    assert three("csat", "1-10", ten).tolist() == [6, 2, 2]
    assert three("csat", "0-1", np.array([4, 6] + [0] * 9)).tolist() == [4, 0, 6]
    assert three("ces", "1-7", seven).tolist() == [3, 2, 2]
    assert three("rating", "1-5", five).tolist() == [2, 1, 2]
    assert three("sentiment", "minilm", np.array([3, 4, 5] + [0] * 8)).tolist() == [3, 4, 5]


def test_effort_is_read_the_other_way_round() -> None:
    assert three("ces", "1-5", np.array([9, 0, 0, 0, 1] + [0] * 6)).tolist() == [1, 0, 9]
    with pytest.raises(UsageError, match="no three classes"):
        sides("volume", "")


def test_next_to_the_end_of_the_scale_calm_answers_raise_nothing() -> None:
    """Nine of ten negative: the positive share is at its floor before and after a drop, so what becomes fewer are those
    in between. Counting them as nothing would make every negative answer, of which there are many, speak for a drop."""
    shares = np.array([[0.90, 0.09, 0.01]])
    for size in (0.07, 0.17):
        found = weights(shares, 0.03, size)
        calm, dropped = shifted(shares, 0.03), shifted(shifted(shares, 0.03), size)
        assert calm.sum() == pytest.approx(1.0)
        assert dropped.sum() == pytest.approx(1.0)
        assert found.between[0] < 0.0
        assert found.information[0] > 0.0
        # A likelihood ratio: its exponential is 1 in the mean while nothing has dropped.
        each = np.array([found.negative[0], found.between[0], found.positive[0]])
        assert (calm[0] * np.exp(each)).sum() == pytest.approx(1.0)
    assert weights(BASE, 0.03, 0.07).between[0] == 0.0


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.sampled_from([0.07, 0.10, 0.17]))
def test_weights_are_likelihood_ratios_of_whole_shares_whatever_the_scope(one: float, two: float, size: float) -> None:
    low, high = sorted((one, two))
    shares = np.array([[low, high - low, 1.0 - high]])
    found = weights(shares, 0.03, size)
    calm = shifted(shares, 0.03)[0]
    each = np.array([found.negative[0], found.between[0], found.positive[0]])
    assert (calm * np.exp(each)).sum() == pytest.approx(1.0, abs=1e-9)
    assert found.information[0] >= -1e-12
