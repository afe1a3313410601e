"""`touchline alerts` as far as it needs no stack: trying a route, and saying what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.command.main import main
from pipeline.command.output import Exit


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["alerts", *words])
    return int(ended.value.code or 0)


def test_trying_a_route_sends_a_message_marked_test_to_each_receiver(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("test-route", "--json") == Exit.OK
    message, answer = capsys.readouterr().out.splitlines()
    assert json.loads(message)["alert"] == "test"
    assert json.loads(answer) == [{"receiver": "stdout", "fate": "sent", "said": "written"}]


def test_a_receiver_that_must_not_be_called_makes_the_trial_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(
        '[receivers.in]\ntype = "slack"\nurl = "https://169.254.169.254/"\n[routes.default]\nreceivers = ["in"]\n'
    )
    monkeypatch.setenv("TOUCHLINE_ROUTES", str(file))
    assert code_of("test-route") == Exit.FAILURE
    assert "in: refused (169.254.169.254 is 169.254.169.254, which is not public" in capsys.readouterr().out


def test_an_unknown_route_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("test-route", "night") == Exit.USAGE
    assert "there is no route 'night'; there are default" in capsys.readouterr().err


def test_without_clickhouse_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_URL", "http://127.0.0.1:9")
    assert code_of("list") == Exit.UNREACHABLE
    assert "does not answer" in capsys.readouterr().err
