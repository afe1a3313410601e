"""The one owner of the whole view [I/O]: sums partials over partitions, closes windows, publishes whole scores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import polars as pl
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline.clickhouse import Pool
from pipeline.errors import Unavailable
from pipeline.scores.backlog import CATCHING_UP, Backlog
from pipeline.scores.closing import WINDOW_S, Progress, begin, closed_through, window_of
from pipeline.scores.defined import write_definitions
from pipeline.scores.definitions import Definitions
from pipeline.scores.windows import BINS
from pipeline.settings import Settings
from pipeline.slices import CORE, Partition
from pipeline.topics import partitions_of, stopped
from schemas.codec import encode
from schemas.outgoing import Score
from schemas.vocabulary import Reason

#: Windows that are published: the open ones and those that delayed answers still change. Older ones are restated in the
#: tables and read there.
_RECENT_S = 3600
#: A look counts the windows that are still open and those whose change was noted; one of the others beside them each so
#: often, so that whatever changed without a note (a takeover, a rebuild) is said within a minute, seconds.
_ALSO_S = 5.0

#: Rest after a look: at least so long, and in times of what it took. It may take a third of the time while nothing
#: waits; of a worker that catches up it takes a tenth.
_REST_S = 0.15
_REST, _REST_BEHIND = 2, 9
#: On a machine with much other work a look takes seconds; nobody is to wait for half a minute because of that.
_MOST_REST_S = 5.0
#: Rest after a look that ClickHouse did not answer: longer than from tick to tick, so that only ticks ask meanwhile.
_REFUSED_S = 2.0
#: Scopes that are published: everything, and each brand alone and by one dimension.
_SCOPES: tuple[tuple[str, ...], ...] = (
    (),
    ("brand",),
    ("brand", "unit"),
    ("brand", "channel"),
    ("brand", "touchpoint"),
    ("brand", "channel", "touchpoint"),
)

Send = Callable[[str, list[tuple[bytes, bytes, list[tuple[str, bytes]]]]], Awaitable[int]]
LogEnds = Callable[[set[Partition]], Awaitable[dict[Partition, int]]]


@dataclass(frozen=True, slots=True)
class Said:
    """What was published last of one key."""

    histogram: tuple[int, ...]
    revision: int
    final: bool


class Publisher:
    """Publishes from the worker that holds the partition of `ticks`; forgets everything when it loses it."""

    def __init__(self, pool: Pool, send: Send, log_ends: LogEnds, partitions: int, definitions: Definitions) -> None:
        self._definitions = definitions
        self._defined = False
        self._pool = pool
        self._send = send
        self._log_ends = log_ends
        self._partitions = partitions
        self._said: dict[int, dict[tuple[str, ...], Said]] = {}
        self._open_from: int | None = None
        self._also = (0, 0.0)
        self._looking = asyncio.Lock()
        self._noted: dict[int, dict[str, int]] = {}
        self._reasons: dict[int, str] = {}
        self._closed_s: int | None = None
        self._moved: dict[int, tuple[int, int]] = {}
        self._seen = ""
        self._rests_until = 0.0
        self._backlog = Backlog(pool)
        self._behind = 0
        self.published = 0
        self.closed = 0

    def forget(self) -> None:
        """Another worker publishes now."""
        self._said.clear()
        self._noted.clear()
        self._open_from = None
        self._closed_s = None
        self._moved.clear()
        self._seen = ""
        self._defined = False
        self._backlog.forget()

    async def step(self, now_ms: int, ver: int) -> int:
        """One look, `now_ms` by the broker's clock: closes windows, publishes what changed; how many scores."""
        async with self._looking:
            try:
                return await self._step(now_ms, ver)
            except Unavailable:
                # Asked again with the next tick, and not between two ticks.
                self._rests_until = asyncio.get_running_loop().time() + _REFUSED_S
                raise

    @property
    def resting(self) -> bool:
        """Whether a look now would say nothing: one is going on, or the last one was a moment ago."""
        return self._looking.locked() or asyncio.get_running_loop().time() < self._rests_until

    async def _step(self, now_ms: int, ver: int) -> int:
        if not self._defined:
            await self._pool.call(lambda client: write_definitions(client, self._definitions))
            self._defined = True
        progress = await self._progress(now_ms)
        self._behind = await self._backlog.look(progress, now_ms, ver)
        if self._closed_s is None:
            self._closed_s = await self._last_closed()
        if self._closed_s is None and (first := begin(progress)) is not None:
            self._closed_s = first
            # The other partitions' first events may be on their way: all are taken to have moved just now.
            self._moved = {p.part: (p.log_end, now_ms) for p in progress}
            progress = await self._progress(now_ms)
        ends = closed_through(progress, self._closed_s, now_ms) if self._closed_s is not None else []
        if ends:
            await self._write_frontiers(progress, ends, now_ms, ver)
            self._closed_s = ends[-1]
            self.closed += len(ends)
        seen = repr([(p.part, p.settled) for p in progress])
        clock = asyncio.get_running_loop().time
        began = clock()
        if not ends and (seen == self._seen or began < self._rests_until):
            return 0
        messages = [_message(score) for score in await self._scores(now_ms, ver)]
        if messages:
            await self._send("scores", messages)
        self._seen = seen
        took = clock() - began
        rest = (_REST_BEHIND if self._behind > CATCHING_UP else _REST) * took
        self._rests_until = clock() + min(max(_REST_S, rest), _MOST_REST_S)
        self.published += len(messages)
        return len(messages)

    async def _progress(self, now_ms: int) -> list[Progress]:
        """Progress of every partition of `feedback`, also of those that never had an event."""
        wanted = {Partition("feedback", part) for part in range(self._partitions)}
        ends = await self._log_ends(wanted)
        rows = await self._pool.query(_PROGRESS)
        found = {row["part"]: row for row in rows.iter_rows(named=True)}
        epoch = max((row["epoch"] for row in found.values()), default=1)
        for part in range(self._partitions):
            end = ends[Partition("feedback", part)]
            # Seen for the first time: one that holds something may be in the middle of it.
            before = self._moved.get(part, (0, 0))
            if before[0] != end:
                self._moved[part] = (end, now_ms)
        return [
            Progress(
                "feedback",
                epoch,
                part,
                found[part]["settled"] if part in found else -1,
                found[part]["clock_ms"] if part in found else 0,
                ends[Partition("feedback", part)],
                self._moved.get(part, (0, 0))[1],
            )
            for part in range(self._partitions)
        ]

    async def _last_closed(self) -> int | None:
        """The last window that was closed, however long ago: after an outage those since then follow. None: none."""
        rows = await self._pool.query("SELECT max(window_end) AS e FROM frontiers")
        return (int(rows["e"][0] or 0) if rows.height else 0) or None

    async def _write_frontiers(self, progress: Sequence[Progress], ends: Sequence[int], now_ms: int, ver: int) -> None:
        """The offset up to which each partition counted when a window closed, once."""
        rows = pl.DataFrame(
            [(end, p.topic, p.epoch, p.part, p.settled, ver, now_ms) for end in ends for p in progress],
            schema={
                "window_end": pl.UInt32,
                "topic": pl.String,
                "epoch": pl.UInt16,
                "part": pl.UInt16,
                "off": pl.Int64,
                "ver": pl.UInt64,
                "closed_ms": pl.Int64,
            },
            orient="row",
        )
        await self._pool.insert("frontiers", rows, f"frontiers:{ver}:{ends[0]}:{ends[-1]}")

    async def _scores(self, now_ms: int, ver: int) -> list[Score]:
        since = window_of(now_ms) - _RECENT_S
        for start in [start for start in self._said if start < since]:
            del self._said[start]
        # Notes follow their windows: what a window shows without one yet was delayed, by far the most frequent reason.
        self._note(await self._pool.query(_NOTES, {"since": since}))
        noted = [start for start, why in self._reasons.items() if why]
        starts = wanted(since, self._open_from, noted, self._turn())
        # One thread: the tables' machine has more to do than to be a few milliseconds sooner here.
        counts = await self._pool.call(lambda client: client.query(_counts(starts), None, {"max_threads": 1}))
        self._open_from = self._closed_s
        if counts.is_empty():
            return []
        scores = []
        for dims in _SCOPES:
            rows = counts.filter(pl.col("scope") == ",".join(dims))
            for (metric, scale), group in rows.group_by("metric", "scale", maintain_order=True):
                scores.extend(self._changed(dims, str(metric), str(scale), group, now_ms, ver))
        return scores

    def _turn(self) -> int | None:
        """Whose turn it is of the windows that nothing was noted about; mostly nobody's."""
        turn, at = self._also
        now = asyncio.get_running_loop().time()
        if now - at < _ALSO_S:
            return None
        self._also = (turn + 1, now)
        return turn

    def _note(self, notes: pl.DataFrame) -> None:
        """Why closed windows changed since the last look: the reasons that were noted more often than then."""
        before, self._noted = self._noted, {}
        for start, reason, n in notes.iter_rows() if notes.width else ():
            self._noted.setdefault(int(start), {})[str(reason)] = int(n)
        self._reasons = {
            start: ",".join(sorted(reason for reason, n in found.items() if n > before.get(start, {}).get(reason, 0)))
            for start, found in self._noted.items()
        }

    def _changed(
        self, dims: tuple[str, ...], metric: str, scale: str, rows: pl.DataFrame, now_ms: int, ver: int
    ) -> list[Score]:
        """Scores whose counts or finality differ from what was said last."""
        definition = self._definitions.leading.get(metric)
        if definition is None or metric == "volume" or definition.boxes(scale) is None:
            return []
        readings = definition.read(scale, rows.select(BINS).to_numpy())
        as_of = _iso(now_ms // 1000)
        changed = []
        for index, row in enumerate(rows.select("start", *dims).iter_rows()):
            reading = readings.row(index)
            final = self._closed_s is not None and row[0] + WINDOW_S <= self._closed_s
            key = (",".join(dims), metric, scale, *(str(value) for value in row[1:]))
            said = self._said.setdefault(int(row[0]), {})
            before = said.get(key)
            if before is not None and before.histogram == reading.histogram and before.final == final:
                continue
            revision = 0 if before is None else before.revision + 1
            late = before is not None and before.final
            said[key] = Said(reading.histogram, revision, final)
            changed.append(
                Score(
                    scope=dict(zip(dims, (str(value) for value in row[1:]), strict=True)),
                    metric=metric,
                    scale=scale,
                    start=_iso(row[0]),
                    seconds=WINDOW_S,
                    n=reading.n,
                    score=reading.score,
                    low=reading.low,
                    high=reading.high,
                    unit=reading.unit,
                    method=reading.method,
                    status=reading.status,
                    histogram=list(reading.histogram),
                    revision=revision,
                    final=final,
                    reason=(self._reasons.get(row[0]) or str(Reason.DELAYED)) if late else None,
                    ver=ver,
                    as_of=as_of,
                    behind=self._behind,
                )
            )
        return changed


def wanted(since: int, open_from: int | None, noted: Collection[int], turn: int | None) -> list[int]:
    """Begins of the windows to count in a look at those from `since` on: the ones that end after `open_from`, those
    whose change was noted, one of the others in turn; all of them where `open_from` is None, after a takeover."""
    # The last one may lie ahead: an event is accepted up to five minutes before its time.
    every = range(since, since + _RECENT_S + WINDOW_S + 1, WINDOW_S)
    if open_from is None:
        return list(every)
    chosen = {start for start in every if start + WINDOW_S > open_from or start in noted}
    if turn is not None:
        chosen.add(every[turn % len(every)])
    return sorted(chosen)


async def readable(settings: Settings, *, wait_s: float = 2.0) -> bool:
    """Whether the newest score on the topic `scores` can be read back and understood."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False, **settings.kafka_security()
    )
    try:
        await consumer.start()
        partitions = await partitions_of(consumer, settings.topic("scores"))
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        filled = [partition for partition in partitions if ends[partition] > 0]
        if not filled:
            return False
        consumer.assign(filled)
        for partition in filled:
            consumer.seek(partition, max(0, ends[partition] - 1))
        batches = await consumer.getmany(timeout_ms=int(wait_s * 1000))
        values = [record.value for batch in batches.values() for record in batch]
        for value in values:
            msgspec.json.decode(value, type=Score)
        return bool(values)
    except (KafkaError, OSError, msgspec.MsgspecError):
        return False
    finally:
        await stopped(consumer)


def _message(score: Score) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    key = "|".join([*(f"{name}={value}" for name, value in score.scope.items()), score.metric, score.scale])
    return key.encode(), encode(score), []


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


#: Histograms of every scope, summed in one pass over the windows: a query for each scope costs five times as much.
_KEYS = ("start", "metric", "scale")
_COUNTS = """SELECT arrayStringConcat(arrayFilter((name, out) -> NOT out, [{words}], [{out}]), ',') AS scope,
    intDiv(minute, {window}) * {window} AS start, metric, scale, brand, unit, channel, touchpoint, {bins}
FROM windows FINAL
PREWHERE cut = 'core' AND topic != 'history' AND ({{minutes}})
GROUP BY GROUPING SETS ({sets})
ORDER BY start, metric, scale, brand, unit, channel, touchpoint""".format(
    words=", ".join(f"'{name}'" for name in CORE),
    out=", ".join(f"grouping({name})" for name in CORE),
    window=WINDOW_S,
    bins=", ".join(f"sum({name}) AS {name}" for name in BINS),
    sets=", ".join(f"({', '.join((*_KEYS, *dims))})" for dims in _SCOPES),
)


def _counts(starts: Sequence[int]) -> str:
    """The question for the windows that begin then: ranges of minutes, which the table's key can skip by."""
    return _COUNTS.format(minutes=" OR ".join(f"minute >= {start} AND minute < {start + WINDOW_S}" for start in starts))


#: Notes by five-minute window: what came later, or was corrected.
_NOTES = f"""SELECT intDiv(minute, {WINDOW_S}) * {WINDOW_S} AS start, reason, count() AS n FROM changes FINAL
WHERE minute >= {{since:UInt32}} AND topic != 'history' GROUP BY start, reason"""

_PROGRESS = """SELECT epoch, part, settled, clock_ms FROM progress FINAL
WHERE topic = 'feedback' AND epoch = (SELECT max(epoch) FROM progress WHERE topic = 'feedback')"""
