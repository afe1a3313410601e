"""Which of a whole and its parts speaks: both ways, and never none."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.alerts.entries import Alert, State
from pipeline.alerts.fingerprint import named
from pipeline.alerts.inhibition import explains, inhibited, within
from pipeline.alerts.life import labels_of, tidied
from tests.unit.alerts.findings import estimate, finding, share

ACME: dict[str, str] = {"brand": "acme"}
DELIVERY = {"brand": "acme", "touchpoint": "delivery"}


def firing(scope: dict[str, str], size: float, *, half: float = 0.05, n: int = 400, **more: Any) -> Alert:
    seen = tidied(finding(1, scope=scope, size=estimate(size, half=half, n=n), **more))
    labels = labels_of(seen)
    return Alert(id=named(labels), labels=labels, state=State.FIRING, severity="error", last=seen, raised=seen)


def test_a_child_within_the_interval_of_its_parent_is_mute() -> None:
    parent, child = firing(ACME, -0.20, n=2_000), firing(DELIVERY, -0.22, n=300)
    assert inhibited([parent, child]) == {child.id: parent.id}
    worse = firing(DELIVERY, -0.26, n=300)
    assert inhibited([parent, worse]) == {}


def test_a_child_that_explains_its_parent_mutes_it_instead() -> None:
    parent = firing(ACME, -0.10, n=2_000, contributions=[share("touchpoint", "delivery", 0.8)])
    child = firing(DELIVERY, -0.40, n=400)
    assert inhibited([parent, child]) == {parent.id: child.id}
    small = firing({"brand": "acme", "touchpoint": "checkout"}, -0.40, n=100)  # the rest: -0.084
    assert inhibited([parent, small]) == {}


def test_without_a_share_the_answers_of_both_decide() -> None:
    parent = firing(ACME, -0.10, n=1_000)
    assert explains(firing(DELIVERY, -0.40, n=200).evidence, parent.evidence)  # the rest: -0.025
    assert not explains(firing(DELIVERY, -0.40, n=150).evidence, parent.evidence)  # the rest: -0.047
    assert not explains(firing(DELIVERY, -0.10, n=1_000).evidence, parent.evidence)  # no rest
    assert not explains(firing(DELIVERY, -0.40, n=200).evidence, firing(ACME, -0.03).evidence)  # no drop


def test_of_a_chain_only_the_deepest_that_explains_speaks() -> None:
    leaf = {**DELIVERY, "unit": "be-1"}
    whole = firing(ACME, -0.05, n=10_000, contributions=[share("touchpoint", "delivery", 1.0)])
    middle = firing(DELIVERY, -0.25, n=2_000, contributions=[share("unit", "be-1", 0.95)])
    deep = firing(leaf, -0.50, n=950)
    mute = inhibited([whole, middle, deep])
    assert mute == {whole.id: middle.id, middle.id: deep.id}


def test_other_metrics_other_scopes_and_oneself_inhibit_nothing() -> None:
    parent = firing(ACME, -0.20)
    assert inhibited([parent, firing(DELIVERY, -0.20, metric="csat")]) == {}
    assert inhibited([firing({"brand": "zeta"}, -0.20), firing(DELIVERY, -0.20)]) == {}
    assert inhibited([parent, firing(ACME, -0.20, rule="another")]) == {}


@pytest.mark.parametrize("side", ["parent", "child"])
def test_without_an_estimate_there_is_no_judgement(side: str) -> None:
    parent, child = finding(1, scope=ACME), finding(1, scope=DELIVERY)
    bare = finding(1, scope=DELIVERY, size=None)
    pair = (bare, parent) if side == "child" else (child, bare)
    assert not within(*pair)
    assert not explains(*pair)
