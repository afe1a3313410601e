"""Kafka's jars against their lock file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import StackError
from pipeline.stack.jars import COORDINATES, KAFKA, class_path, locked


def quiet(line: str) -> None:
    pass


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of one jar, which lies in tmp_path/repository."""
    jar = tmp_path / "repository/org/example/part/1.0/part-1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"the jar")
    file = tmp_path / "lock.toml"
    digest = hashlib.sha256(b"the jar").hexdigest()
    entry = f'groupId = "org.example"\nartifactId = "part"\nversion = "1.0"\nsha256 = "{digest}"\n'
    file.write_text("[[dependencies]]\n" + entry)
    return file


def test_the_jar_of_the_lock_file_is_on_the_class_path(lock: Path) -> None:
    found = class_path(quiet, lock.parent / "repository", lock)
    assert [path.name for path in found] == ["part-1.0.jar"]


def test_a_changed_jar_is_refused_with_the_way_out(lock: Path) -> None:
    jar = lock.parent / "repository/org/example/part/1.0/part-1.0.jar"
    jar.write_bytes(b"another jar")
    with pytest.raises(StackError, match=r"part-1\.0\.jar is not the part 1\.0 .*`rm "):
        class_path(quiet, lock.parent / "repository", lock)


def test_a_lock_file_without_a_checksum_is_refused(lock: Path) -> None:
    text = "\n".join(line for line in lock.read_text().splitlines() if "sha256" not in line)
    lock.write_text(text)
    with pytest.raises(StackError, match="without a checksum"):
        locked(lock)


def test_the_committed_lock_holds_the_versions_asked_for() -> None:
    held = {f"{jar.group}:{jar.artifact}:{jar.version}!" for jar in locked()}
    assert set(COORDINATES) <= held
    versions = {jar.version for jar in locked() if jar.group == "org.apache.kafka"}
    assert versions == {KAFKA}
