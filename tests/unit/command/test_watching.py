"""`--watch` and how commands fail: one answer in the place of the one before, one sentence, the right exit code."""

from __future__ import annotations

import pytest
import typer

from pipeline.command.guarding import answering, guarded
from pipeline.command.output import emit
from pipeline.command.watching import repeated
from pipeline.errors import DifferenceFound, NotReady, SettingsError, TouchlineError, Unavailable, UsageError


def test_what_is_watched_is_what_the_command_would_print(capsys: pytest.CaptureFixture[str]) -> None:
    repeated(lambda: emit("nps +12"), 0.01)
    assert capsys.readouterr().out == "nps +12\n"


def test_ctrl_c_is_the_way_to_end_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> None:
        raise KeyboardInterrupt

    repeated(look, 60.0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("what"), 2),
        (SettingsError("what"), 2),
        (Unavailable("what"), 4),
        (NotReady("what"), 1),
        (DifferenceFound("what"), 1),
        (TouchlineError("what"), 1),
    ],
)
def test_every_error_of_ours_is_a_sentence_and_an_exit_code(
    error: TouchlineError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    with pytest.raises(typer.Exit) as ended:
        guarded(work)
    assert (ended.value.exit_code, capsys.readouterr().err) == (code, "what\n")
    with pytest.raises(typer.Exit) as ended, answering("scores"):
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err.startswith("touchline scores: what\n")


def test_the_exit_code_of_the_work_is_that_of_the_command_and_other_errors_pass_through() -> None:
    with pytest.raises(typer.Exit) as ended:
        guarded(lambda: 3)
    assert ended.value.exit_code == 3
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0)
    with pytest.raises(typer.Exit) as ended, answering("scores", True, True):
        raise AssertionError("two forms at once are refused before anything is done")
    assert ended.value.exit_code == 2
