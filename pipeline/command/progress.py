"""Progress of long commands on standard error [I/O]: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.command.output import is_terminal, note

if TYPE_CHECKING:
    from rich.console import Console

#: A line of progress this often where nobody watches a bar.
NOTE_S = 5.0


@dataclass(slots=True)
class _Pace:
    """When the last line of progress was written."""

    began: float
    said: float


@contextmanager
def progress(what: str, total: int | None, before: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line every few seconds; call it with the number done so far.

    `before` of them are done already (rows that an earlier run sent): they count in no rate.
    """
    if is_terminal():
        with barred(what, total, before) as drawn:
            yield drawn
        return
    pace = _Pace(time.monotonic(), time.monotonic())

    def moved(done: int) -> None:
        now = time.monotonic()
        if now - pace.said >= NOTE_S:
            pace.said = now
            of = f" of {total:,}" if total else ""
            note(f"{done:,}{of} {what}, {(done - before) / (now - pace.began):,.0f} a second")

    yield moved


@contextmanager
def barred(
    what: str, total: int | None, before: int = 0, console: Console | None = None
) -> Iterator[Callable[[int], None]]:
    """The bar: how much of how much, how many a second, how long it takes yet."""
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    began = time.monotonic()

    class Rate(bars.ProgressColumn):
        """Since the beginning: of single chunks it would jump."""

        def render(self, task: bars.Task) -> Text:
            """Nothing before the first chunk."""
            done = task.completed - before
            return Text(f"{done / max(time.monotonic() - began, 1e-3):,.0f} a second" if done > 0 else "")

    columns = (
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(bars.TextColumn(what), *columns, console=console or Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=before)
        yield lambda done: bar.update(task, completed=done, total=None if total is None else max(total, done))
