"""Accept against a plain loop over dicts: dispositions, clock, duplicates, revisions, breaker, in any slices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipeline.arrival.accept import Arrival, Known, Memory, Questions
from pipeline.arrival.identities import Firsts
from pipeline.arrival.recall import kept_of, of_rows
from pipeline.arrival.revisions import Standing
from pipeline.arrival.ring import HashRing
from pipeline.arrival.rules import ArrivalRules
from pipeline.slices import ACCEPTED, Partition, Record
from schemas.codec import Rejection
from schemas.vocabulary import Reason, Stage

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
START = 1_795_000_000_000
RULES = ArrivalRules(ids_limit=1_000, answers_limit=1_000, breaker_run=6, breaker_window=12, breaker_share=0.5)
REFUSED = Rejection(Stage.ENRICH, Reason.STEP_FAILED, "$", "the step raised")
SHIFTS = (
    -60 * DAY,
    -31 * DAY,
    -DAY - 2 * MINUTE,
    -DAY + MINUTE,
    -5 * MINUTE,
    -61_000,
    0,
    4 * MINUTE,
    6 * MINUTE,
    365 * DAY,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Spec:
    """One record to be: `fate` is what is wrong with it, if anything."""

    fate: str
    event: int
    payload: int
    appended: int
    occurred: int
    submission: int | None
    revision: int

    def value(self, topic: str) -> bytes | None:
        if self.fate == "tombstone":
            return None
        if self.fate == "garbage":
            return b"{"
        event: dict[str, Any] = {
            "event_id": f"e{self.event}",
            "occurred_at": (EPOCH + timedelta(milliseconds=self.occurred)).isoformat(),
            "channel": "web",
            "unit": f"u{self.payload}",
            "customer_id": "k1:0123456789abcdef" if self.fate == "form" else "ann",
        }
        if topic == "touchpoints" or (topic == "history" and self.event % 2 == 0):
            event |= {"touchpoint": "cart"} if self.fate != "unfit" else {"touchpoint": 7}
            return json.dumps(event).encode()
        event |= {"metric": "nps", "score": 11 if self.fate == "unfit" else 7, "revision": self.revision}
        if self.submission is not None:
            event["submission_id"] = f"s{self.submission}"
        return json.dumps(event).encode()


@st.composite
def specs(draw: st.DrawFn) -> list[Spec]:
    found, now = [], START
    fates = st.sampled_from(("ok",) * 12 + ("garbage", "unfit", "tombstone", "form", "refused"))
    for _ in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from((0, 1, 1_000, 90_000, -5_000, 3_600_000)))
        spec = Spec(
            fate=draw(fates),
            event=draw(st.integers(0, 9)),
            payload=draw(st.integers(0, 1)),
            appended=now,
            occurred=now + draw(st.sampled_from(SHIFTS)),
            submission=draw(st.sampled_from((None, 0, 1))),
            revision=draw(st.integers(0, 3)),
        )
        found.append(spec)
    return found


def records_of(topic: str, wanted: Sequence[Spec]) -> list[Record]:
    return [Record(5 + at, spec.appended, b"k", spec.value(topic), ()) for at, spec in enumerate(wanted)]


def refused_of(wanted: Sequence[Spec]) -> dict[int, Rejection]:
    return {5 + at: REFUSED for at, spec in enumerate(wanted) if spec.fate == "refused"}


Judged = tuple[str, str, int]


class Oracle:
    """The rules of design.md 4, one event at a time."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.ingest = self.clock = 0
        self.seen: dict[int, int] = {}
        self.answers: dict[int, tuple[int, int]] = {}
        self.invalid: list[bool] = []
        self.open = False

    def run(self, wanted: Sequence[Spec]) -> list[Judged]:
        found: list[Judged] = []
        for at, spec in enumerate(wanted):
            if self.open:
                break
            found.append(self.judge(5 + at, spec))
            self.invalid.append(found[-1][0] == "dead_letter")
            recent = self.invalid[-RULES.breaker_window :]
            in_a_row = self.invalid[-RULES.breaker_run :]
            self.open = (len(in_a_row) == RULES.breaker_run and all(in_a_row)) or (
                len(recent) == RULES.breaker_window and sum(recent) > RULES.breaker_share * RULES.breaker_window
            )
        return found

    def judge(self, offset: int, spec: Spec) -> Judged:
        self.ingest = max(self.ingest, spec.appended)
        if spec.fate == "tombstone":
            return "ignored", "tombstone", -1
        if reason := self.invalid_for(spec):
            return "dead_letter", reason, -1
        clock = self.clock
        if self.topic != "history":
            self.clock = max(clock, min(spec.occurred, self.ingest) - MINUTE)
        if spec.event in self.seen:
            body = hash(spec.value(self.topic))
            return "duplicate", "same_event" if self.seen[spec.event] == body else "conflict", -1
        self.seen[spec.event] = hash(spec.value(self.topic))
        late = self.topic != "history" and spec.occurred < clock - DAY
        is_answer = self.topic == "feedback" or (self.topic == "history" and spec.event % 2 == 1)
        old = -1
        if is_answer and spec.submission is not None:
            revision, counted = self.answers.get(spec.submission, (-1, -1))
            if spec.revision <= revision:
                return "ignored", "superseded", -1
            self.answers[spec.submission] = (spec.revision, counted if late else offset)
            old = -1 if late else counted
        if late:
            return "late", "beyond_lateness", -1
        if old >= 0:
            return "aggregated", "revised", old
        passed = (spec.occurred // MINUTE + 1) * MINUTE <= clock
        return "aggregated", "delayed" if passed and self.topic != "history" else "", -1

    def invalid_for(self, spec: Spec) -> str:
        touchpoint = self.topic == "touchpoints" or (self.topic == "history" and spec.event % 2 == 0)
        oldest = 0 if self.topic == "history" else self.ingest - 30 * DAY
        if spec.fate == "refused":
            return "step_failed"
        if spec.fate == "garbage":
            return "not_json"
        if spec.fate == "unfit":
            return "wrong_type" if touchpoint else "out_of_range"
        if not oldest <= spec.occurred <= self.ingest + 5 * MINUTE:
            return "bad_time"
        return "wrong_key_form" if spec.fate == "form" else ""


def fresh(topic: str, rules: ArrivalRules = RULES) -> Arrival:
    partition, memory = Partition(topic, 3), Memory.within(rules)
    return restored(partition, memory, pl.DataFrame(schema=ACCEPTED), rules)


def restored(partition: Partition, memory: Memory, rows: pl.DataFrame, rules: ArrivalRules = RULES) -> Arrival:
    recalled, firsts, standing = of_rows(rows)
    memory.restore(kept_of(partition, firsts, standing))
    return Arrival.restore(partition, memory, recalled, rules)


def judged(rows: pl.DataFrame) -> list[Judged]:
    return rows.select("disposition", "reason", "old_off").rows()


TOPICS = st.sampled_from(("feedback", "touchpoints", "history"))


@given(topic=TOPICS, wanted=specs())
@settings(deadline=None, max_examples=60)
def test_accept_judges_as_the_plain_loop_does(topic: str, wanted: list[Spec]) -> None:
    oracle, arrival = Oracle(topic), fresh(topic)
    accepted = arrival.take(records_of(topic, wanted), RULES, refused=refused_of(wanted))
    assert judged(accepted.rows) == oracle.run(wanted)
    assert accepted.clock_ms == oracle.clock
    assert (accepted.breaker_open is not None) == oracle.open
    assert accepted.rows.schema == ACCEPTED


@given(topic=TOPICS, wanted=specs(), cuts=st.sets(st.integers(0, 40)))
@settings(deadline=None, max_examples=60)
def test_any_split_into_slices_gives_the_same_rows(topic: str, wanted: list[Spec], cuts: set[int]) -> None:
    records, refused = records_of(topic, wanted), refused_of(wanted)
    whole = fresh(topic).take(records, RULES, refused=refused)
    arrival, places = fresh(topic), [0, *sorted(cuts), len(records)]
    pieces = [arrival.take(records[start:end], RULES, refused=refused) for start, end in pairwise(places)]
    assert_frame_equal(pl.concat([piece.rows for piece in pieces]), whole.rows)
    assert (pieces[-1].clock_ms, pieces[-1].breaker_open) == (whole.clock_ms, whole.breaker_open)


@given(topic=TOPICS, wanted=specs(), cut=st.integers(0, 40), lost=st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_a_restart_from_the_ledger_continues_as_if_it_had_never_stopped(
    topic: str, wanted: list[Spec], cut: int, lost: int
) -> None:
    records, refused = records_of(topic, wanted), refused_of(wanted)
    whole = fresh(topic).take(records, RULES, refused=refused)
    stopped = fresh(topic)
    before = stopped.take(records[:cut], RULES, refused=refused)
    # A slice that is dropped on its way to the ledger: accept has seen it, the ledger has not.
    stopped.take(records[cut : cut + lost], RULES, refused=refused)
    again = restored(stopped.partition, stopped.memory, before.rows)
    after = again.take(records[cut:], RULES, refused=refused)
    assert_frame_equal(pl.concat([before.rows, after.rows]), whole.rows)
    assert (after.clock_ms, after.breaker_open) == (whole.clock_ms, whole.breaker_open)


@given(wanted=specs(), size=st.integers(1, 7), limit=st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_history_finds_duplicates_without_horizon_when_the_ledger_is_asked(
    wanted: list[Spec], size: int, limit: int
) -> None:
    rules = replace(RULES, ids_limit=limit)
    records, refused = records_of("history", wanted), refused_of(wanted)
    arrival, ledger = fresh("history", rules), pl.DataFrame(schema=ACCEPTED)
    for start in range(0, len(records), size):
        read = arrival.read(records[start : start + size], rules, refused)
        known = answered(ledger, arrival.questions(read))
        ledger = pl.concat([ledger, arrival.settle(read, rules, known).rows])
    assert judged(ledger) == Oracle("history").run(wanted)


def answered(ledger: pl.DataFrame, questions: Questions) -> Known:
    """What the ledger says to the questions."""
    _, firsts, standing = of_rows(ledger)
    ids = np.isin(firsts.hashes, questions.ids)
    answers = np.isin(standing.hashes, questions.answers)
    hashes, offsets, payloads = firsts
    keys, revisions, stands = standing
    return Known(
        Firsts(hashes[ids], offsets[ids], payloads[ids]), Standing(keys[answers], revisions[answers], stands[answers])
    )


class Operation:
    """Names of what can be done to a ring."""

    ADD, FORGET = range(2)


@given(
    steps=st.lists(st.tuples(st.sampled_from((0, 0, 0, 0, 1)), st.integers(0, 2), st.integers(1, 6)), max_size=40),
    capacity=st.integers(1, 12),
)
@settings(deadline=None, max_examples=60)
def test_a_ring_remembers_exactly_the_newest(steps: list[tuple[int, int, int]], capacity: int) -> None:
    ring, number = HashRing(capacity, {"value": np.int64}), 0
    kept: list[tuple[int, int]] = []  # (partition, value), oldest first; a forgotten entry may keep its room
    for what, part, count in steps:
        partition = Partition("feedback", part)
        if what == Operation.FORGET:
            ring.forget([partition])
            kept = [entry for entry in kept if entry[0] != part]
            continue
        values = np.arange(number, number + count)
        ring.add(partition, spread(values), value=values)
        kept += [(part, int(value)) for value in values]
        number += count
        newest = set(kept[-capacity:]) if not any(step[0] for step in steps) else None
        for other in range(3):
            places = ring.find(Partition("feedback", other), spread(np.arange(number)))
            found = {(other, value) for value in np.flatnonzero(places >= 0).tolist()}
            assert found <= set(kept)
            assert len(found) == ring.held(Partition("feedback", other))
            assert all(ring.columns["value"][places[value]] == value for _, value in found)
            if newest is not None:
                assert found == {entry for entry in newest if entry[0] == other}


def spread(values: np.ndarray) -> np.ndarray:
    """Different hashes that fall into few buckets."""
    return (values.astype(np.uint64) % np.uint64(3) << np.uint64(60)) + values.astype(np.uint64)
