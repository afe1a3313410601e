"""Rejected events sent again [I/O]: once each, however often it is asked for.

What makes it safe, in the order in which it happens:

1. a mended event is judged as the worker would judge it; one that is still bad is not sent;
2. an event whose id the ledger has counted (the producer sent it again by itself, an earlier replay) is not sent;
3. a row of the table `replays` says what is about to be sent and where to, and is there before it is sent;
4. the same id goes to the same topic with the same key, so accept finds a double even where a run was killed between
   sending and writing down that it had sent.

An event that is rejected again is a reject of its own and says how often it was tried; after `TRIES` it is given up.
What a gateway refused is judged as the gateway judges it now: by its present rules and the scope of the producer's key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.access import store
from pipeline.access.keys import Grant
from pipeline.arrival.fingerprints import fingerprints, text_fingerprints
from pipeline.arrival.rules import HISTORY, ArrivalRules
from pipeline.arrival.senders import ATTEMPT_HEADER, PRODUCER_HEADER
from pipeline.arrival.times import absurd
from pipeline.clickhouse import ClickHouse
from pipeline.customers.sealing import Sealer
from pipeline.errors import DifferenceFound
from pipeline.intake import rejects
from pipeline.intake.admission import Rules, judge
from pipeline.intake.bodies import Items
from pipeline.intake.places import GATEWAY, Place
from pipeline.intake.producing import Producer, pseudonyms_of
from pipeline.intake.rejects import Filter
from pipeline.intake.repair import Edits, Mended, mended
from pipeline.settings import Settings
from schemas.codec import decode
from schemas.explain import Rejection
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint

#: How often one event is sent again at most: what fails as often is no accident.
TRIES = 5
#: An event this close to the bound of lateness would be late by the time it arrives: it goes to `history`, as all do
#: that are older, where it counts quietly.
_MARGIN_MS = 3_600_000

#: What becomes of a reject. The first is sent, the others are not.
SENT, STILL_BAD, COUNTED, REPLAYED, GIVEN_UP, CHANGED, SEALED = (
    "sent",
    "still bad",
    "counted already",
    "replayed before",
    "given up",
    "other edits than in the run that was broken off",
    "does not open with this key",
)


class Step(NamedTuple):
    """One reject and what a replay does with it: `verdict` one of the words above, `why` what is still wrong."""

    place: Place
    verdict: str
    why: str = ""
    target: str = ""
    event: Mended | None = None
    event_hash: int = 0
    tries: int = 0
    attempt: int = 0
    producer: str = ""


@dataclass(slots=True)
class Outcome:
    """Counts of a replay: by verdict, of sent ones by target, and of bad ones by what is wrong with them."""

    verdicts: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, step: Step) -> None:
        """Count one."""
        self.verdicts[step.verdict] += 1
        if step.verdict == SENT:
            self.targets[step.target] += 1
        elif step.why:
            self.wrong[step.why] += 1


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay: which rejects, what is changed. `now_ms` is the time by which live and history are told apart."""

    client: ClickHouse
    settings: Settings
    wanted: Filter
    edits: Edits
    now_ms: int

    def steps(self) -> Iterator[list[Step]]:
        """What would be done, a page at a time; nothing is written."""
        mender = _Mender(self.client, self.settings, self.edits)
        seen: dict[int, str] = {}
        for page in rejects.pages(self.client, self.wanted):
            yield self._judged(page, mender, seen)

    async def run(self, producer: Producer) -> Outcome:
        """Send what can be sent. Raises Unavailable; whatever was sent until then is written down or found again."""
        outcome = Outcome()
        for steps in self.steps():
            sending = [step for step in steps if step.verdict == SENT]
            if sending:
                self._note(sending, done=0)
                for (target, attempt, name), run in _grouped(sending).items():
                    headers = [(ATTEMPT_HEADER, str(attempt).encode()), (PRODUCER_HEADER, name.encode())]
                    events = [step.event for step in run if step.event is not None]
                    await producer.send_many(target, [e.key for e in events], [e.value for e in events], headers)
                await producer.flush()
                self._note(sending, done=1)
            for step in steps:
                outcome.add(step)
        return outcome

    def _judged(self, page: pl.DataFrame, mender: _Mender, seen: dict[int, str]) -> list[Step]:
        rows = page.to_dicts()
        places = [Place(row["topic"], row["epoch"], row["part"], row["off"]) for row in rows]
        sealed = rejects.sealed_of(self.client, places)
        events = [mender.opened(place, row, sealed.get(place)) for place, row in zip(places, rows, strict=True)]
        fine = [event for event in events if isinstance(event, Mended)]
        hashes = dict(zip(map(id, fine), _ids(fine), strict=True))
        counted = rejects.counted_ids(self.client, list(hashes.values()))
        before = self._before(places, list(hashes.values()))
        steps = []
        for row, place, event in zip(rows, places, events, strict=True):
            if not isinstance(event, Mended):
                steps.append(Step(place, *event))
                continue
            number = hashes[id(event)]
            step = self._step(row, place, event, number, before)
            if step.verdict == SENT and (number in counted or number in seen):
                step = step._replace(verdict=COUNTED)
            elif step.verdict == SENT:
                seen[number] = step.target
            steps.append(step)
        return steps

    def _step(self, row: Mapping[str, object], place: Place, event: Mended, number: int, before: _Before) -> Step:
        """The verdict as far as the marks of earlier runs, the tries and the time of the event decide it."""
        tries, done, value_hash = before.marks.get(place, (0, 0, 0))
        attempt = int(str(row["attempt"]))
        step = Step(place, SENT, "", "", event, number, tries + 1, attempt + 1, str(row["producer"]))
        if done:
            return step._replace(verdict=REPLAYED)
        if tries >= TRIES or attempt >= TRIES:
            return step._replace(verdict=GIVEN_UP, why=f"tried {max(tries, attempt)} times")
        if tries and value_hash != _value_hash(event):
            return step._replace(verdict=CHANGED)
        occurred = int(event.event.occurred_at.timestamp() * 1000)
        ingest = int(str(row["ingest_ms"]))
        topic = event.topic_of(place.topic)
        if absurd(topic, np.array([occurred]), np.array([ingest]), ArrivalRules())[0]:
            return step._replace(verdict=STILL_BAD, why="bad_time at $.occurred_at")
        return step._replace(
            target=before.targets.get(number) or target_of(self.settings, topic, occurred, self.now_ms)
        )

    def _before(self, places: Sequence[Place], hashes: Sequence[int]) -> _Before:
        rows = self.client.query(
            "SELECT topic, epoch, part, off, event_hash, value_hash, target, tries, done FROM replays FINAL"
            f" WHERE {rejects.AT} OR event_hash IN {{hashes:Array(UInt64)}}",
            {"places": [place.text for place in places], "hashes": list(hashes)},
        )
        marks, targets = {}, {}
        for row in rows.iter_rows(named=True):
            marks[Place(row["topic"], row["epoch"], row["part"], row["off"])] = (
                row["tries"],
                row["done"],
                row["value_hash"],
            )
            targets[row["event_hash"]] = row["target"]
        return _Before(marks, targets)

    def _note(self, steps: Sequence[Step], done: int) -> None:
        """Writes down what is about to be sent (`done` 0) or is acknowledged (1)."""
        rows = [
            (*step.place, self.now_ms * 2 + done, step.event_hash, _value_hash(step.event), step.target)
            for step in steps
        ]
        marks = pl.DataFrame(rows, schema=list(_REPLAYS)[: len(_REPLAYS) - 3], orient="row").with_columns(
            pl.Series("tries", [min(255, step.tries) for step in steps]),
            pl.lit(done).alias("done"),
            pl.lit(self.now_ms).alias("at_ms"),
        )
        self.client.insert("replays", marks.cast(pl.Schema(_REPLAYS)))


class _Mender:
    """Opens rejects and mends them; one for a run."""

    def __init__(self, client: ClickHouse, settings: Settings, edits: Edits) -> None:
        self._edits = edits
        self._sealer = Sealer(settings.seal_key_id, settings.seal_bytes)
        self._pseudonyms = pseudonyms_of(settings)
        self._rules = Rules(ArrivalRules(settings.customer_form), self._pseudonyms, settings.unknown_fields)
        self._grants = store.grants(client)

    def opened(
        self, place: Place, row: Mapping[str, object], found: tuple[int, bytes] | None
    ) -> Mended | tuple[str, str]:
        """The mended event, or the verdict and what is wrong."""
        try:
            value = rejects.opened(self._sealer, place, found) if found is not None else b""
        except DifferenceFound:
            return SEALED, f"sealed with key {found[0] if found else 0}"
        if place.topic != GATEWAY:
            event = mended(place.topic, value, place.text, self._edits, self._pseudonyms)
        else:
            event = mended(HISTORY, value, place.text, self._edits)
            if isinstance(event, Mended):
                event = self._admitted(event, row)
        if isinstance(event, Rejection):
            return STILL_BAD, f"{event.reason.value} at {event.path}"
        return event

    def _admitted(self, event: Mended, row: Mapping[str, object]) -> Mended | Rejection:
        """What the gateway says of it now; whoever has no key (answers by links) has no bounds."""
        name = str(row["producer"])
        grant = self._grants.get(name, Grant("", name, frozenset()))
        (judged,) = judge(Items([event.value], [()]), grant, self._rules, int(str(row["ingest_ms"])))
        if judged.rejection is not None:
            return judged.rejection
        written = decode(judged.topic, [judged.value], [()]).events[0]
        assert isinstance(written, Touchpoint | Feedback)
        return Mended(judged.key, judged.value, written)


class _Before(NamedTuple):
    """What earlier runs left: place -> (tries, done, hash of what was sent); id -> the topic it went to."""

    marks: Mapping[Place, tuple[int, int, int]]
    targets: Mapping[int, str]


_REPLAYS = {
    "topic": pl.String,
    "epoch": pl.UInt16,
    "part": pl.UInt16,
    "off": pl.Int64,
    "ver": pl.UInt64,
    "event_hash": pl.UInt64,
    "value_hash": pl.UInt64,
    "target": pl.String,
    "tries": pl.UInt8,
    "done": pl.UInt8,
    "at_ms": pl.Int64,
}


def target_of(settings: Settings, topic: str, occurred_ms: int, now_ms: int) -> str:
    """Where an event that comes again counts: its own topic while it is on time there, else `history`."""
    recent = now_ms - occurred_ms < settings.lateness_s * 1000 - _MARGIN_MS
    return topic if recent else HISTORY


def _ids(events: Sequence[Mended]) -> list[int]:
    found: list[int] = text_fingerprints([event.event.event_id for event in events]).tolist()
    return found


def _value_hash(event: Mended | None) -> int:
    assert event is not None
    return int(fingerprints([event.key + b"\0" + event.value])[0])


def _grouped(steps: Sequence[Step]) -> dict[tuple[str, int, str], list[Step]]:
    """Runs that go to one topic under the same headers."""
    runs: dict[tuple[str, int, str], list[Step]] = {}
    for step in steps:
        runs.setdefault((step.target, step.attempt, step.producer), []).append(step)
    return runs
