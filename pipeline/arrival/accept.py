"""Accept's knowledge in one place: bytes of one partition in, one judged row per record out.

    reading = arrival.read(records, rules)        # pure: decode, check, hash
    questions = arrival.questions(reading)        # what only the ledger can tell; nearly always nothing
    accepted = arrival.settle(reading, known)     # decide, and only then remember

`take` is the three in one for whoever has nothing to ask. State changes at the end of `settle` and nowhere else: what
raises before has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival import identities, reading, revisions, times
from pipeline.arrival.breaker import NEW, Breaker, restored
from pipeline.arrival.fingerprints import NO_HASHES, Flags, Hashes, Ints
from pipeline.arrival.identities import Doubles, Firsts, IdMemory
from pipeline.arrival.reading import Before, Reading
from pipeline.arrival.recall import Kept, Recalled
from pipeline.arrival.revisions import AnswerMemory, Answers, Replaced, Standing
from pipeline.arrival.rules import HISTORY, ArrivalRules
from pipeline.arrival.times import Timing
from pipeline.blanks import blank
from pipeline.slices import ACCEPTED, Partition, Record
from schemas.codec import Rejection
from schemas.vocabulary import Disposition, Reason

_DISPOSITIONS = [each.value for each in Disposition]
_REASONS = ["", *(each.value for each in Reason)]
_NOTHING_REFUSED: Mapping[int, Rejection] = {}


class Memory(NamedTuple):
    """What one worker remembers for all its partitions together."""

    ids: IdMemory
    answers: AnswerMemory

    @classmethod
    def within(cls, rules: ArrivalRules) -> Memory:
        """An empty memory of the size the rules allow."""
        return cls(IdMemory(rules.ids_limit), AnswerMemory(rules.answers_limit))

    @property
    def partitions(self) -> set[Partition]:
        """Whose ids or answers are here."""
        return self.ids.partitions | self.answers.partitions

    def forget(self, partitions: Sequence[Partition]) -> None:
        """Drop what is known of partitions that are no longer ours: all in one call, it may take 0.2 s."""
        self.ids.forget(partitions)
        self.answers.forget(partitions)

    def restore(self, kept: Kept) -> None:
        """Begin partitions with their newest ids and answers as the ledger has them; `kept.ids` is empty afterwards."""
        self.ids.restore(kept.whole_ids, kept.ids)
        self.answers.restore(kept.whole_answers, kept.which, kept.standing, kept.newest_ms)


class Questions(NamedTuple):
    """What the memory may have lost and the ledger knows: hashes of event ids and of answers. Ask when not empty."""

    ids: Hashes = NO_HASHES
    answers: Hashes = NO_HASHES

    def __bool__(self) -> bool:
        return bool(len(self.ids) or len(self.answers))


class Known(NamedTuple):
    """The ledger's answers to Questions; what it does not know is left out."""

    ids: Firsts = Firsts()
    answers: Standing = Standing()


_NOTHING_KNOWN = Known()


class Accepted(NamedTuple):
    """One row per record, columns ACCEPTED, in order of offset; fewer rows than records when the breaker opened.

    `clock_ms` is the partition's clock after them; `breaker_open` says why nothing further may be consumed.
    """

    rows: pl.DataFrame
    clock_ms: int
    breaker_open: str | None


@dataclass(slots=True)
class Arrival:
    """The state of one partition, owned by one worker; made again from the ledger on each assignment."""

    partition: Partition
    memory: Memory
    clock_ms: int = 0
    ingest_ms: int = 0
    breaker: Breaker = NEW

    @classmethod
    def restore(cls, partition: Partition, memory: Memory, recalled: Recalled, rules: ArrivalRules) -> Arrival:
        """The state after the rows that `recalled` was made of; `memory` holds the partition's ids and answers."""
        clock_ms = 0 if partition.topic == HISTORY else max(0, recalled.moved_ms - rules.lag_ms)
        breaker = restored(np.asarray(recalled.invalid, dtype=bool), rules)
        return cls(partition, memory, clock_ms, recalled.ingest_ms, breaker)

    def take(
        self,
        records: Sequence[Record],
        rules: ArrivalRules,
        known: Known = _NOTHING_KNOWN,
        refused: Mapping[int, Rejection] = _NOTHING_REFUSED,
    ) -> Accepted:
        """Judge consecutive records and remember them."""
        return self.settle(self.read(records, rules, refused), rules, known)

    def read(
        self, records: Sequence[Record], rules: ArrivalRules, refused: Mapping[int, Rejection] = _NOTHING_REFUSED
    ) -> Reading:
        """The part of `take` that needs no memory and changes nothing.

        `refused` are records (by offset) that a later step found to be at fault: they become dead letters here, as if
        they had never been valid. So such a step drops the partition's flow, restores, and takes again with this.
        """
        return reading.read(Before(self.partition.topic, self.ingest_ms, self.breaker), records, rules, refused)

    def questions(self, read: Reading) -> Questions:
        """What to ask the ledger before `settle`.

        Ids only on `history`, whose duplicates have no horizon; answers only for rows that say they are revisions; both
        only when the memory no longer holds all of this partition.
        """
        ids = answers = NO_HASHES
        if self.partition.topic == HISTORY and not self.memory.ids.whole(self.partition):
            hashes = read.event_hash[read.alive]
            ids = np.unique(hashes[self.memory.ids.find(self.partition, hashes) < 0])
        if not self.memory.answers.whole(self.partition):
            hashes = read.answer_hash[(read.answer_hash != 0) & (read.revision > 0)]
            answers = np.unique(hashes[self.memory.answers.find(self.partition, hashes).revisions < 0])
        return Questions(ids, answers)

    def settle(self, read: Reading, rules: ArrivalRules, known: Known = _NOTHING_KNOWN) -> Accepted:
        """Decide each row's disposition, then remember. `read` must be the newest reading of this state."""
        rows = np.flatnonzero(read.alive)
        firsts = Firsts(read.event_hash[rows], read.offsets[rows], read.payload_hash[rows])
        places = self.memory.ids.find(self.partition, firsts.hashes)
        double = identities.doubles(firsts, self._firsts_before(firsts.hashes, places, known.ids))
        timing = times.timing(self.partition.topic, read.occurred, read.ingest, read.alive, self.clock_ms, rules)
        duplicate = np.zeros(len(read.offsets), dtype=bool)
        duplicate[rows] = double.duplicate
        edits = np.flatnonzero(read.alive & ~duplicate & (read.answer_hash != 0))
        answers = Answers(read.answer_hash[edits], read.revision[edits], read.offsets[edits], ~timing.late[edits])
        replaced, standing = revisions.replaced(answers, self._standing_before(answers.hashes, known.answers))
        frame = _frame(read, _Verdict(rows, double, timing, edits, replaced))
        self._remember(read, firsts, double, places)
        self.clock_ms, self.breaker = timing.clock_ms, read.breaker
        if len(read.ingest):
            self.ingest_ms = int(read.ingest[-1])
        self.memory.answers.learn(self.partition, standing, self.ingest_ms)
        return Accepted(frame, self.clock_ms, self.breaker.opened)

    def release(self) -> None:
        """An operator lets the partition go on: the breaker begins to count anew."""
        self.breaker = NEW

    def _firsts_before(self, hashes: Hashes, places: Ints, known: Firsts) -> Firsts:
        """First offsets known before, row for row: the smaller of memory's and the ledger's."""
        ids = self.memory.ids
        remembered = Firsts(hashes, ids.offsets(places), ids.payloads(places))
        if not len(known.hashes):
            return remembered
        told = identities.looked_up(hashes, known)
        older = told.offsets < remembered.offsets
        return Firsts(
            hashes,
            np.where(older, told.offsets, remembered.offsets),
            np.where(older, told.payloads, remembered.payloads),
        )

    def _standing_before(self, hashes: Hashes, known: Standing) -> Standing:
        """What stood of the answers before, row for row: as remembered, else as the ledger says."""
        remembered = self.memory.answers.find(self.partition, hashes)
        if not len(known.hashes):
            return remembered
        told = revisions.looked_up(hashes, known)
        lost = remembered.revisions < 0
        return Standing(
            hashes,
            np.where(lost, told.revisions, remembered.revisions),
            np.where(lost, told.offsets, remembered.offsets),
        )

    def _remember(self, read: Reading, firsts: Firsts, double: Doubles, places: Ints) -> None:
        """Add the ids that are new; one that was remembered at a greater offset gets this one."""
        moved = double.new & (places >= 0)
        if moved.any():
            self.memory.ids.move(places[moved], firsts.offsets[moved], firsts.payloads[moved])
        new = double.new & (places < 0)
        fresh = Firsts(firsts.hashes[new], firsts.offsets[new], firsts.payloads[new])
        self.memory.ids.remember(self.partition, fresh, read.ingest[read.alive][new])


class _Verdict(NamedTuple):
    """What was decided: `double` about `rows`, `replaced` about `edits`, `timing` about all rows."""

    rows: Ints
    double: Doubles
    timing: Timing
    edits: Ints
    replaced: Replaced


class _Marks:
    """Disposition and reason of each row; what is set later wins."""

    def __init__(self, count: int) -> None:
        self.disposition = np.zeros(count, dtype=np.uint32)
        self.reason = np.zeros(count, dtype=np.uint32)

    def set(self, rows: Ints | Flags, disposition: Disposition, reason: Reason) -> None:
        self.disposition[rows] = _DISPOSITIONS.index(disposition)
        self.reason[rows] = _REASONS.index(reason)


def _marks(read: Reading, verdict: _Verdict) -> _Marks:
    """Weakest first: a time rule yields to a revision, that to a duplicate, that to a rejection."""
    marks = _Marks(len(read.offsets))
    marks.set(verdict.timing.delayed, Disposition.AGGREGATED, Reason.DELAYED)
    marks.set(verdict.timing.late, Disposition.LATE, Reason.BEYOND_LATENESS)
    replaced, edits = verdict.replaced, verdict.edits
    marks.set(edits[replaced.old >= 0], Disposition.AGGREGATED, Reason.REVISED)
    marks.set(edits[replaced.superseded], Disposition.IGNORED, Reason.SUPERSEDED)
    marks.set(verdict.rows[verdict.double.duplicate], Disposition.DUPLICATE, Reason.SAME_EVENT)
    marks.set(verdict.rows[verdict.double.conflict], Disposition.DUPLICATE, Reason.CONFLICT)
    if not read.alive.all():
        marks.set(~read.alive, Disposition.IGNORED, Reason.TOMBSTONE)
    for row, rejection in read.dead.items():
        marks.set(np.array([row]), Disposition.DEAD_LETTER, rejection.reason)
    return marks


def _frame(read: Reading, verdict: _Verdict) -> pl.DataFrame:
    marks = _marks(read, verdict)
    old = np.full(len(read.offsets), -1, dtype=np.int64)
    old[verdict.edits] = verdict.replaced.old
    decided = {
        "off": pl.Series(read.offsets),
        "ingest_ms": pl.Series(read.ingest),
        "disposition": pl.Series(_DISPOSITIONS).gather(marks.disposition),
        "reason": pl.Series(_REASONS).gather(marks.reason),
        "event_hash": pl.Series(read.event_hash),
        "payload_hash": pl.Series(read.payload_hash),
        "occurred_ms": pl.Series(read.occurred),
        "answer_hash": pl.Series(read.answer_hash),
        "revision": pl.Series(read.revision),
        "old_off": pl.Series(old),
        "producer": read.producer,
        "attempt": read.attempt,
    }
    known = {**{column.name: column for column in read.own}, **decided, **_rejected(read)}
    return pl.DataFrame({name: known[name] for name in ACCEPTED})


def _rejected(read: Reading) -> dict[str, pl.Series]:
    """The columns of dead letters: where and why they failed, and their bytes; empty for all other rows."""
    if not read.dead:
        count = len(read.offsets)
        words = {name: blank("", pl.String(), count) for name in ("failed_at", "path", "detail")}
        return words | {"raw": blank(None, pl.Binary(), count)}
    dead = [read.dead.get(row) for row in range(len(read.offsets))]
    return {
        "failed_at": pl.Series([each.stage.value if each else "" for each in dead], dtype=pl.String()),
        "path": pl.Series([each.path if each else "" for each in dead], dtype=pl.String()),
        "detail": pl.Series([each.detail if each else "" for each in dead], dtype=pl.String()),
        "raw": pl.Series(
            [value if each else None for each, value in zip(dead, read.values, strict=True)], dtype=pl.Binary()
        ),
    }
