"""`--watch` of commands that read: the same answer again and again, until Ctrl-C or `--for` ends it."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from typing import Annotated

import typer

from pipeline.command.output import emit

#: Rest between two looks, seconds, and in times of what a look cost: ClickHouse has more to do.
_EVERY_S = 5.0
_REST = 4

Watch = Annotated[bool, typer.Option("--watch", help="Live: read again every five seconds, until Ctrl-C.")]
Lasts = Annotated[float, typer.Option("--for", help="With --watch: end after so many seconds.", min=0.1)]


def repeated(look: Callable[[], None], lasts: float) -> None:
    """Runs `look`, which emits an answer, until the time is up; in a terminal each answer stands in the place of the
    one before, elsewhere it is printed when it is another one."""
    ends = time.monotonic() + lasts
    try:
        if sys.stdout.isatty():
            _drawn(look, ends)
        else:
            _printed(look, ends)
    except KeyboardInterrupt:
        return


def _drawn(look: Callable[[], None], ends: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(file=sys.__stdout__), auto_refresh=False, screen=False) as live:
        going = True
        while going:
            began = time.monotonic()
            text = _taken(look)
            live.update(Text(f"{datetime.now().astimezone():%H:%M:%S}  Ctrl-C ends\n\n{text}"), refresh=True)
            going = _rested(began, ends)


def _printed(look: Callable[[], None], ends: float) -> None:
    said, going = "", True
    while going:
        began = time.monotonic()
        text = _taken(look)
        if text != said:
            emit(text.rstrip("\n"))
        said, going = text, _rested(began, ends)


def _taken(look: Callable[[], None]) -> str:
    """What a look writes to standard output."""
    taken = io.StringIO()
    with redirect_stdout(taken):
        look()
    return taken.getvalue()


def _rested(began: float, ends: float) -> bool:
    """Waits for the next look; False when the time is up."""
    now = time.monotonic()
    rest = max(_EVERY_S, _REST * (now - began))
    time.sleep(max(0.0, min(rest, ends - now)))
    return ends - now > rest
