"""How commands that take events in tell what became of them [I/O]: verdicts, a summary, an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.command.progress import progress
from pipeline.errors import SettingsError, TouchlineError, Unavailable, UsageError

if TYPE_CHECKING:
    from pipeline.intake.verdicts import Tally, Verdict

#: Refused rows named one by one before only the summary counts them.
NAMED = 50


def finish(tally: Tally, json: bool) -> None:
    """The summary, and exit code 1 when a row was refused."""
    if json:
        emit_json({"summary": tally.document()})
    for line in tally.lines():
        note(line)
    if tally.refused:
        raise typer.Exit(Exit.FAILURE)


@contextmanager
def watched(json: bool, total: int | None, before: int = 0) -> Iterator[Callable[[list[Verdict], Tally], None]]:
    """Tells verdicts and progress: every row as JSON, or the first refused ones as lines."""
    named = 0
    with progress("rows", total, before) as moved:

        def watch(verdicts: list[Verdict], tally: Tally) -> None:
            nonlocal named
            if json:
                emit("\n".join(orjson.dumps(verdict.document()).decode() for verdict in verdicts))
            for verdict in verdicts if not json else ():
                if verdict.rejection is not None and named < NAMED:
                    named += 1
                    note(verdict.line() + ("; more of them only in the summary" if named == NAMED else ""))
            moved(tally.rows)

        yield watch


@contextmanager
def exits(name: str) -> Iterator[None]:
    """Errors as a line and an exit code: 2 usage, 4 Kafka unreachable, 1 everything else of ours."""
    try:
        yield
    except (UsageError, SettingsError) as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.USAGE) from error
    except Unavailable as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from error
    except TouchlineError as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    except BrokenPipeError:
        # `| head` has seen enough.
        raise typer.Exit(Exit.OK) from None
