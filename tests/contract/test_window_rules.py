"""The rules of windows in docs/scores.md name the tests that hold them: none is forgotten, none is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Rules that this page holds; W12 (alerts read final windows only) belongs to the alerts.
RULES = {f"W{number}" for number in range(1, 12)}


def rules(text: str) -> dict[str, str]:
    """Rule -> the test file that its row names; a row may hold several rules."""
    found: dict[str, str] = {}
    for head, path in re.findall(r"^\| ((?:W\d+(?:, )?)+) .*\| `(tests/[\w/]+\.py)` \|$", text, re.M):
        found |= dict.fromkeys(head.split(", "), path)
    return found


def test_every_rule_names_a_test_file_that_is_there() -> None:
    found = rules((ROOT / "docs" / "scores.md").read_text())
    assert set(found) == RULES
    assert [path for path in found.values() if not (ROOT / path).is_file()] == []


def test_the_reader_of_the_table_sees_several_rules_of_a_row() -> None:
    text = "| W1 a rule | `tests/a.py` |\n| W2, W3 two | `tests/b/c.py` |\n| W4 none | nothing |\n"
    assert rules(text) == {"W1": "tests/a.py", "W2": "tests/b/c.py", "W3": "tests/b/c.py"}
