"""The rules of windows, W1 to W12, stand in docs/scores.md, each with a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def held(page: str) -> dict[str, list[str]]:
    """Each rule of the table and the tests that are said to hold it: `file` or `file::test`."""
    found: dict[str, list[str]] = {}
    for rules, tests in re.findall(r"^\| ((?:W\d+(?:, )?)+) .*\| ([^|]+) \|$", page, re.M):
        for rule in rules.split(", "):
            found[rule] = re.findall(r"`(tests/[^`]+)`", tests)
    return found


def missing(tests: list[str]) -> list[str]:
    """Those of these tests that are not there."""
    gone = []
    for test in tests:
        file, _, name = test.partition("::")
        path = ROOT / file
        if not path.exists() or (name and f"def {name}(" not in path.read_text()):
            gone.append(test)
    return gone


def test_every_rule_of_windows_has_its_test() -> None:
    found = held((ROOT / "docs" / "scores.md").read_text())
    assert list(found) == [f"W{number}" for number in range(1, 13)]
    assert all(found.values())
    assert missing([test for tests in found.values() for test in tests]) == []


def test_a_rule_without_its_test_is_found() -> None:
    page = "| W1, W2 so it is | `tests/contract/test_window_rules.py::test_gone` |\n| W3 so | by hand |\n"
    found = held(page)
    assert found == {"W1": ["tests/contract/test_window_rules.py::test_gone"], "W2": found["W1"], "W3": []}
    assert missing([*found["W1"], "tests/gone.py", "tests/contract/test_window_rules.py"]) == [
        "tests/contract/test_window_rules.py::test_gone",
        "tests/gone.py",
    ]
