"""`touchline top` [I/O]: the page in a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.views.page.frames import Cells
    from pipeline.views.page.view import View
    from pipeline.views.terminal import Choice

app = typer.Typer(rich_markup_mode=None)

#: How often keys are looked at while waiting, seconds.
_KEY_S = 0.1

Where = Annotated[list[str] | None, typer.Option(help="only these, e.g. channel=web,app; repeatable")]


@app.command()
def top(
    measure: Annotated[str, typer.Option(help="nps, csat, ces or sentiment")] = "nps",
    span: Annotated[str, typer.Option(help="1h, 24h, 7d or 28d")] = "1h",
    where: Where = None,
    every: Annotated[float, typer.Option(min=0.5, help="seconds between two looks")] = 2.0,
    looks: Annotated[int, typer.Option(min=0, help="end after so many; 0 goes on, or is 1 without a terminal")] = 0,
    json: AsJson = False,
) -> None:
    """Scores with n and interval, where it is worst: the page in a terminal, plain lines without one.

    Keys: m measure, s sort, 1-4 time, / filter, q quit.
    """

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.settings import load_settings
        from pipeline.views.page.frames import MEASURES
        from pipeline.views.page.view import SPANS
        from pipeline.views.terminal import Choice

        for given, known in ((measure, MEASURES), (span, tuple(SPANS))):
            if given not in known:
                raise typer.BadParameter(f"{given!r} is none of {', '.join(known)}")
        client = ClickHouse(load_settings(), timeout_s=60.0)
        choice = Choice(measure=measure, span=span)
        try:
            if sys.stdout.isatty() and not json:
                with contextlib.suppress(Gone):
                    _screen(client, choice, where or [], every, looks)
            else:
                _plain(client, choice, where or [], every, looks or 1, json)
        finally:
            client.close()
        return Exit.OK

    guarded(work)


def view_of(choice: Choice, where: list[str]) -> View:
    """The view that was asked for. Raises UsageError."""
    from pipeline.command.typed import conditions
    from pipeline.views.page.view import View

    return View.of(choice.span, conditions(where))


def _looked(client: ClickHouse, choice: Choice, where: list[str]) -> tuple[Cells, dict[str, Any], float]:
    from pipeline.views.page.frames import line
    from pipeline.views.page.readings import cells_of

    now = time.time()
    view = view_of(choice, where)
    cells = cells_of(client, view, int(now))
    return cells, line(cells, view.first(int(now)), view.of_span.grain_s, int(now) + 1), now


def _plain(client: ClickHouse, choice: Choice, where: list[str], every: float, looks: int, json: bool) -> None:
    from pipeline.views.page.frames import heat, tiles
    from pipeline.views.terminal import lines

    for number in range(looks):
        if number:
            time.sleep(every)
        cells, series, now = _looked(client, choice, where)
        if json:
            emit_json({"at": int(now), "tiles": tiles(cells), "line": series, "heat": heat(cells)})
        else:
            for text in lines(cells, choice, now):
                emit(text)


def _screen(client: ClickHouse, choice: Choice, where: list[str], every: float, looks: int) -> None:
    from rich.console import Console
    from rich.live import Live

    from pipeline.views.terminal import Screen, table

    console = Console()
    plain = "utf" not in console.encoding.lower()
    with keys() as pressed, Live(console=console, auto_refresh=False, screen=True) as live:
        number = 0
        while not looks or number < looks:
            number += 1
            cells, series, now = _looked(client, choice, where)
            ends = time.monotonic() + every
            before = choice
            while choice.span == before.span:
                size = Screen(console.width, console.height, plain)
                live.update(table(cells, series, choice, size, now), refresh=True)
                key = _wait(pressed, ends)
                if key is None:
                    break
                if key == "q" and not choice.typing:
                    return
                choice = choice.pressed(key)
                ends = max(ends, time.monotonic() + every * choice.typing)


def _wait(pressed: Callable[[float], str], ends: float) -> str | None:
    """The next key before a moment (time.monotonic), None when none came."""
    while time.monotonic() < ends:
        key = pressed(_KEY_S)
        if key:
            return key
    return None


class Gone(Exception):
    """Nobody sits at the terminal any more."""


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Single keys from the terminal, without Enter; none where standard input is no terminal."""
    import codecs
    import os
    import select
    from collections import deque

    if not sys.stdin.isatty():

        def nothing(wait_s: float) -> str:
            time.sleep(wait_s)
            return ""

        yield nothing
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    typed = deque[str]()

    def next_key(wait_s: float) -> str:
        # Straight from the descriptor: of several keys at once sys.stdin would keep all but the first for itself.
        if not typed and select.select([sys.stdin], [], [], wait_s)[0]:
            came = os.read(sys.stdin.fileno(), 64)
            if not came:
                raise Gone  # it would be readable, and empty, for ever
            typed.extend(decode(came))
        return typed.popleft() if typed else ""

    try:
        tty.setcbreak(sys.stdin)
        yield next_key
    finally:
        with contextlib.suppress(termios.error):  # a terminal that is gone needs no setting back
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
