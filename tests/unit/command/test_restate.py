"""`touchline restate`: what is said of what was found and done, and how it fails."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.command.restate import app, lines

FOUND: dict[str, Any] = {
    "kind": "restate", "rows": 3, "by_lag": {"1-2 days": 2, "over 7 days": 1},
    "partitions": [("feedback", 0), ("feedback", 3)], "done": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "3 late events found in 2 partitions (2 after 1-2 days, 1 after over 7 days); nothing was changed"),
        ({"done": True}, "3 late events counted in 2 partitions (2 after 1-2 days, 1 after over 7 days)"),
        ({"kind": "duplicates", "by_lag": {}, "done": True}, "3 doubles taken out in 2 partitions"),
        ({"rows": 0}, "no late events: nothing to do"),
    ],
)
def test_people_are_told_what_happened(more: dict[str, Any], line: str) -> None:
    assert lines(FOUND | more) == [line]


def test_a_time_that_is_none_is_exit_2_and_a_database_that_is_down_exit_4() -> None:
    nowhere = {"TOUCHLINE_CLICKHOUSE_URL": "http://127.0.0.1:9"}
    wrong = CliRunner().invoke(app, ["--from", "lately"], env=nowhere)
    assert (wrong.exit_code, "is not a time" in wrong.stderr) == (2, True)
    assert CliRunner().invoke(app, [], env=nowhere).exit_code == 4
