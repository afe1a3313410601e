"""The usual detectors and procedures: worked numbers to the last digit, and what they cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.alerts.usual import Charts, Ewma, PageHinkley, rejected_bh, rejected_ebh, window_z

#: Answers of one segment as -1, 0, +1, against the shares (.2, .3, .5): mean .3, variance .61.
ANSWERS = [-1, -1, 0, 1, -1, -1, 0, -1]
MEAN, VARIANCE = 0.3, np.array([0.61])


def test_the_ewma_of_the_worked_example() -> None:
    chart = Ewma.fresh(0.1, 1)
    found = [float(chart.step(np.array([x - MEAN]), VARIANCE)[0]) for x in ANSWERS]
    assert found == pytest.approx([-1.6645, -2.3507, -2.0571, -1.1616, -1.8766, -2.4656, -2.3311, -2.8450], abs=5e-5)


def test_page_hinkley_of_the_worked_example() -> None:
    test = PageHinkley.fresh(1)
    found = [float(test.step(np.array([-float(x)]))[0]) for x in ANSWERS]
    assert found == pytest.approx([0, 0, 0, 0, 0.595194, 1.090328, 0.656841, 1.151969], abs=5e-7)


def test_the_z_of_a_window_of_the_worked_example_is_smaller_where_days_differ() -> None:
    totals = np.array([[38, 15, 19]])
    assert window_z(totals, np.array([MEAN]), VARIANCE)[0] == pytest.approx(-6.126252, abs=5e-7)
    assert window_z(totals, np.array([MEAN]), VARIANCE, tau=0.02)[0] == pytest.approx(-5.986560, abs=5e-7)


def test_a_window_without_answers_says_nothing_to_any_of_them() -> None:
    none = np.array([np.nan])
    chart, test = Ewma.fresh(0.1, 1), PageHinkley.fresh(1)
    before = chart.step(np.array([-1.3]), VARIANCE), test.step(np.array([1.0]))
    assert (chart.step(none, VARIANCE), test.step(none)) == before
    assert window_z(np.zeros((1, 3), dtype=np.int64), np.array([MEAN]), VARIANCE).tolist() == [0.0]


def test_the_rules_set_up_by_hand_look_at_the_last_hour_and_want_thirty_answers_in_it() -> None:
    """Ten points under the mean of 28 days: a score of 18 where 30 is usual; 29 answers or an hour later it is over."""
    usual, month = np.array([[0.2, 0.3, 0.5]] * 2), np.array([0.3, 0.3])
    charts = Charts.fresh(2)
    calm, fallen = np.array([[20, 30, 50], [6, 9, 14]]), np.array([[27, 28, 45], [10, 9, 10]])
    none = np.zeros((2, 3), dtype=np.int64)
    assert not charts.step(0, calm, month, usual).any()
    assert not charts.step(1, none, month, usual).any(), "nothing new"
    points, sigmas, chart = Charts.fresh(2).step(0, fallen, month, usual)
    assert (points.tolist(), sigmas.tolist()) == ([True, False], [False, False])
    assert not chart.any()
    for at in range(2, 15):
        found = charts.step(at, fallen if at == 2 else none, month, usual)
        assert found[0].tolist() == [at in (12, 13), at < 12], f"window {at}: the calm answers leave the hour at 12"
    far = Charts.fresh(1).step(0, np.array([[40, 30, 30]]), month[:1], usual[:1])
    assert far[:, 0].tolist() == [True, True, True]


def test_many_segments_at_once_of_the_worked_example() -> None:
    p = np.array([0.0001, 0.004, 0.019, 0.03, 0.2, 0.6])
    assert rejected_bh(p, 0.05).tolist() == [True] * 4 + [False] * 2
    e = np.array([400, 90, 35, 20, 3, 0.5])
    assert rejected_ebh(e, 0.05).tolist() == [True] * 2 + [False] * 4


def test_the_order_does_not_matter_and_one_that_is_not_small_enough_may_be_carried_by_others() -> None:
    """.019 alone is above its own share of the rate (.025 at third place carries it), and nothing is found of noise."""
    p = np.array([0.2, 0.03, 0.0001, 0.6, 0.019, 0.004])
    assert rejected_bh(p, 0.05).tolist() == [False, True, True, False, True, True]
    assert not rejected_bh(np.array([0.03, 0.04, 0.5]), 0.01).any()
    assert not rejected_ebh(np.array([20.0, 1.0]), 0.05).any()
    assert rejected_bh(np.zeros(0), 0.05).tolist() == []
