"""The rules that come along hold with any registry; a file of one's own holds or is refused as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.alerts.loading import BUNDLED_OWNER, load_rules
from pipeline.alerts.rules import DEFAULT_PATH
from pipeline.errors import SettingsError
from pipeline.settings import load_settings
from tests.stages.worker import REGISTRY


def test_the_bundled_rules_answer_to_the_default_owner_of_a_registry_of_ones_own() -> None:
    assert load_rules(load_settings()).owners.fallback == BUNDLED_OWNER
    assert load_rules(load_settings(registry=REGISTRY)).owners.fallback == "care"


def test_rules_of_ones_own_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(DEFAULT_PATH.read_text())
    with pytest.raises(SettingsError, match="fallback_owner is 'customer-experience', it must be one of care, shop"):
        load_rules(load_settings(registry=REGISTRY, rules=file))
