"""The live part of the demo [I/O]: the last day with its incident, a stream, a killed worker, the table of it all."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.command.demo_day import REGION, ROUTES, Alarms, day_of
from pipeline.command.output import emit, note
from pipeline.errors import StackError
from pipeline.intake.loading import Loaded, retell, stream_live
from pipeline.intake.producing import Producer
from pipeline.intake.world import World
from pipeline.settings import Settings
from pipeline.stack.launch import Stack
from pipeline.stack.processes import free_port, last_words
from pipeline.views.demo import LogEnds, Pace, Progress, Reader
from pipeline.views.live import Picture, Row, lines, table

if TYPE_CHECKING:
    from pipeline.command.demo import Plan

#: When the kill happens without an end in sight, seconds after the start of the stream.
_KILL_S = 20.0
#: The new worker comes this long after the kill: long enough to see one missing.
_REPLACE_S = 3.0
#: How often the table is drawn anew: its scores come from ClickHouse, so not more often than they change.
_DRAW_S = 1.0
#: And how often all of it is looked at where nobody watches.
_UNWATCHED_S = 2.0
#: How often a line is written where no terminal is.
_LINE_S = 5.0
#: Longest wait for the workers to take their partitions, and for the last events to be counted.
_READY_S = 180.0
_SETTLE_S = 600.0
#: Longest time until the alert of the day has opened; the last hour is told after that in any case.
_PATIENCE_S = 90.0
#: Longest wait, after the day is told, for its alerts to have ended; slow machines judge long after.
_STORY_S = 180.0
#: Once one has ended and nothing became of the others for so long, they have too few answers to end without new ones.
_STILL_S = 15.0
#: A worker that ends by itself is started again this often.
_RESTARTS = 3


class Crew:
    """The workers of the demo."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ports: dict[str, int] = {}
        self._ended: Counter[str] = Counter()
        self._routes = stack.folder / "routes.toml"
        self._routes.write_text(ROUTES)
        self.killed: set[str] = set()

    def start(self, name: str) -> None:
        """Starts a worker with a folder and a port of its own."""
        self._ports[name] = free_port(frozenset(self._ports.values()))
        self._stack.start_worker(
            name,
            {
                "TOUCHLINE_WEB_PORT": str(self._ports[name]),
                "TOUCHLINE_STATE_DIR": str(self._stack.folder / name),
                "TOUCHLINE_ROUTES": str(self._routes),
            },
        )

    @property
    def page(self) -> str:
        """The address of the live page."""
        return self._stack.addresses.page_url

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.killed.add(name)
        self._stack.kill_worker(name)

    def wait_ready(self) -> None:
        """Until each worker has joined the group and holds its partitions. Raises StackError."""
        began = time.monotonic()
        while not all(_is_ready(port) for port in list(self._ports.values())):
            self.check(time.monotonic() - began, _READY_S, "the workers have not taken their partitions yet")
            time.sleep(0.2)

    def check(self, passed: float, limit: float, what: str) -> None:
        """Starts a worker again that ended by itself, as a supervisor would. Raises StackError when it goes on so,
        or when `what` takes longer than `limit` seconds."""
        logs = self._stack.folder / "logs"
        for name in [str(row["name"]) for row in self._workers() if not row["alive"]]:
            if name in self.killed:
                continue
            said = last_words(logs / f"{name}.log", 1)
            self._ended[name] += 1
            if self._ended[name] > _RESTARTS:
                raise StackError(f"{name} ended by itself {self._ended[name]} times: {said}")
            note(f"{name} ended by itself and is started again: {said}")
            self.start(name)
        if passed > limit:
            raise StackError(f"after {passed:.0f} s {what}: see the workers' logs in {logs}")

    def states(self) -> list[tuple[str, str]]:
        """Each worker and what it does."""
        found = []
        for row in self._workers():
            memory = f"runs, {row['memory_mb']:.0f} MB" if row["memory_mb"] is not None else "gone"
            found.append((str(row["name"]), "killed" if row["name"] in self.killed else memory))
        return sorted(found)

    def _workers(self) -> list[dict[str, Any]]:
        return [row for row in self._stack.status() if row["name"].startswith("worker")]


@dataclass(slots=True)
class Shown:
    """What the live part came to: the last scores, what was sent, and what was done and found on purpose."""

    rows: list[Row] = field(default_factory=list)
    sent: int = 0
    seconds: float = 0.0
    settle_s: float = 0.0
    planted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    picture: Picture | None = None
    told: Loaded = field(default_factory=Loaded)
    alarms: Alarms | None = None


class Act:
    """One run of the live part."""

    def __init__(self, plan: Plan, settings: Settings, crew: Crew) -> None:
        self._plan = plan
        self._settings = settings
        self._crew = crew
        self._reader = Reader(settings)
        self._pace = {"sent": Pace(), "counted": Pace()}
        self._loaded = Loaded()
        self._shown = Shown()
        self._began = time.monotonic()
        self._watched = sys.stdout.isatty() and not plan.json
        self._stop = asyncio.Event()
        self._alarms = Alarms(settings, crew.page + "alerts/{incident}")

    async def run(self) -> Shown:
        """Tells the day, streams until the time is over or Ctrl-C, then waits until everything is counted."""
        shown = self._shown
        shown.alarms = self._alarms
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stop.set)
        await asyncio.to_thread(self._reader.remember, time.time(), 28)
        async with Producer(self._settings) as producer, LogEnds(self._settings) as ends:
            with self._screen() as show:
                await self._tell_day(producer, ends, show)
                await self._stream(producer, ends, show)
                await producer.flush()
                ended = time.monotonic()
                while (await self._progress(ends)).behind:
                    passed = time.monotonic() - ended
                    self._crew.check(passed, _SETTLE_S, "the last events are not counted yet")
                    show(await self._look(ends))
                    await asyncio.sleep(_DRAW_S / 2)
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
                shown.settle_s = time.monotonic() - ended
        shown.rows = await asyncio.to_thread(self._reader.scores, time.time())
        shown.refused = await asyncio.to_thread(
            self._reader.rejected, ("touchpoints", "feedback", "history"), self._plan.begun_ms
        )
        shown.sent, shown.seconds, shown.planted = self._loaded.total, self._loaded.seconds, self._loaded.planted
        self._reader.close()
        self._alarms.close()
        return shown

    async def _tell_day(self, producer: Producer, ends: LogEnds, show: Callable[[Picture], None]) -> None:
        """The last hours as live events; until its incident has been found and has passed, or it is time."""
        day = day_of(self._plan, int(time.time() * 1000))
        told_s = sum(self._plan.telling)
        self._say(
            f"now the last {self._plan.hours} hours: {day.count:,} events in {told_s:.0f} s, with their own times;"
            f" from 90 to 60 minutes before now 9 of 10 deliveries in the region {REGION} are late"
        )
        patient = time.monotonic() + _PATIENCE_S

        def seen() -> bool:
            return self._alarms.opened or time.monotonic() > patient

        telling = asyncio.create_task(retell(producer, day, self._moved, seen))
        await self._until(telling, ends, show)
        self._shown.told, told_at = self._loaded, time.monotonic()
        while not (self._alarms.over(_STILL_S) or self._stop.is_set() or time.monotonic() - told_at > _STORY_S):
            show(await self._look(ends))
            await asyncio.sleep(_DRAW_S)
        if not self._alarms.over():
            self._say("not every alert of the day has ended yet: `touchline alerts list` shows them")
        self._loaded = Loaded()

    async def _stream(self, producer: Producer, ends: LogEnds, show: Callable[[Picture], None]) -> None:
        """The stream, what happens meanwhile, and the table."""
        plan = self._plan
        self._began = time.monotonic()
        world = World(customers=plan.customers, bad=plan.bad)
        streaming = asyncio.create_task(stream_live(producer, world, plan.rate, plan.seconds, self._moved))
        acting = asyncio.create_task(self._happen())
        await self._until(streaming, ends, show, acting)
        if not self._crew.killed:
            acting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await acting
        self._say("the stream has ended; waiting until every event is counted")

    async def _until(
        self,
        work: asyncio.Task[Loaded],
        ends: LogEnds,
        show: Callable[[Picture], None],
        beside: asyncio.Task[None] | None = None,
    ) -> None:
        """Shows the table until the work is done, what happens beside it fails, or Ctrl-C, which ends the work."""
        stopping = asyncio.create_task(self._stop.wait())
        pause = _DRAW_S if self._watched else _UNWATCHED_S
        while not (work.done() or self._stop.is_set() or (beside is not None and beside.done() and beside.exception())):
            show(await self._look(ends))
            self._crew.check(0.0, 1.0, "")
            await asyncio.wait({work, stopping}, timeout=pause)
        for task in (stopping, *(() if work.done() else (work,))):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _happen(self) -> None:
        """What is done on purpose, and said."""
        plan = self._plan
        self._say(f"live: {plan.rate:,.0f} events/s; about {plan.bad:.1%} of them are bad on purpose, to be rejected")
        await asyncio.sleep(_KILL_S if plan.seconds is None else plan.seconds / 2)
        await asyncio.to_thread(self._crew.kill, "worker-2")
        self._say(
            "worker-2 was killed with SIGKILL in the middle of its work; the group misses it after"
            f" {self._settings.session_timeout_s:.0f} s and gives its partitions to the others"
        )
        await asyncio.sleep(_REPLACE_S)
        await asyncio.to_thread(self._crew.start, "worker-3")
        self._say("worker-3 was started in its place; nothing may be lost, nothing counted twice")

    async def _progress(self, ends: LogEnds) -> Progress:
        return await asyncio.to_thread(self._reader.progress, await ends.read())

    async def _look(self, ends: LogEnds) -> Picture:
        """Everything the table shows, now."""
        progress = await self._progress(ends)
        for line in await asyncio.to_thread(self._alarms.look):
            self._say(line)
        rows = await asyncio.to_thread(self._reader.scores, time.time())
        rejected = await asyncio.to_thread(self._reader.rejected)
        self._shown.picture = Picture(
            seconds=time.monotonic() - self._began,
            rows=rows,
            sent=self._pace["sent"].of(self._loaded.total),
            counted=self._pace["counted"].of(progress.counted),
            lag=progress.behind,
            rejected=rejected,
            workers=self._crew.states(),
            notes=tuple(self._shown.notes),
        )
        return self._shown.picture

    def _moved(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def _say(self, line: str) -> None:
        self._shown.notes.append(line)
        if not self._watched:
            note(line)

    @contextlib.contextmanager
    def _screen(self) -> Iterator[Callable[[Picture], None]]:
        """The table on a terminal, else a few lines every few seconds; with --json those are no results."""
        if not self._watched:
            write, said = (note if self._plan.json else emit), 0.0

            def speak(picture: Picture) -> None:
                nonlocal said
                if picture.rows and time.monotonic() - said >= 0.9 * _LINE_S:
                    said = time.monotonic()
                    for line in lines(picture):
                        write(line)

            yield speak
            return
        from rich.console import Console
        from rich.live import Live

        console = Console()
        plain = "utf" not in console.encoding.lower()
        with Live(console=console, auto_refresh=False) as live:
            yield lambda picture: live.update(table(picture, console.height, console.width, plain), refresh=True)


def _is_ready(port: int) -> bool:
    """Whether the worker behind this port says that it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
