"""Files into Kafka [I/O]: NDJSON lines and tables, row by row judged, resumable where a file is a file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import UsageError
from pipeline.intake.lines import judge
from pipeline.intake.producing import Event, Producer, anonymous, key_of
from pipeline.intake.sources import Layout, header_of, rows_about, rows_of
from pipeline.intake.tables import Plan, event_of, places_of
from pipeline.intake.verdicts import Tally, Verdict
from schemas.codec import check, encode
from schemas.explain import Rejection
from schemas.feedback import Feedback

#: Rows judged, sent and acknowledged at once: a killed import repeats two of these at most, the worker drops doubles.
CHUNK = 5_000

#: Told every verdict of a chunk, in order, and the counts so far.
Watch = Callable[[list[Verdict], Tally], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go: `producer` None only judges (a trial run)."""

    producer: Producer | None
    topic: str | None
    pseudonyms: Pseudonyms | None
    raw: bool = False


async def feed_lines(target: Target, lines: Iterable[bytes], watch: Watch) -> Tally:
    """Judge and send NDJSON lines; a refused one is sent only when the target is `raw`. Empty lines do not count."""
    tally = Tally()
    began = time.monotonic()
    rows = (line for line in (line.strip() for line in lines) if line)
    while chunk := list(islice(rows, CHUNK)):
        judged = judge(chunk, target.topic, tally.rows + 1, target.pseudonyms)
        verdicts = []
        for line in judged:
            verdicts.append(Verdict(tally.rows + 1, line.rejection))
            tally.add(verdicts[-1], line.rejection is None or target.raw)
        sending = judged if target.raw else [line for line in judged if line.rejection is None]
        for topic in {line.topic for line in sending}:
            run = [line for line in sending if line.topic == topic]
            if target.producer is not None:
                await target.producer.send_many(topic, [line.key for line in run], [line.value for line in run])
        tally.seconds = time.monotonic() - began
        watch(verdicts, tally)
    if target.producer is not None:
        await target.producer.flush()
    return tally


class Position:
    """How far the import of a file is, in a small file of its own that is named after `what` it depends on."""

    def __init__(self, state_dir: Path, what: object) -> None:
        name = hashlib.blake2b(orjson.dumps(what), digest_size=12).hexdigest()
        self.path = state_dir / "imports" / f"{name}.json"

    def read(self) -> Tally | None:
        """What earlier runs have sent; None when there was none."""
        try:
            return Tally.loaded(orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            # Only a shortcut: without it the import begins anew and the worker finds the doubles.
            return None

    def write(self, content: bytes) -> None:
        """Replaces it at once; a kill leaves the old or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(content)
        os.replace(fresh, self.path)


async def feed_events(
    target: Target,
    events: Iterable[Event | Rejection],
    watch: Watch,
    since: Tally | None = None,
    position: Position | None = None,
) -> Tally:
    """Send events that were made from something else, after those that `since` tells of; a rejection is only counted.

    The position is written after each acknowledged chunk.
    """
    tally = since or Tally()
    before, began = tally.seconds, time.monotonic()
    rows = islice(events, tally.rows, None)
    while chunk := list(islice(rows, CHUNK)):
        runs: dict[str, list[Event]] = {}
        verdicts = []
        for each in chunk:
            refused = each if isinstance(each, Rejection) else None
            verdicts.append(Verdict(tally.rows + 1, refused))
            tally.add(verdicts[-1], refused is None)
            if not isinstance(each, Rejection):
                own = "feedback" if isinstance(each, Feedback) else "touchpoints"
                runs.setdefault(target.topic or own, []).append(anonymous(each, target.pseudonyms))
        if target.producer is not None:
            for topic, run in runs.items():
                await target.producer.send_many(topic, [key_of(one) for one in run], [encode(one) for one in run])
            await target.producer.flush()
        tally.seconds = before + time.monotonic() - began
        if target.producer is not None and position is not None:
            position.write(orjson.dumps(tally.document()))
        watch(verdicts, tally)
    return tally


class _Sent(NamedTuple):
    """A chunk that is on its way, and where the import stands once it has arrived."""

    futures: list[asyncio.Future[Any]]
    position: bytes


class TableImport:
    """One import of one table file: `run` sends what is not yet sent. Raises UsageError when it cannot begin."""

    def __init__(self, path: Path, layout: Layout, plan: Plan, state_dir: Path) -> None:
        self._path = path
        self._layout = layout
        self.plan = replace(plan, digest=digest_of(path))
        self._state_dir = state_dir
        header = header_of(path, layout)
        self._width = len(header)
        self._places = places_of(self.plan, header)

    def rows_about(self) -> int:
        """How many rows it has, nearly."""
        return rows_about(self._path, self._layout)

    def position(self, topic: str) -> Position:
        """The position of this import to this topic."""
        # asdict would follow a time zone object; its text is what matters.
        when = {name: str(value) for name, value in asdict(replace(self.plan.when, zone=None)).items()}
        what = [topic, self.plan.sign.hex(), when, str(self.plan.when.zone), asdict(self._layout)]
        return Position(self._state_dir, what)

    async def run(self, target: Target, since: Tally, watch: Watch) -> Tally:
        """Send the rows after `since` (a new Tally: all); the position is written after each acknowledged chunk.

        A chunk is read and judged while Kafka works on the one before.
        """
        assert target.topic is not None
        tally = since
        before, began = tally.seconds, time.monotonic()
        rows = islice(rows_of(self._path, self._layout), tally.rows, None)
        waiting: _Sent | None = None
        while chunk := list(islice(rows, CHUNK)):
            keys, values, verdicts = [], [], []
            for cells in chunk:
                outcome = self._judged(tally.rows + 1, cells, target.pseudonyms)
                refused = outcome if isinstance(outcome, Rejection) else None
                verdicts.append(Verdict(tally.rows + 1, refused))
                tally.add(verdicts[-1], refused is None)
                if not isinstance(outcome, Rejection):
                    keys.append(outcome[0])
                    values.append(outcome[1])
            tally.seconds = before + time.monotonic() - began
            if target.producer is not None:
                await target.producer.send_many(target.topic, keys, values)
                await self._arrived(target, waiting)
                position = orjson.dumps({**tally.document(), "file": str(self._path)})
                waiting = _Sent(target.producer.flying(), position)
            watch(verdicts, tally)
        await self._arrived(target, waiting)
        return tally

    async def _arrived(self, target: Target, sent: _Sent | None) -> None:
        """Waits for a chunk's acknowledgements and writes down how far the import is."""
        if sent is not None and target.producer is not None and target.topic is not None:
            await target.producer.arrived(sent.futures)
            self.position(target.topic).write(sent.position)

    def _judged(self, number: int, cells: list[str], pseudonyms: Pseudonyms | None) -> tuple[bytes, bytes] | Rejection:
        """(key, value) of a row, or why it is refused."""
        event = event_of(self.plan, self._places, self._width, number, cells)
        if isinstance(event, Rejection):
            return event
        if isinstance(event, Feedback) and (wrong := check(event)) is not None:
            return wrong
        known = anonymous(event, pseudonyms)
        return key_of(known), encode(known)


def digest_of(path: Path) -> str:
    """BLAKE2b of a file's bytes; raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
