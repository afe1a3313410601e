"""The oracle itself: it shares no code with us, and it sees every way in which the tables can be wrong."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import oracle
from tests.chaos.generator import moment
from tests.chaos.oracle import Bounds, Logged

NOW = 1_795_000_000_000
MINUTE = oracle.MINUTE_MS


def logged(off: int, at_ms: int = NOW, part: int = 0, **more: Any) -> Logged:
    """One feedback event as it lies in the log."""
    body = {"event_id": f"e{part}-{off}", "occurred_at": moment(NOW), "channel": "web", "metric": "nps", "score": 9}
    return Logged("feedback", part, off, at_ms, b"k", json.dumps(body | more).encode())


def rows_of(verdicts: list[oracle.Verdict]) -> list[dict[str, Any]]:
    """Ledger rows that say what the verdicts say."""
    return [
        {
            **dict(zip(("topic", "part", "off"), verdict.place, strict=True)),
            "disposition": verdict.disposition,
            "reason": verdict.reason,
            "old_off": verdict.old,
            **(verdict.fact._asdict() if verdict.fact else {}),
            **dict.fromkeys(oracle.FURTHER, ""),
            "label": "",
            "others": 0,
        }
        for verdict in verdicts
    ]


def window_rows(windows: dict[tuple[Any, ...], list[int]]) -> list[dict[str, Any]]:
    """The same windows as rows of the table."""
    return [
        dict(zip(oracle.WINDOW, key, strict=True)) | dict(zip(oracle.COUNTS, counts, strict=True))
        for key, counts in windows.items()
    ]


def test_the_oracle_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([logged(0), logged(1)], ["aggregated", "aggregated"]),
        ([logged(0), logged(1, event_id="e0-0")], ["aggregated", "duplicate"]),
        ([logged(0), logged(1, occurred_at=moment(NOW - 25 * 60 * MINUTE))], ["aggregated", "late"]),
        ([logged(0, score=11), logged(1, event_id="e0-0")], ["dead_letter", "aggregated"]),
        ([logged(0, occurred_at=moment(NOW + 6 * MINUTE))], ["dead_letter"]),
        ([logged(0)._replace(value=None)], ["ignored"]),
        (
            [logged(0, submission_id="s", revision=2), logged(1, submission_id="s", revision=1)],
            ["aggregated", "ignored"],
        ),
    ],
)
def test_the_oracle_judges_by_the_rules(log: list[Logged], expected: list[str]) -> None:
    assert [verdict.disposition for verdict in oracle.judge(log)] == expected


def test_a_revision_takes_its_predecessor_out_of_the_windows() -> None:
    log = [logged(0, submission_id="s", revision=1), logged(1, submission_id="s", revision=2, score=3)]
    verdicts = oracle.judge(log)
    assert verdicts[1].old == 0
    windows = oracle.windows(verdicts, rows_of(verdicts))
    assert list(windows.values()) == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]]


def test_a_ledger_that_agrees_has_no_differences() -> None:
    verdicts = oracle.judge([logged(0), logged(1), logged(2, score=99)])
    rows = rows_of(verdicts)
    assert oracle.ledger_differences(verdicts, rows) == []
    assert oracle.equation_differences({("feedback", 0): Bounds(0, 2)}, rows, []) == []
    windows = oracle.windows(verdicts, rows)
    assert oracle.window_differences(windows, window_rows(windows)) == []


def test_a_ledger_row_missing_doubled_altered_or_invented_is_seen() -> None:
    verdicts = oracle.judge([logged(0), logged(1)])
    rows = rows_of(verdicts)
    for wrong in (
        rows[:1],
        [*rows, rows[0]],
        [rows[0], rows[1] | {"disposition": "late"}],
        [rows[0], rows[1] | {"bin": 3}],
        [*rows, rows[0] | {"off": 7}],
    ):
        assert oracle.ledger_differences(verdicts, wrong)


def test_an_equation_that_does_not_hold_is_seen_and_a_gap_fills_it() -> None:
    rows = rows_of(oracle.judge([logged(0), logged(3)]))
    bounds = {("feedback", 0): Bounds(0, 3)}
    assert oracle.equation_differences(bounds, rows, [])
    assert oracle.equation_differences(bounds, rows, [{"topic": "feedback", "part": 0, "lo": 1, "hi": 2}]) == []


def test_a_window_missing_doubled_altered_or_invented_is_seen() -> None:
    verdicts = oracle.judge([logged(0), logged(1, part=1)])
    windows = oracle.windows(verdicts, rows_of(verdicts))
    rows = window_rows(windows)
    for wrong in (rows[:1], [*rows, rows[0]], [rows[0], rows[1] | {"b9": 2}], [*rows, rows[0] | {"minute": 60}]):
        assert oracle.window_differences(windows, wrong)
