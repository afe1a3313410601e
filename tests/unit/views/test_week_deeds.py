"""Why and what was done in the weekly report: intervals beside each pull, who answered after how long, nothing runs."""

from __future__ import annotations

from typing import Any

from pipeline.alerts.book import Step
from pipeline.alerts.entries import Incident, State
from pipeline.views.week_deeds import deeds_of, done, why

#: 2026-04-27 08:00 UTC, in ms.
AT = 1_777_276_800_000
MINUTE = 60_000
HOSTILE = "<script>alert(1)</script>"


def incident(name: str = "i", since_ms: int = AT, **other: Any) -> Incident:
    known = {"key": name, "id": name, "labels": {"brand": "aurora", "metric": "nps", "route": "default"}}
    rest = {"route": "default", "owner": "logistics", "state": State.FIRING, "severity": "error", "opened_ms": AT}
    return Incident(**{**known, **rest, "since_ms": since_ms, **other})


def step(word: str, minute: int, entry: Incident, by: str = "", said: str = "") -> Step:
    return Step("incident", word, AT + minute * MINUTE, by, said, entry)


def test_who_answered_after_how_long_and_how_long_it_lasted() -> None:
    deeds = deeds_of(
        [
            step("firing", 0, incident()),
            step("acknowledged", 12, incident(acked_by="Ana", revision=2), "Ana", "calling the carrier"),
            step("resolved", 95, incident(state=State.RESOLVED, resolved_ms=AT + 95 * MINUTE, revision=3)),
            step("firing", 30, incident("j", AT + 30 * MINUTE)),
        ]
    )
    text = done(deeds)
    assert "2 alerts; 1 were answered by a person, half of them within 12 min; 1 are over." in text
    assert "<td>aurora (NPS)</td><td>logistics</td><td>Mon 27 Apr 08:00</td>" in text
    assert "<td>Ana after 12 min: calling the carrier</td><td>after 1 h 35 min</td>" in text
    assert "<td>nobody</td><td>still open</td>" in text


def test_what_was_opened_again_waits_for_an_answer_again() -> None:
    again = AT + 200 * MINUTE
    steps = [
        step("firing", 0, incident()),
        step("acknowledged", 5, incident(revision=2), "Ana"),
        step("resolved", 9, incident(state=State.RESOLVED, resolved_ms=AT + 9 * MINUTE, revision=3)),
        step("firing", 200, incident(since_ms=again, reopened=1, revision=4)),
    ]
    (deed,) = deeds_of(steps)
    assert (deed.opened_ms, deed.answered_by, deed.ended_ms) == (again, "", 0)


def test_a_week_without_alerts_says_so() -> None:
    assert "No alert was raised." in done([])


def driver(name: str, value: float, low: float, high: float, n: int = 50) -> dict[str, Any]:
    met = {"score": -20.0 if n >= 10 else None, "n": n, "unit": "points"}
    impact = {"value": value, "low": low, "high": high, "status": "ok" if n >= 10 else "insufficient"}
    return {"driver": name, "met": met, "impact": impact, "reach": {"value": 0.25, "n": 200}}


def test_each_pull_has_its_interval_and_chance_is_called_so() -> None:
    rows = [driver("page", 0.5, -1.0, 2.0), driver("late_parcel", -9.0, -11.0, -7.0), driver("rare", -50.0, 0, 0, n=9)]
    text = why({"metric": "nps", "whole": {"unit": "points", "n": 200}, "drivers": rows}, "NPS")
    assert text.index("late parcel") < text.index("page")
    assert "<td>late parcel</td><td>25 %</td><td>-20.0 (n 50)</td><td>-9.0</td><td>-11.0 to -7.0</td><td></td>" in text
    assert "within chance" in text
    assert "rare" not in text
    assert "too few answers" in why(None, "NPS")


def test_what_people_typed_stays_text() -> None:
    labels = {"brand": HOSTILE, "metric": "nps"}
    deeds = deeds_of([step("acknowledged", 1, incident(labels=labels, owner=HOSTILE), HOSTILE, HOSTILE)])
    drivers = {"metric": "nps", "whole": {"unit": "points", "n": 200}, "drivers": [driver(HOSTILE, 1.0, 0.5, 1.5)]}
    assert "<script" not in done(deeds) + why(drivers, HOSTILE)
