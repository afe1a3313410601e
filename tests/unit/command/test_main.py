"""Every command of the table exists where it says, and the overview is quick because it imports none of them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import typer

from pipeline.command.main import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_where_the_table_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(import_module(COMMANDS[name][0]).app, typer.Typer)
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"touchline {name}" in capsys.readouterr().out


def test_an_unknown_command_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["scroes"])
    assert ended.value.code == 2
    assert "no command 'scroes'" in capsys.readouterr().err


def test_the_overview_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pipeline.command.main import overview; overview();"
        "print([m for m in ('typer', 'polars', 'faust', 'aiokafka', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
