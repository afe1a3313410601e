"""Single events call somebody at once; rejected events do when they are too many."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.alerts.contracts import poisson_tail
from pipeline.alerts.events import Share, single
from pipeline.alerts.finding import Verdict
from pipeline.alerts.rules import DEFAULT_PATH, Rules, parse
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.errors import SettingsError
from pipeline.slices import CORE, FURTHER

HEAD = 'fallback_owner = "customer-experience"\n'


def rules(parameters: str, metric: str = "nps", head: str = HEAD) -> Rules:
    text = f"""{head}
        [[rules]]
        id = "one"
        metric = "{metric}"
        detector = "event"
        scope = ["brand,touchpoint"]
        severity = {{ error = 0 }}
        route = "default"
        runbook = "docs/alerts.md"
        parameters = {{ {parameters} }}"""
    return parse(text, Registry.parse(REGISTRY.read_text()))


def answer(**other: Any) -> dict[str, Any]:
    dims = dict.fromkeys((*CORE, *FURTHER), "")
    made = {**dims, "epoch": 1, "part": 3, "off": 17, "occurred_ms": 1_000_500, "metric": "nps", "scale": "0-10"}
    made |= {"bin": 9, "label": "", "tier": "", "brand": "acme", "touchpoint": "delivery", "text": "", "topics": ""}
    return {**made, **other}


@pytest.mark.parametrize(
    ("parameters", "other", "hit"),
    [
        ("negative = 1", {"bin": 3}, True),
        ("negative = 1", {"bin": 9}, False),
        ("negative = 1", {"bin": 3, "metric": "csat", "scale": "1-5"}, False),
        ('negative = 0, words = ["Fire"]', {"text": "There was a FIRE in the shop"}, True),
        ('negative = 0, words = ["fire"]', {"text": "All fine"}, False),
        ('negative = 1, segments = ["vip"]', {"bin": 0, "segments": "young,VIP"}, True),
        ('negative = 1, segments = ["vip"]', {"bin": 0, "segments": "young"}, False),
        ('negative = 1, segments = ["vip"]', {"bin": 10, "segments": "vip"}, False),
    ],
)
def test_an_answer_is_one_finding_or_none(parameters: str, other: dict[str, Any], hit: bool) -> None:
    found = single(rules(parameters), pl.DataFrame([answer(**other)]))
    assert len(found) == hit
    if hit:
        assert found[0].verdict == Verdict.RAISED
        assert found[0].event == "feedback:1:3:17"
        assert found[0].scope == {"brand": "acme", "touchpoint": "delivery"}
        assert (found[0].owner, found[0].began) == ("logistics", 1000)


def test_the_topics_of_a_text_say_who_answers_for_it() -> None:
    text = '[[owners]]\ntopic = "price"\nowner = "billing"\n'
    asked = rules("negative = 1", head=HEAD + text)
    said = pl.DataFrame([answer(bin=0, topics="delivery,price"), answer(bin=0, topics="delivery"), answer(bin=0)])
    assert [each.owner for each in single(asked, said)] == ["billing", "logistics", "logistics"]


def test_the_label_of_a_text_counts_for_sentiment() -> None:
    said = pl.DataFrame(
        [answer(label="negative", tier="minilm", text="Never again"), answer(label="positive", tier="minilm")]
    )
    found = single(rules("negative = 1", "sentiment"), said)
    assert [each.verbatims for each in found] == [("Never again",)]


def test_too_many_rejected_events_name_their_reason_and_calm_down_again() -> None:
    rejects = Share(parse(DEFAULT_PATH.read_text(), Registry.parse(REGISTRY.read_text())), "rejects")
    assert rejects.wanted
    assert rejects.step(300, 1_000, {"not_json": 30}) == []
    (found,) = rejects.step(600, 1_000, {"not_json": 300, "bad_time": 5})
    assert (found.verdict, found.scope, found.statistic) == (Verdict.RAISED, {"reason": "not_json"}, 0.3)
    other = Share(rejects.rules, "rejects")
    other.load(rejects.dump())
    (still,) = other.step(900, 1_000, {"not_json": 40})
    assert still.verdict == Verdict.UNDECIDED
    (calm,) = other.step(1_200, 1_000, {})
    assert calm.verdict == Verdict.CALM
    assert other.step(1_500, 1_000, {}) == []


def test_more_than_one_in_twenty_corrected_answers_raise_a_warning_by_reason() -> None:
    """W12: what changed of a day's answers; delayed ones are usual, and a handful says nothing."""
    restated = Share(parse(DEFAULT_PATH.read_text(), Registry.parse(REGISTRY.read_text())), "restated")
    assert restated.wanted
    assert restated.step(300, 500, {"revised": 25, "delayed": 400}) == []
    assert restated.step(600, 500, {"revised": 25, "merged": 49}) == [], "50 of 1,000 are one in twenty and not more"
    (found,) = restated.step(900, 0, {"revised": 1})
    assert (found.verdict, found.metric, found.scope) == (Verdict.RAISED, "restated", {"reason": "revised"})
    assert (found.severity, found.statistic, found.threshold) == ("warning", 0.051, 0.05)
    (still,) = restated.step(1_200, 100, {})
    assert still.verdict == Verdict.UNDECIDED
    (calm,) = restated.step(86_400 + 900, 100, {})
    assert calm.verdict == Verdict.CALM


def test_a_rule_about_corrections_that_counts_nothing_or_an_unknown_reason_is_refused() -> None:
    text = DEFAULT_PATH.read_text()
    for reasons, words in (("[]", "counts no reason"), ('["delayed", "moved"]', "moved is no reason of a change")):
        with pytest.raises(SettingsError, match=words):
            parse(text + f"[rules.parameters]\nreasons = {reasons}\n", Registry.parse(REGISTRY.read_text()))


def test_the_tails_of_poisson_numbers() -> None:
    """P(N <= 2 | 5) = 0.124652, P(N >= 12 | 5) = 0.005453 (tables)."""
    import numpy as np

    assert poisson_tail(np.array([2.0]), np.array([5.0]), above=False)[0] == pytest.approx(0.124652, abs=1e-6)
    assert poisson_tail(np.array([12.0]), np.array([5.0]), above=True)[0] == pytest.approx(0.005453, abs=1e-6)
    assert poisson_tail(np.array([0.0, 3.0]), np.array([5.0, 0.0]), above=True).tolist() == [1.0, 0.0]
