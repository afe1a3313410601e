"""The registry: whole or not at all, with a sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipeline.customers.registry import MOST_NAMES, Registry, Unknown
from pipeline.customers.watcher import read_registry
from pipeline.errors import SettingsError

GOOD = """
default_owner = "service"
[stages]
order = ["buy", "use"]
[owners.service]
name = "Service"
[owners.sales]
[touchpoints.checkout]
stage = "buy"
owner = "sales"
critical = true
[touchpoints.app]
stage = "use"
owner = "service"
"""


def test_stage_and_owner_of_known_and_unknown_touchpoints() -> None:
    registry = Registry.parse(GOOD)
    stage, owner = registry.columns(pl.Series(["app", "checkout", "fax", "", None], dtype=pl.String))
    assert stage.to_list() == ["use", "buy", "unknown", "unknown", "unknown"]
    assert owner.to_list() == ["service", "sales", "service", "service", "service"]
    assert (stage.name, owner.name) == ("stage", "owner")
    assert registry.touchpoints["checkout"].critical
    assert registry.owners == {"service": "Service", "sales": "sales"}


def test_the_registry_of_the_package_holds_and_knows_the_simulated_journey() -> None:
    registry = read_registry()
    assert registry.stages == ("discover", "buy", "receive", "use", "support", "renew")
    assert {entry.stage for entry in registry.touchpoints.values()} == set(registry.stages)
    journey = "page_viewed product_searched checkout payment order_placed store_visit delivery return_parcel invoice"
    journey += " app_session support_call support_chat ticket_solved contract_renewal"
    assert set(registry.touchpoints) == set(journey.split())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('owner = "sales"', "", "touchpoint checkout has no owner"),
        ('owner = "sales"', 'owner = "sale"', "touchpoint checkout has the owner 'sale'"),
        ('stage = "buy"', 'stage = "by"', "touchpoint checkout has the stage 'by'"),
        ('stage = "buy"', "", "touchpoint checkout has the stage None"),
        ("critical = true", 'critical = "yes"', "touchpoint checkout: critical must be true or false"),
        ("critical = true", "critcal = true", "touchpoint checkout has an unknown key 'critcal'"),
        ('default_owner = "service"', "", "default_owner is None"),
        ('default_owner = "service"', 'default_owner = "x"', "default_owner is 'x'"),
        ('["buy", "use"]', '["buy", "use", "buy"]', "stage buy stands twice"),
        ('["buy", "use"]', '["buy", "use", "unknown"]', "a stage may not be called 'unknown'"),
        ('["buy", "use"]', "[]", "[stages] needs order"),
        ("[touchpoints.app]", "[touchpoints.Checkout]", "touchpoints checkout and Checkout are the same"),
        ("[touchpoints.app]", "[touchpoints.checkout]", "is not valid TOML"),
        ("[touchpoints.app]", "[touchpoint.app]", "unknown key 'touchpoint'"),
        ('name = "Service"', 'nam = "Service"', "owner service has an unknown key 'nam'"),
        ('name = "Service"', "name = 1", "owner service: name must be a text"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Registry.parse(GOOD.replace(old, new, 1))
    assert sentence in str(raised.value)


def test_all_mistakes_are_named_at_once_and_so_is_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("default_owner = 3\n")
    with pytest.raises(SettingsError) as raised:
        read_registry(file)
    for part in ("own.toml", "default_owner", "[stages] needs order", "there is no owner", "there is no touchpoint"):
        assert part in str(raised.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        read_registry(tmp_path / "none.toml")


def test_unknown_touchpoints_are_counted_and_the_names_kept_are_bounded() -> None:
    unknown = Unknown()
    unknown.add(pl.Series(["fax", "", None, "fax", "me@x.de"]))
    assert (unknown.events, unknown.names) == (3, ["fax", "[email]"])
    assert unknown.news() == ["fax", "[email]"]
    unknown.add(pl.Series(["fax", "pager"]))
    assert unknown.news() == ["pager"]
    unknown.add(pl.Series([f"t{number}" for number in range(1000)]))
    assert unknown.events == 1005
    assert len(unknown.names) == MOST_NAMES
    assert (len(unknown.news()), unknown.news()) == (MOST_NAMES - 3, [])
