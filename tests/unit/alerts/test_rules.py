"""Rules are taken as a whole or not at all, and every mistake is a sentence."""

from __future__ import annotations

import pytest

from pipeline.alerts.rules import DEFAULT_PATH, parse
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.errors import SettingsError

WHOLE = Registry.parse(REGISTRY.read_text())
RULE = """
[[rules]]
id = "drop"
metric = "nps"
detector = "drop"
scope = ["total", "brand,touchpoint"]
severity = { warning = 0, critical = 20 }
route = "default"
runbook = "docs/alerts.md"
"""
FALLBACK = 'fallback_owner = "customer-experience"\n'


def test_the_bundled_rules_hold() -> None:
    rules = parse(DEFAULT_PATH.read_text(), WHOLE)
    assert next(rule.id for rule in rules.rules) == "nps-drop"
    assert rules.budget == pytest.approx(30 / 7)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules = [", "not valid TOML"),
        (FALLBACK, "there is no rule"),
        (FALLBACK + "colour = 1\n" + RULE, "unknown key 'colour'"),
        (FALLBACK + RULE + "colour = 1\n", "rule drop has an unknown field 'colour'"),
        (FALLBACK + RULE + RULE, "rule drop stands twice"),
        (FALLBACK + RULE.replace('route = "default"\n', ""), "rule drop has no route"),
        (FALLBACK + RULE.replace('"drop"\nscope', '"drip"\nscope'), "there is no detector 'drip'"),
        (FALLBACK + RULE.replace('"nps"', '"volume"'), "rule drop can never fire: drop works on nps"),
        (FALLBACK + RULE.replace("brand,touchpoint", "brand,planet"), "there is no dimension 'planet'"),
        (FALLBACK + RULE.replace('"total", ', '"brand,touchpoint", '), "names something twice"),
        (FALLBACK + RULE.replace("warning = 0", "warning = 5"), "no severity begins at 0 points"),
        (FALLBACK + RULE.replace("critical", "terrible"), "no severity 'terrible'"),
        (FALLBACK + RULE + "parameters = { dead_band = 14 }", "the dead-band of 14 points swallows the drop of 10"),
        (FALLBACK + RULE + "parameters = { small = 300 }", "small is 300, it must be 4 to 100"),
        (FALLBACK + RULE + "parameters = { speed = 3 }", "drop has no parameter 'speed'"),
        (FALLBACK + RULE + 'owner = "nobody"', "the owner 'nobody', which is none of"),
        (FALLBACK + "false_alarms_per_week = 0\n" + RULE, "with none, no rule can fire"),
        ('fallback_owner = "nobody"\n' + RULE, "fallback_owner is 'nobody'"),
        (RULE, "nobody answers for touchpoint (none), unit (none)"),
        (RULE, "nobody answers for touchpoint (any other), unit (none)"),
    ],
)
def test_a_mistake_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        parse(text, WHOLE)


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("colour = 1\n" + FALLBACK + RULE.replace("critical", "terrible"), WHOLE)
    assert "colour" in str(caught.value)
    assert "terrible" in str(caught.value)


def test_a_line_of_owners_comes_before_the_registry_and_holds_for_its_time() -> None:
    lines = """
[[owners]]
touchpoint = "delivery"
unit = "u07"
valid_from = 2026-01-01
valid_to = 2026-02-01
owner = "stores"
"""
    rules = parse(FALLBACK + lines + RULE, WHOLE)
    rule, january, march = rules.rules[0], 1_768_000_000, 1_773_000_000
    assert rules.owner_of(rule, {"touchpoint": "delivery", "unit": "u07"}, january) == "stores"
    assert rules.owner_of(rule, {"touchpoint": "delivery", "unit": "u07"}, march) == "logistics"
    assert rules.owner_of(rule, {"touchpoint": "delivery", "unit": "u08"}, january) == "logistics"
    assert rules.owner_of(rule, {}, january) == "customer-experience"


def test_a_line_with_a_topic_holds_for_what_is_about_it_and_names_a_topic_that_there_is() -> None:
    lines = '[[owners]]\ntopic = "price"\nowner = "billing"\n'
    rules = parse(FALLBACK + lines + RULE, WHOLE, topics=["delivery", "price"])
    rule = rules.rules[0]
    assert rules.owner_of(rule, {"touchpoint": "delivery"}, 0, ["delivery", "price"]) == "billing"
    assert rules.owner_of(rule, {"touchpoint": "delivery"}, 0, ["delivery"]) == "logistics"
    assert rules.owner_of(rule, {"touchpoint": "delivery"}, 0) == "logistics"
    with pytest.raises(SettingsError, match="the topic 'price', which is none of delivery, staff"):
        parse(FALLBACK + lines + RULE, WHOLE, topics=["delivery", "staff"])


def test_a_hole_in_time_is_named_with_its_date() -> None:
    lines = """
[[owners]]
valid_to = 2026-03-01
owner = "stores"
"""
    with pytest.raises(
        SettingsError, match=r"nobody answers for touchpoint \(none\), unit \(none\) from 2026-03-01 on"
    ):
        parse(lines + RULE, WHOLE)


def test_a_rule_with_an_owner_of_its_own_needs_no_other() -> None:
    assert parse(RULE + 'owner = "stores"', WHOLE).owner_of(parse(RULE + 'owner = "stores"', WHOLE).rules[0], {}, 0)


def test_severity_follows_the_effect() -> None:
    rule = parse(FALLBACK + RULE, WHOLE).rules[0]
    assert [rule.severity_of(points) for points in (-3.0, 0.0, 19.9, 20.0, 60.0)] == [
        *("warning", "warning", "warning", "critical", "critical")
    ]


def test_a_rule_that_decides_otherwise_has_another_digest_and_another_severity_has_not() -> None:
    plain = parse(FALLBACK + RULE, WHOLE).rules[0]
    assert parse(FALLBACK + RULE.replace("= 20", "= 25"), WHOLE).rules[0].digest == plain.digest
    assert parse(FALLBACK + RULE + "parameters = { small = 8 }", WHOLE).rules[0].digest != plain.digest
