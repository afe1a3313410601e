"""Progress of long commands on standard error [I/O]: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.command.output import is_terminal, note

#: A line of progress this often where nobody watches a bar.
NOTE_S = 5.0


@dataclass(slots=True)
class _Pace:
    """When the last line of progress was written."""

    began: float
    said: float


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line every few seconds; call it with the number done so far."""
    if is_terminal():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        bar = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True)
        )
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    pace = _Pace(time.monotonic(), time.monotonic())

    def moved(done: int) -> None:
        now = time.monotonic()
        if now - pace.said >= NOTE_S:
            pace.said = now
            note(f"{done:,} {what}, {done / (now - pace.began):,.0f} a second")

    yield moved
