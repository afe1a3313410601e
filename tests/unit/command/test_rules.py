"""`touchline rules`: what it says of a file, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from pipeline.alerts.rules import DEFAULT_PATH
from pipeline.command.rules import app

#: A port that nothing listens on.
NOWHERE = {"TOUCHLINE_CLICKHOUSE_URL": "http://127.0.0.1:9"}


def said(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["rules", *arguments], env=NOWHERE)
    return result.exit_code, result.stdout, result.stderr


def test_the_bundled_rules_are_checked_listed_and_explained() -> None:
    assert said("check")[0] == 0
    code, out, _ = said("list", "--json")
    assert code == 0
    assert json.loads(out)[0]["id"] == "nps-drop"
    code, out, _ = said("explain", "nps-drop")
    assert code == 0
    assert "false alarms: 1 a week over all rules and scopes together" in out
    assert "dead_band = 2.0" in out


def test_a_file_that_does_not_hold_is_told_in_sentences(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(DEFAULT_PATH.read_text().replace('fallback_owner = "customer-experience"', ""))
    code, out, error = said("check", str(file))
    assert (code, out) == (2, "")
    assert "nobody answers for touchpoint (none), unit (none)" in error
    assert said("check", str(tmp_path / "none.toml"))[0] == 2


def test_a_rule_or_world_that_is_not_there_is_a_mistake_of_use() -> None:
    code, _, error = said("explain", "no-such")
    assert code == 2
    assert "there are nps-drop" in error
    assert said("simulate", "--world", "flat")[0] == 2


def test_a_small_trial_prints_false_alarms_by_volume_and_delay_by_drop() -> None:
    code, out, _ = said("simulate", "--segments", "12", "--days", "2", "--json")
    assert code == 0
    report = json.loads(out)
    assert set(report["by_volume"]) == {"5-20", "20-100", "100-500"}
    assert [each["points"] for each in report["drops"]] == [5, 10, 20, 40]
    code, out, _ = said("simulate", "--segments", "12", "--days", "2")
    assert "false alarms per segment and 30 days" in out


def test_a_backtest_without_a_database_says_so() -> None:
    code, _, error = said("backtest", "--from", "-1d")
    assert code == 4
    assert "does not answer" in error
    assert said("backtest", "--from", "now", "--to", "-1d")[0] == 2
