"""The watcher: a valid change takes effect, an invalid one is reported and changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.customers.registry import DEFAULT_PATH
from pipeline.customers.watcher import Watcher
from pipeline.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "registry.toml"
    path.write_text(DEFAULT_PATH.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def rewrite(path: Path, old: str, new: str) -> None:
    """Another file under the same name, as editors and mounted configuration do."""
    fresh = path.with_suffix(".new")
    fresh.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    os.replace(fresh, path)


def test_a_changed_file_takes_effect_at_the_next_look(file: Path) -> None:
    watcher = Watcher(file)
    assert not watcher.check(0.0)
    rewrite(file, 'owner = "stores"', 'owner = "marketing"')
    assert not watcher.check(0.5)
    assert watcher.check(1.0)
    assert watcher.registry.touchpoints["store_visit"].owner == "marketing"
    assert not watcher.check(2.0)


def test_an_invalid_file_is_reported_and_the_former_registry_stays(file: Path) -> None:
    watcher = Watcher(file)
    former = watcher.registry
    rewrite(file, 'owner = "stores"', 'owner = "nobody"')
    assert not watcher.check(1.0)
    assert watcher.registry is former
    assert "'nobody'" in watcher.trouble
    assert "stays in force" in watcher.trouble
    assert not watcher.check(2.0)
    assert watcher.trouble
    rewrite(file, 'owner = "nobody"', 'owner = "stores"')
    watcher.check(3.0)
    assert watcher.trouble == ""


def test_a_file_that_vanishes_is_reported(file: Path) -> None:
    watcher = Watcher(file)
    file.unlink()
    assert not watcher.check(1.0)
    assert "cannot be read" in watcher.trouble
    assert watcher.registry.touchpoints


def test_a_touched_file_with_the_same_content_is_no_change(file: Path) -> None:
    watcher = Watcher(file)
    os.utime(file, ns=(1, 1))
    assert not watcher.check(1.0)
    assert watcher.loads == 2


def test_a_worker_does_not_start_with_an_invalid_registry(file: Path) -> None:
    rewrite(file, "default_owner", "owner_by_default")
    with pytest.raises(SettingsError):
        Watcher(file)
