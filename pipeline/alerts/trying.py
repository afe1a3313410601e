"""A made-up incident to try a route with; it says TEST wherever it arrives (pure)."""

from __future__ import annotations

from pipeline.alerts.entries import Account, Notice, Part, State
from pipeline.alerts.finding import Estimate, Finding, Verdict
from pipeline.alerts.fingerprint import named

_HOUR_S = 3600


def trial(receiver: str, route: str, now_ms: int) -> Notice:
    """The notice for one receiver, over as soon as it is said: it leaves nothing open anywhere."""
    seconds = now_ms // 1000
    seen = Finding(
        rule="test",
        rule_version=1,
        scope={"brand": "test", "touchpoint": "test"},
        metric="nps",
        scale="0-10",
        window_end=seconds,
        verdict=Verdict.CALM,
        statistic=0.0,
        threshold=1.0,
        severity="info",
        owner="nobody",
        route=route,
        runbook="",
        began=seconds - _HOUR_S,
        baseline=0.3,
        score=Estimate(0.12, 0.07, 0.17, 412),
        size=Estimate(-0.18, -0.23, -0.13, 412),
    )
    labels = {"alertname": "test", "metric": "nps", "brand": "test"}
    part = Part(
        id=named(labels),
        labels=labels,
        state=State.RESOLVED,
        severity="info",
        finding=seen,
        now=seen.score,
        fired_ms=now_ms - 1000,
        resolved_ms=now_ms,
        count=1,
    )
    account = Account(
        key=part.id,
        id=f"{part.id}-{seconds}",
        labels={"owner": "nobody", "metric": "nps", "brand": "test", "route": route},
        owner="nobody",
        route=route,
        state=State.RESOLVED,
        severity="info",
        opened_ms=now_ms - 1000,
        resolved_ms=now_ms,
        reopened=0,
        acked_by="",
        level=0,
        count=1,
        parts=[part],
    )
    return Notice(fingerprint=account.id, state="test", revision=1, receiver=receiver, at_ms=now_ms, accounts=[account])
