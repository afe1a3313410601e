"""How a command ends when something goes wrong: one sentence on standard error, and the right exit code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from pipeline.command.output import Exit, note
from pipeline.errors import SettingsError, TouchlineError, Unavailable, UsageError


@contextmanager
def answering(command: str = "", as_json: bool = False, as_csv: bool = False) -> Iterator[None]:
    """Turns every error of ours into its sentence, after the command's name, and its exit code: 2 usage and settings,
    4 unreachable, 1 the rest. A reading `command` also says how to get ClickHouse going."""
    name = f"touchline {command}: " if command else ""
    try:
        if as_json and as_csv:
            raise UsageError("--json and --csv exclude each other")
        yield
    except (UsageError, SettingsError) as error:
        note(f"{name}{error}")
        raise typer.Exit(Exit.USAGE) from error
    except Unavailable as error:
        note(f"{name}{error}" + (f"\n{fix(str(error))}" if command else ""))
        raise typer.Exit(Exit.UNREACHABLE) from error
    except TouchlineError as error:
        note(f"{name}{error}")
        raise typer.Exit(Exit.FAILURE) from error


def guarded(work: Callable[[], int]) -> None:
    """Runs a command's work, which says its own exit code, as `answering` does."""
    with answering():
        raise typer.Exit(work())


def fix(text: str) -> str:
    """The command that puts right what ClickHouse complained about."""
    if re.search(r"UNKNOWN_(FUNCTION|TABLE)|unknown (function|table)|code:? (46|60)\b", text, re.IGNORECASE):
        return "its tables or functions are missing: run `touchline migrate`"
    return "start it with `touchline up`, or set TOUCHLINE_CLICKHOUSE_URL (`touchline doctor` says what is reachable)"
