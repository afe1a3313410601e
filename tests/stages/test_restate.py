"""Restate: the owner rewrites late rows and doubles; the windows follow, also when it dies in between."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from agents import score
from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.errors import TouchlineError
from pipeline.ledger import requests, restating
from pipeline.ledger.positions import Standing
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part
from pipeline.slices import Record
from tests.chaos.generator import moment
from tests.stages import records
from tests.stages.flow import recorded
from tests.stages.records import FEEDBACK, answer, answers
from tests.stages.test_score import Bench, equal
from tests.stages.worker import closed, desk_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

#: Two days before the first record: later than the clock allows.
THEN_MS = records.NOW_MS - 2 * 86_400_000
SPAN = restating.body_of(THEN_MS - 60_000, THEN_MS + 3_600_000)


def late(offset: int, **fields: Any) -> Record:
    return answer(offset, occurred_at=moment(THEN_MS), **fields)


async def ask(client: ClickHouse, kind: str, body: str = "") -> None:
    await asyncio.to_thread(partial(requests.ask, client, FEEDBACK, kind, body))


def fates(client: ClickHouse) -> list[tuple[int, str, str, int]]:
    return client.query("SELECT off, disposition, reason, old_off FROM ledger FINAL ORDER BY off").rows()


def then(client: ClickHouse, as_of_ms: int | None = None) -> int:
    start = THEN_MS // 1000 - 60
    question = Question("nps", start, start + 3600, None, as_of_ms=as_of_ms)
    return sum(row["n"] for row in read_scores(client, question).to_dicts())


async def test_late_answers_are_counted_when_somebody_asks_and_the_past_keeps_its_number(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [*answers(3), late(3), late(4, score=2)])])
    client = ClickHouse(desk.settings)
    assert [row[1] for row in fates(client)] == [*["aggregated"] * 3, "late", "late"]
    assert restating.late_by_lag(client, THEN_MS, THEN_MS + 1).rows() == [("feedback", 1, 1, "2-7 days", 2)]
    before_ms = client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0]
    assert then(client) == 0
    await ask(client, "restate", SPAN)
    await score.carry_out(desk)
    assert [row[1:3] for row in fates(client)[3:]] == [("aggregated", "restated")] * 2
    equal(desk, 4, 4)
    assert (then(client), then(client, before_ms - 1), then(client, before_ms + 10**9)) == (2, 0, 2)
    assert requests.waiting(client, restating.KINDS).is_empty()
    # The flow goes on behind it, and asking again finds nothing more to do.
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(2, first=5))])
    await ask(client, "restate", SPAN)
    await score.carry_out(desk)
    equal(desk, 6, 4)
    client.close()


async def test_a_late_edit_takes_back_what_stands_and_a_late_first_answer_stays_superseded(bench: Bench) -> None:
    desk, _ = bench
    story = [
        answer(0, submission_id="s", question_id="q", source="survey", revision=1, score=3),
        late(1, submission_id="s", question_id="q", source="survey", revision=2, score=10),
        late(2, submission_id="t", question_id="q", source="survey", revision=0, score=1),
        answer(3, submission_id="t", question_id="q", source="survey", revision=1, score=8),
    ]
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    client = ClickHouse(desk.settings)
    await ask(client, "restate", SPAN)
    await score.carry_out(desk)
    assert fates(client)[1:3] == [(1, "aggregated", "restated", 0), (2, "ignored", "superseded", -1)]
    found = client.query("SELECT sum(b3), sum(b10), sum(b1), sum(b8) FROM windows FINAL WHERE cut = 'core'").row(0)
    assert found == (0, 1, 0, 1)
    equal(desk, 3, 4)
    # The next edit of that answer takes back the one that was restated.
    edit = answer(4, submission_id="s", question_id="q", source="survey", revision=3, score=6)
    await score.fold(desk, [await recorded(desk, FEEDBACK, [edit])])
    assert fates(client)[4] == (4, "aggregated", "revised", 1)
    client.close()


async def test_an_owner_who_dies_between_ledger_and_windows_is_followed_by_one_who_finishes(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [*answers(3), late(3)])])
    client = ClickHouse(desk.settings)
    await ask(client, "restate", SPAN)
    await dies_after_the_ledger(desk, client)
    with pytest.raises(AssertionError):
        equal(desk, 3, 4)
    other, members = desk_of(desk.settings)
    members.present = 2
    await other.keeper.load({FEEDBACK}, 2)
    await score.carry_out(other)
    equal(other, 3, 4)
    assert then(client) == 1
    assert requests.waiting(client, restating.KINDS).is_empty()
    await closed(other)
    client.close()


async def dies_after_the_ledger(desk: Desk, client: ClickHouse) -> None:
    (request,) = requests.waiting(client, restating.KINDS).iter_rows(named=True)

    def between(connection: ClickHouse, standing: Standing, ver: int) -> None:
        where = Part(FEEDBACK.topic, standing.epoch, FEEDBACK.part, standing.position)
        restating.carry_out(connection, where, ver, request)

    assert await desk.keeper.anew(FEEDBACK, 1, between)


async def test_doubles_beyond_memory_are_found_and_taken_out(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(3))])
    client = ClickHouse(desk.settings)
    # A copy of the first event, as it lands when its id was forgotten.
    names = client.query(
        "SELECT groupArray(name) AS n FROM system.columns WHERE table = 'ledger' AND "
        "database = currentDatabase() AND name NOT IN ('off', 'row_hash', 'day')"
    )["n"][0].to_list()
    client.command(
        f"INSERT INTO ledger ({', '.join(names)}, off) SELECT {', '.join(names)}, 3 FROM ledger WHERE off = 0"
    )
    await desk.keeper.rewind([FEEDBACK])
    await desk.keeper.load({FEEDBACK}, 1)
    holding = desk.custody.holding(FEEDBACK)
    assert holding is not None
    assert await score.taken_over(desk, {FEEDBACK: holding}) == {FEEDBACK}
    assert restating.count_doubles(client, "feedback", 1) == {1: 1}
    await ask(client, "duplicates")
    await score.carry_out(desk)
    assert fates(client)[3][1:3] == ("duplicate", "same_event")
    assert restating.count_doubles(client, "feedback", 1) == {}
    assert client.query("SELECT sum(b9) AS n FROM windows FINAL WHERE cut = 'core'")["n"][0] == 3
    equal(desk, 3, 2)
    client.close()


async def test_a_request_that_cannot_be_carried_out_fails_loudly_and_stops_no_worker(
    bench: Bench,
) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [*answers(3), late(3)])])
    client = ClickHouse(desk.settings)

    def ask_and_wait() -> None:
        other = ClickHouse(desk.settings)
        try:
            requests.ask_and_wait(other, [FEEDBACK], "restate", 30, "nonsense")
        finally:
            other.close()

    waiting = asyncio.create_task(asyncio.to_thread(ask_and_wait))
    while not waiting.done():
        await score.carry_out(desk)
        await asyncio.wait({waiting}, timeout=0.1)
    with pytest.raises(TouchlineError, match=r"restate failed for feedback\[1\]"):
        await waiting
    # The partition goes on, and a request that says something is carried out.
    await desk.keeper.load({FEEDBACK}, 1)
    await ask(client, "restate", SPAN)
    await score.carry_out(desk)
    equal(desk, 3, 4)
    client.close()
