"""What is live [I/O]: reads `scores` and `alerts` without a group, looks at ClickHouse, tells viewers what changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import orjson
import polars as pl

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.customers.registry import Registry
from pipeline.errors import Unavailable
from pipeline.settings import Settings
from pipeline.tasks import ended
from pipeline.telemetry import log
from pipeline.views.demo import LogEnds
from pipeline.views.page import frames, readings
from pipeline.views.page.alarms import ALARMS_S, Alarms, began
from pipeline.views.page.board import BINS, KEPT_S, Board
from pipeline.views.page.compared import Compared
from pipeline.views.page.following import Following, Take
from pipeline.views.page.frames import Cells
from pipeline.views.page.items import concerns, matches, shown
from pipeline.views.page.looked import Looked
from pipeline.views.page.streams import Channel, Viewer
from pipeline.views.page.strip import Strip
from pipeline.views.page.view import View
from schemas.outgoing import Score

#: Two frames a second of one view at most, and no more than a fifth of the time of one core for all of them.
TICK_S: Final = 0.5
_REST: Final = 4
#: Between two turns of one view: TICK_S, less what timers are off by.
_LEAST_S: Final = 0.45
#: Different views that are looked at at the same time; another one is refused with a sentence.
MOST_VIEWS: Final = 200
#: Connections at the same time.
MOST_VIEWERS: Final = 4_000
#: A view that nobody looks at any more is kept so long for those who come back (a reload, a server's proxy).
_KEPT_VIEW_S: Final = 60.0
#: How often things are looked at in ClickHouse while somebody watches.
_STATUS_S, _FEEDBACK_S, _IMPORTED_S = 1.0, 1.0, 30.0
#: Away from a part that does not answer, seconds.
_AGAIN_S: Final = 2.0

_decode = msgspec.json.Decoder(Score).decode


class Live:
    """The state behind all viewers; bounded by the board's rows, MOST_VIEWS and MOST_VIEWERS."""

    def __init__(self, settings: Settings, registry: Registry, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._owners = {name: registry.owners[entry.owner] for name, entry in registry.touchpoints.items()}
        self._default_owner = registry.owners[registry.default_owner]
        self._clock = clock
        self._pool = Pool(settings)
        self._era = int(clock() * 1000)
        self._channels: dict[View, Looked] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._imported = pl.DataFrame()
        self._feedback: deque[dict[str, Any]] = deque(maxlen=readings.NEWEST)
        self._positions: dict[tuple[int, int], int] = {}
        self.alarms = Alarms()
        self._heard = asyncio.Event()
        self._joined = asyncio.Event()
        self._known = False
        self._log = log("page")
        self.board = Board()
        self._strip = Strip(self._pool, self.board, self.alarms, settings.gateway_url, clock())
        self.viewers = 0
        self.sent = 0
        self.gaps = 0
        self.trouble: dict[str, str] = {}
        self._following = Following(settings, self._takers(), self.trouble, clock, self._hear)

    async def start(self) -> None:
        """Begins to read; nothing has to be reachable yet."""
        loops = {
            "kafka": self._following.run(),
            "tick": self._tick(),
            "status": self._every(_STATUS_S, "clickhouse", self._look_at_status),
            "feedback": self._every(_FEEDBACK_S, "clickhouse", self._look_at_feedback),
            "imported": self._every(_IMPORTED_S, "clickhouse", self._look_at_imported),
        }
        self._tasks = [asyncio.create_task(work, name=f"page {name}") for name, work in loops.items()]
        # What costs more the first time is done once, so that the first visitor does not wait for it.
        hour, now = View.of("1h", {}), int(self._clock())
        await self.sections(hour, now, Compared(), hour.first(now))
        self._connecting = asyncio.create_task(self._connect(), name="page connects")

    async def _connect(self) -> None:
        """A connection to ClickHouse for each thread; where it does not answer, the loops say so."""
        asking = (self._pool.call(readings.progress) for _ in range(Pool.THREADS))
        await asyncio.gather(*asking, return_exceptions=True)

    def _takers(self) -> dict[str, tuple[Take, int]]:
        """What is read from Kafka: by topic who takes it, and how far back."""
        return {"scores": (self._take, KEPT_S), "alerts": (self.alarms.take, ALARMS_S), "ticks": (self._tock, 1)}

    def _hear(self) -> None:
        """There is something new; when all that was there has been read, those who came before are told at once."""
        self._heard.set()
        if self._following.caught_up and not self._known:
            self._known = True
            self._joined.set()

    def _tock(self, _: bytes | None) -> None:
        self._strip.tock(self._clock())

    def _take(self, value: bytes | None) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            self.board.take(_decode(value or b""))

    async def stop(self) -> None:
        """Ends all connections and reads no more."""
        for looked in self._channels.values():
            for viewer in looked.channel.viewers:
                viewer.close()
        saying = [task for looked in self._channels.values() for task in looked.tasks]
        await ended((*self._tasks, *saying, self._connecting))
        self._pool.close()

    @property
    def ended(self) -> list[str]:
        """Loops that stopped, with their error: the process is then not ready."""
        return [
            f"{task.get_name()}: {task.exception()}" for task in self._tasks if task.done() and not task.cancelled()
        ]

    async def call(self, work: Callable[[ClickHouse], Any]) -> Any:
        """A question to ClickHouse in a thread."""
        return await self._pool.call(work)

    # --- Viewers ---

    def join(self, view: View, viewer: Viewer, last: str) -> bool:
        """Adds a viewer; False when it had been here and missed something. Unavailable when there are too many."""
        if self.viewers >= MOST_VIEWERS:
            raise Unavailable(f"{MOST_VIEWERS} viewers are connected, which is the most: try again later")
        if view not in self._channels and len(self._channels) >= MOST_VIEWS:
            self._forget(0.0)
            if len(self._channels) >= MOST_VIEWS:
                raise Unavailable(f"{MOST_VIEWS} different views are open, which is the most: try again later")
        looked = self._channels.setdefault(view, Looked(Channel(self._era)))
        looked.left_at = None
        self.viewers += 1
        if not looked.channel.latest:
            self._joined.set()
            self._heard.set()  # whichever of the two is waited for
        return looked.channel.join(viewer, last)

    def leave(self, view: View, viewer: Viewer) -> None:
        """The connection is gone."""
        looked = self._channels[view]
        looked.channel.viewers.discard(viewer)
        self.viewers -= 1
        self.gaps += viewer.gaps
        if not looked.channel.viewers:
            looked.left_at = self._clock()

    def snapshot(self, view: View) -> bytes:
        """The newest feedback that a view shows as JSON, newest first; made once for all who come meanwhile."""
        looked = self._channels[view]
        newest = self._feedback[0]["id"] if self._feedback else ""
        if looked.snapshot is None or looked.snapshot[0] != newest:
            listed = orjson.dumps([item for item in self._feedback if matches(view, item)])
            looked.snapshot = (newest, listed)
        return looked.snapshot[1]

    @property
    def status(self) -> dict[str, Any]:
        """What the status strip says now."""
        return self._strip.said

    def _forget(self, kept_s: float) -> None:
        now = self._clock()
        for view, looked in list(self._channels.items()):
            if looked.left_at is not None and now - looked.left_at >= kept_s:
                del self._channels[view]

    # --- ClickHouse ---

    async def _every(self, pause: float, part: str, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Looks again and again while somebody watches; a part that does not answer is said and asked again."""
        while True:
            if self.viewers:
                try:
                    await look()
                    self.trouble.pop(part, None)
                except Unavailable as error:
                    self.trouble[part] = str(error)
                    await asyncio.sleep(_AGAIN_S)
            await asyncio.sleep(pause if self.viewers else TICK_S)

    async def _look_at_status(self) -> None:
        now_ms = int(self._clock() * 1000)
        try:
            async with LogEnds(self._settings) as ends:
                while self.viewers:
                    await self._strip.look(now_ms, ends, self.trouble)
                    await asyncio.sleep(_STATUS_S)
                    now_ms = int(self._clock() * 1000)
        except Unavailable:
            await self._strip.look(now_ms, None, self.trouble)
            raise

    async def _look_at_feedback(self) -> None:
        # What is settled now is in the ledger, so the rows that come back reach at least so far.
        settled = dict(self._strip.settled)
        first = {place: max(-1, off - readings.NEWEST) for place, off in settled.items()}
        positions = {**first, **self._positions}
        rows = await self._pool.call(lambda client: readings.feedback_after(client, positions))
        self._positions = {place: max(off, settled.get(place, -1)) for place, off in positions.items()}
        for row in rows:
            place = (row["epoch"], row["part"])
            self._positions[place] = max(self._positions[place], row["off"])
        new = [shown(row) for row in reversed(rows)]
        self._feedback.extendleft(new)
        for view, looked in self._channels.items():
            mine = [item for item in reversed(new) if matches(view, item)]
            if mine:
                looked.channel.say("feedback", orjson.dumps(mine))

    async def _look_at_imported(self) -> None:
        since = int(self._clock()) - KEPT_S
        self._imported = await self._pool.call(lambda client: readings.imported(client, since))
        self.board.changes += 1

    # --- What is said ---

    async def _tick(self) -> None:
        """Says what changed, each view by itself; rests longer after a turn that took much of the processor."""
        while True:
            used = time.thread_time()
            self._forget(_KEPT_VIEW_S)
            for view, looked in list(self._channels.items()):
                for task in looked.tasks:
                    if task.done():
                        task.result()  # nothing but a mistake of ours raises: then the process says it is not ready
                looked.settle()
                if looked.channel.viewers and looked.task is None:
                    looked.task = asyncio.create_task(self._say(view, looked))
            # A view that waits for ClickHouse holds up no other.
            saying = [looked.task for looked in self._channels.values() if looked.task is not None]
            if saying:
                await asyncio.wait(saying, timeout=TICK_S)
            # What is heard after this rest goes out at once; a new view need not wait for it.
            await _at_most(self._joined, max(TICK_S, _REST * (time.thread_time() - used)))
            if not self._joined.is_set():
                await _at_most(self._heard, TICK_S)
            self._joined.clear()
            self._heard.clear()

    async def _say(self, view: View, looked: Looked) -> None:
        if looked.channel.latest and time.monotonic() - looked.said_at < _LEAST_S:
            return  # this turn is for a view that is new
        looked.said_at = time.monotonic()
        now = int(self._clock())
        said = looked.channel.say
        strip = self._strip.said
        status = {"at": strip.get("at"), "newest": strip.get("newest")} if view.narrow else strip
        if strip and strip is not looked.status:
            looked.status = strip
            self.sent += said("status", orjson.dumps({**status, "said": int(self._clock() * 1000)}))
        mine = [alert for alert in self.alarms.newest(now) if concerns(view, alert["scope"])]
        self.sent += said("alerts", orjson.dumps(mine))
        since = _since(view, now, mine)
        if view.live and not self._known:
            looked.said_at = float("-inf")  # as if it were new: a part of the hour is no score of it
            return
        told = (self.board.changes, since, looked.compared.turn)
        state = (view.first(now), *told) if view.live else now // view.every_s
        if state != looked.state:
            await self._draw(view, looked, now, since, state)
        if view.live:
            self._compare(view, looked, now, since)

    async def _draw(self, view: View, looked: Looked, now: int, since: int, state: object) -> None:
        try:
            sections = await self.sections(view, now, looked.compared, since)
        except Unavailable as error:
            self.trouble["clickhouse"] = str(error)
            return
        looked.state = state
        for section, content in sections.items():
            self.sent += looked.channel.say(section, orjson.dumps(content))

    def _compare(self, view: View, looked: Looked, now: int, since: int) -> None:
        """Has what a live view is compared with read beside it: its scores wait for no table."""
        tried = time.monotonic()
        if looked.asking is None and looked.compared.due(view, now, since) and tried - looked.asked_at >= _AGAIN_S:
            looked.asked_at = tried
            looked.asking = asyncio.create_task(self._ask(view, looked.compared, now, since))

    async def _ask(self, view: View, compared: Compared, now: int, since: int) -> None:
        try:
            await compared.ask(self._pool.call, view, now, since)
        except Unavailable as error:
            self.trouble["clickhouse"] = str(error)
        self._heard.set()

    async def sections(self, view: View, now: int, compared: Compared, since: int) -> dict[str, Any]:
        """Big numbers, line and heat map of a view, now; the line from `since` on."""
        first, span = view.first(now), view.of_span
        if view.live:
            cells = self._from_board(view, first, compared.before)
        else:
            cells = await self._pool.call(lambda client: readings.cells_of(client, view, now))
            compared.took(cells.before, now)
            await compared.ask(self._pool.call, view, now, since)
        drawn = cells
        if since < first and compared.earlier is not None:
            rows = self._from_board(view, compared.earlier_to, None).line.select(compared.earlier.columns)
            drawn = replace(cells, line=pl.concat([compared.earlier.filter(pl.col("start") >= since), rows]))
        else:
            since = first
        line = frames.line(drawn, since, span.grain_s, now + 1, frames.chosen_scales(cells.line))
        frames.expected(line, compared.usual, span.usual_s)
        line["restated"] = {str(start): why for start, why in compared.changes.items() if start >= since}
        line["open"] = self._open(view, first)
        return {
            "tiles": {
                "first": first,
                "back": span.back_s,
                "tiles": frames.tiles(cells),
                "headline": frames.headline(cells, self._owners, self._default_owner),
                "compared": compared.before is not None,
                "as_of": self.board.as_of if view.live else "",
            },
            "line": line,
            "heat": frames.heat(cells),
        }

    def _from_board(self, view: View, first: int, before: pl.DataFrame | None) -> Cells:
        wanted = pl.col("start") >= first
        for name, values in view.filters:
            wanted &= pl.col(name).is_in(values)
        columns = ("start", "metric", "scale", "touchpoint", "channel", *BINS)
        parts = [self.board.frame().filter(wanted).select(columns)]
        if self._imported.width:
            parts.append(self._imported.filter(wanted).select(columns))
        rows = pl.concat(parts)
        return Cells(rows, rows, rows.clear() if before is None else before)

    def _open(self, view: View, first: int) -> list[int]:
        """Steps that are not final yet, of the live hour."""
        if not view.live:
            return []
        rows = self.board.frame().filter((pl.col("start") >= first) & ~pl.col("final"))
        return sorted(rows["start"].unique().to_list())


def _since(view: View, now: int, alerts: Sequence[Mapping[str, Any]]) -> int:
    """Where the line of a view begins: earlier where the trouble of an alert that is shown began shortly before."""
    first, earliest = view.first(now), view.earliest(now)
    return earliest if any(earliest <= began(alert) < first for alert in alerts) else first


async def _at_most(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event, but no longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
