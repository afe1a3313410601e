"""The flow as text: bars, times, what is undeclared, what is not known."""

from __future__ import annotations

from typing import Any

from pipeline.views import flow

NOTHING: dict[str, Any] = {"value": None, "low": None, "high": None, "n": 3, "status": "insufficient"}


def share(value: float, n: int) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n, "status": "ok"}


def way(one: str, other: str, n: int, of: int, **more: Any) -> dict[str, Any]:
    return {"from": one, "to": other, "n": n, "share": share(n / of, of), "median_seconds": None, "map": "", **more}


STEPS = [
    {"step": "buy", "journeys": 100, "scores": [{"score": None, "n": 4}], "drop_off": share(0.25, 80),
     "removal_effect": NOTHING},
]  # fmt: skip
WAYS = [
    way("(begin)", "buy", 100, 100),
    way("buy", "use", 60, 100, median_seconds=7_265),
    way("buy", "(end)", 39, 100),
    way("buy", "support", 1, 100, map="undeclared"),
    {**way("use", "renew", 0, 1), "share": NOTHING, "map": "unseen"},
]


def test_a_flow_is_drawn_step_by_step_with_its_ways() -> None:
    assert flow.drawn(STEPS, WAYS, plain=True) == [
        "(begin)",
        "  #################### 100.0 %       100  > buy",
        "",
        "buy: 100 journeys  |  score insufficient (n 4)  |  25.0 % (20.0 .. 30.0) stop here",
        "  ############          60.0 %        60  > use        2 h 1 m",
        "  ########              39.0 %        39  > (end)",
        "  #                      1.0 %         1  > support             undeclared",
        "",
        "declared but never taken: use > renew",
    ]
    assert "█" in flow.drawn(STEPS, WAYS, plain=False)[1]


def test_rare_ways_are_counted_in_one_line() -> None:
    many = [way("buy", f"t{number}", 10 - number, 45) for number in range(9)]
    assert flow.drawn(STEPS, many, plain=True)[-1] == "    and 3 rarer ways, 9 times"


def test_a_headline_says_when_too_few_are_decided_and_who_was_cut() -> None:
    totals = {"journeys": 1_003, "arrived": 2, "lost": 1, "open": 1_000, "arriving": NOTHING, "cut": 7}
    assert flow.headline(totals) == (
        "1,003 journeys: 2 arrived (insufficient), 1 ended without, 1,000 still on their way; "
        "7 of customers with more events than are read"
    )


def test_times_are_said_in_their_two_largest_units() -> None:
    assert [flow.lasting(seconds) for seconds in (0, 59, 3_600, 7_265, 172_800, 176_500, None)] == [
        "0 s", "59 s", "1 h", "2 h 1 m", "2 d", "2 d 1 h", "",
    ]  # fmt: skip
