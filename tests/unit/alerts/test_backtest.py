"""From findings to what a manager reads: alarms with begin and end, a day's worth by owner, what a change changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.alerts.backtest import difference, firings, per_day
from pipeline.alerts.evidence import main_topic, ranked
from pipeline.alerts.finding import Estimate, Finding, Verdict
from pipeline.alerts.keeping import pack, unpack


def finding(end: int, verdict: Verdict, fall: float = 0.1, **other: object) -> Finding:
    made = Finding(
        rule="r",
        rule_version=1,
        scope={"brand": "acme"},
        metric="nps",
        scale="0-10",
        window_end=end,
        verdict=verdict,
        statistic=1.0,
        threshold=1.0,
        severity="warning",
        owner="stores",
        route="default",
        runbook="",
        size=Estimate(-fall, -fall - 0.1, -fall + 0.1, 50),
    )
    return replace(made, **other)  # type: ignore[arg-type]


STORY = [
    finding(300, Verdict.RAISED),
    finding(600, Verdict.RAISED, 0.3),
    finding(900, Verdict.UNDECIDED),
    finding(1200, Verdict.CALM),
    finding(1500, Verdict.RAISED, scope={}, owner="logistics"),
    finding(9000, Verdict.RAISED),
]


def test_an_alarm_lasts_from_raised_to_calm_and_keeps_its_worst_moment() -> None:
    found = firings(STORY)
    assert [(each.raised.window_end, each.resolved) for each in found] == [(300, 1200), (1500, None), (9000, None)]
    assert found[0].worst.size is not None
    assert found[0].worst.size.value == -0.3
    assert found[1].key == ("r", "total", "nps", "0-10")


def test_alarms_a_day_are_counted_by_owner_and_shadow_calls_nobody() -> None:
    quiet = finding(300, Verdict.RAISED, rule="q", shadow=True)
    assert per_day(firings([quiet, *STORY]), 2 * 86_400) == {"logistics": 0.5, "stores": 1.0}


def test_two_versions_differ_by_what_only_one_has_and_what_moved() -> None:
    before = firings(STORY)
    after = firings([finding(600, Verdict.RAISED), *STORY[3:5], finding(9000, Verdict.RAISED, rule="new")])
    found = difference(before, after)
    assert [(one.raised.window_end, other.raised.window_end) for one, other in found.moved] == [(300, 600)]
    assert [each.key[0] for each in found.new] == ["new"]
    assert [each.raised.window_end for each in found.gone] == [9000]
    assert found.same == 1
    nothing = difference(before, before)
    assert (nothing.gone, nothing.new, nothing.moved, nothing.same) == ((), (), (), 3)


def test_contributions_are_shares_of_the_whole_drop() -> None:
    now, before = np.array([[60, 20, 20], [10, 30, 60], [0, 0, 0]]), np.array([[20, 30, 50], [10, 30, 60], [0, 0, 5]])
    found = ranked("touchpoint", ["delivery", "checkout", "gone"], now, before)
    assert [each.value for each in found] == ["delivery"]
    # From 95 / 205 to 10 / 200 = -0.413415; delivery: half the answers, each 0.7 lower, and 0.012195 more of them.
    total = 10 / 200 - 85 / 205
    share = (0.5 * (-0.4 - 0.3) + (0.5 - 100 / 205) * (0.3 - 85 / 205)) / total
    assert found[0].share == share
    assert found[0].now.n == 100
    assert found[0].before == 0.3


def test_an_answer_about_two_topics_gives_each_of_them_its_whole_part() -> None:
    """All who wrote fell from 0.6 to 0.2; those about deliveries from 0.5 to -0.5, and all of these were slow too."""
    now, before = np.array([[60, 20, 20], [60, 20, 20]]), np.array([[10, 30, 60], [10, 30, 60]])
    found = ranked("topic", ["delivery", "slow"], now, before, (np.array([80, 40, 80]), np.array([20, 40, 140])))
    share = (0.5 * (-0.4 - 0.5) + (0.5 - 0.5) * (0.5 - 0.6)) / (0.0 - 0.6)
    assert [(each.value, each.share) for each in found] == [("delivery", share), ("slow", share)]
    assert found[0].now.n == 100
    assert main_topic(found) == ("delivery",)
    assert main_topic([replace(found[0], share=0.4), replace(found[0], dimension="unit")]) == ()


def test_nothing_contributes_to_what_did_not_fall() -> None:
    counts = np.array([[20, 30, 50], [10, 30, 60]])
    assert ranked("unit", ["u01", "u02"], counts, counts) == []
    assert ranked("unit", ["u01", "u02"], counts, np.zeros((2, 3), dtype=np.int64)) == []


def test_what_is_kept_comes_back_to_the_last_bit() -> None:
    state = {
        "a": np.array([0.1, -np.inf, 1e-300]),
        "b": [np.zeros((2, 0, 3), dtype=np.int32)],
        "c": {"d": [1, "x", None]},
    }
    back = unpack(pack(state))
    assert back["a"].tobytes() == state["a"].tobytes()  # type: ignore[attr-defined]
    assert back["b"][0].shape == (2, 0, 3)
    assert back["c"] == state["c"]
