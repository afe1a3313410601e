"""The declared journey: defaults, and a sentence for each mistake."""

from __future__ import annotations

import pytest

from pipeline.customers.declared import Declared
from pipeline.customers.registry import Registry
from pipeline.customers.watcher import read_registry
from pipeline.errors import SettingsError
from tests.unit.customers.test_registry import GOOD


def test_a_registry_without_a_journey_has_the_defaults() -> None:
    assert Registry.parse(GOOD).journey == Declared(14, (), {})


def test_the_bundled_journey_arrives_and_leads_on_from_every_stage() -> None:
    registry = read_registry()
    assert registry.journey.arrived == ("payment", "contract_renewal")
    assert set(registry.journey.ways) == set(registry.stages)


def test_a_journey_is_read() -> None:
    text = GOOD + '[journey]\nsilence_days = 7\narrived = ["checkout"]\n[journey.map]\nbuy = ["use"]\n'
    assert Registry.parse(text).journey == Declared(7, ("checkout",), {"buy": ("use",)})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[journey]\nsilence_days = 0", "silence_days is 0"),
        ("[journey]\nsilence_days = true", "silence_days is True"),
        ("[journey]\narrived = 'checkout'", "arrived must be a list"),
        ("[journey]\narrived = ['fax']", "names fax, which is no touchpoint"),
        ("[journey]\nmap = 3", "must be a table: stage ="),
        ("[journey.map]\nbuy = ['moon']", "names moon, which is no stage"),
        ("[journey.map]\nbuy = 'use'", "buy must be a list of stages"),
        ("[journey]\nend = 1", "unknown key 'end'"),
    ],
)
def test_what_does_not_hold_is_named(table: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Registry.parse(GOOD + table + "\n")
