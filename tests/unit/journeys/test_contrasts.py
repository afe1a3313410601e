"""Lift, impact, risk and gaps: the worked numbers of scores.md 5, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.journeys.contrasts import Gap, Risk, gap, lifts, risk
from pipeline.journeys.refusing import Refusal

CLASSES = [-1.0, 0.0, 1.0]


def points(value: np.ndarray | float) -> str:
    return f"{100 * float(np.asarray(value).reshape(-1)[0]):.3f}"


def test_touchpoint_lift_and_contribution_are_the_worked_numbers() -> None:
    found = lifts(np.array([[60, 40, 50]]), np.array([[100, 100, 300]]), CLASSES)
    assert (points(found.met.mean), points(found.others.mean)) == ("-6.667", "40.000")
    assert points(found.lift) == "-46.667"
    assert (points(found.lift_low), points(found.lift_high)) == ("-62.024", "-31.310")
    assert points(found.impact) == "-10.769"
    assert found.enough.tolist() == [True]


def test_the_impact_is_what_the_score_loses_when_those_who_met_it_are_left_out() -> None:
    met, others = np.array([[60, 40, 50]]), np.array([[100, 100, 300]])
    whole, rest = (np.array(CLASSES) @ h[0] / h.sum() for h in (met + others, others))
    assert lifts(met, others, CLASSES).impact[0] == pytest.approx(whole - rest, abs=1e-15)


def test_the_interval_of_the_impact_covers_in_95_of_100_samples() -> None:
    """2,000 samples of 400 answers; the truth is share x lift = 0.3 x -0.4."""
    random = np.random.default_rng(5)
    shares = np.array([0.3 * 0.5, 0.3 * 0.2, 0.3 * 0.3, 0.7 * 0.2, 0.7 * 0.4, 0.7 * 0.4])
    drawn = random.multinomial(400, shares, size=2_000)
    found = lifts(drawn[:, :3], drawn[:, 3:], CLASSES)
    truth = 0.3 * ((0.3 - 0.5) - (0.4 - 0.2))
    covered = float(((found.impact_low <= truth) & (truth <= found.impact_high)).mean())
    assert 0.93 < covered < 0.97


def test_a_side_under_ten_answers_is_not_enough() -> None:
    met, others = np.array([[3, 3, 3], [4, 3, 3]]), np.array([[50, 0, 50], [50, 0, 50]])
    assert lifts(met, others, CLASSES).enough.tolist() == [False, True]


def test_churn_by_answer_is_the_worked_risk_and_odds_ratio() -> None:
    found = risk((40, 6), (160, 200))
    assert isinstance(found, Risk)
    assert f"{found.ratio.value:.4f}" == "8.3333"
    assert [f"{x:.4f}" for x in (found.odds.value, found.odds.low, found.odds.high)] == ["10.7778", "4.4359", "26.1862"]
    assert (found.n, found.outcomes, found.odds.padded) == (360, 46, False)
    assert found.ratio.low < found.ratio.value < found.ratio.high


def test_under_ten_outcomes_or_ten_customers_there_is_no_ratio() -> None:
    few = risk((5, 4), (160, 200))
    small = risk((5, 20), (9, 200))
    rare_survivors = risk((155, 197), (160, 200))
    assert isinstance(few, Refusal)
    assert (few.n, few.needed) == (9, 10)
    assert isinstance(small, Refusal)
    assert "9 customers" in small.reason
    assert isinstance(rare_survivors, Refusal)


def test_an_empty_cell_gets_half_a_case_and_says_so() -> None:
    found = risk((20, 0), (100, 100))
    assert isinstance(found, Risk)
    assert found.odds.padded
    assert found.odds.value == pytest.approx(20.5 * 100.5 / (80.5 * 0.5))


def test_the_delivery_gap_is_newcombes_worked_interval() -> None:
    found = gap((290, 80), (362, 1000))
    assert isinstance(found, Gap)
    assert [f"{x:.6f}" for x in (found.difference, found.low, found.high)] == ["0.721105", "0.673214", "0.761925"]
    assert isinstance(gap((3, 80), (9, 1000)), Refusal)


@settings(deadline=None)
@given(st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_a_gap_turned_round_changes_its_sign_only(hits: tuple[int, int]) -> None:
    one, two = gap(hits, (50, 60)), gap(hits[::-1], (60, 50))
    assert isinstance(one, Gap)
    assert isinstance(two, Gap)
    assert (one.difference, one.low, one.high) == pytest.approx((-two.difference, -two.high, -two.low))
