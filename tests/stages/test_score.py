"""Score: recorded slices become windows, equal to a recomputation; the owner of `ticks` publishes whole scores."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from functools import partial

import pytest

from agents import score
from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.ledger import requests
from pipeline.ledger.rebuild import compare
from pipeline.scores.backlog import catching_up
from pipeline.scores.closing import QUIET_MS
from pipeline.scores.defined import read_definitions
from pipeline.scores.recompute import Part, differing
from pipeline.slices import Partition, Record
from tests.chaos import evidence
from tests.chaos.generator import moment
from tests.stages import records
from tests.stages.flow import accepted, recorded
from tests.stages.records import FEEDBACK, answer, answers
from tests.stages.worker import Members, closed, desk_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Bench = tuple[Desk, Members]
TICKS = Partition("ticks", 0)


def equal(desk: Desk, up_to: int, rows: int) -> None:
    """The table's windows are those of the ledger, and there are so many."""
    client = ClickHouse(desk.settings)
    found = compare(client, Part(FEEDBACK.topic, 1, FEEDBACK.part, up_to), 0)
    client.close()
    assert found.equal
    assert found.rows == rows


def settled(desk: Desk) -> int:
    client = ClickHouse(desk.settings)
    found = client.query("SELECT settled FROM progress FINAL WHERE topic = 'feedback' AND part = 1")["settled"]
    client.close()
    return int(found[0])


async def test_a_recorded_slice_is_folded_and_progress_says_how_far(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5, first=5, score=3))])
    equal(desk, 9, 2)  # the cut core and the cut stage
    assert settled(desk) == 9


async def test_what_an_owner_wrote_ahead_of_what_it_says_differs_alone_and_only_until_it_says_so(bench: Bench) -> None:
    desk, _ = bench
    client = ClickHouse(desk.settings)
    early = moment(records.NOW_MS - 3_600_000)
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5, occurred_at=early))])
    said, minutes = settled(desk), [(records.NOW_MS - 3_600_000) // 60_000 * 60, records.NOW_MS // 60_000 * 60]
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5, first=5, occurred_at=moment(records.NOW_MS)))])
    where = Part(FEEDBACK.topic, 1, FEEDBACK.part, said)
    assert differing(client, where) == minutes[1:]
    assert differing(client, where, minutes[:1]) == []
    assert differing(client, replace(where, up_to=settled(desk)), minutes[1:]) == []
    client.command(
        f"ALTER TABLE windows UPDATE b9 = b9 + 1 WHERE minute = {minutes[0]}", settings={"mutations_sync": 2}
    )
    assert differing(client, replace(where, up_to=settled(desk))) == minutes[:1]
    assert differing(client, replace(where, up_to=settled(desk)), minutes[:1]) == minutes[:1]
    client.close()


async def test_a_slice_of_an_attempt_that_was_given_up_is_folded_by_the_takeover_and_not_again(bench: Bench) -> None:
    desk, _ = bench
    piece = await recorded(desk, FEEDBACK, answers(5))
    await desk.keeper.rewind([FEEDBACK])
    await desk.keeper.load({FEEDBACK}, 1)
    holding = desk.custody.holding(FEEDBACK)
    assert holding is not None
    assert await score.taken_over(desk, {FEEDBACK: holding}) == {FEEDBACK}
    equal(desk, 4, 2)
    await score.fold(desk, [piece])
    equal(desk, 4, 2)


async def test_the_next_owner_recomputes_what_was_recorded_and_not_yet_folded(bench: Bench) -> None:
    desk, _ = bench
    await recorded(desk, FEEDBACK, answers(5))  # and the worker dies
    other, members = desk_of(desk.settings)
    members.present = 2
    await other.keeper.load({FEEDBACK}, 2)
    holding = other.custody.holding(FEEDBACK)
    assert holding is not None
    assert await score.taken_over(other, {FEEDBACK: holding}) == {FEEDBACK}
    equal(other, 4, 2)
    assert settled(other) == 4
    await closed(other)


async def test_partitions_taken_over_together_get_what_each_would_get_alone(bench: Bench) -> None:
    """One with a minute that is cold, one whose windows are as far as its ledger and hours ago, an empty one."""
    desk, _ = bench
    sister = FEEDBACK._replace(part=0)
    early, ago = moment(records.NOW_MS - 6 * 3_600_000), moment(records.NOW_MS - 9 * 3_600_000)
    await score.fold(desk, [await recorded(desk, sister, answers(7, score=2, occurred_at=ago))])
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(3))])
    await recorded(desk, FEEDBACK, [answer(3), answer(4, occurred_at=early)])  # and the worker dies
    other, members = desk_of(desk.settings)
    members.present = 2
    empty = Partition("touchpoints", 0)
    await other.keeper.load({FEEDBACK, sister, empty}, 2)
    held = other.custody.holdings()
    assert await score.taken_over(other, held) == {FEEDBACK, sister, empty}
    equal(other, 4, 4)
    client = ClickHouse(desk.settings)
    assert compare(client, Part(sister.topic, 1, sister.part, 6), 0).equal
    versions = "SELECT part, uniqExact(ver) AS n FROM windows GROUP BY part ORDER BY part"
    assert client.query(versions).rows() == [(0, 1), (1, 2)], "what is right is not written again"
    client.close()
    # The hot minutes are in memory: what comes next adds to them.
    await score.fold(other, [await recorded(other, sister, answers(2, first=7, score=2, occurred_at=ago))])
    await score.fold(other, [await recorded(other, FEEDBACK, answers(2, first=5))])
    equal(other, 6, 4)
    assert other.folder.cold_minutes == 0
    await closed(other)


async def test_of_partitions_of_which_one_is_lost_meanwhile_the_others_are_taken_over_at_once(bench: Bench) -> None:
    desk, _ = bench
    sister = FEEDBACK._replace(part=0)
    await recorded(desk, FEEDBACK, answers(5))
    await recorded(desk, sister, answers(5))
    await desk.keeper.rewind([FEEDBACK, sister])
    await desk.keeper.load({FEEDBACK, sister}, 1)
    held = desk.custody.holdings()
    desk.custody.forget(sister)
    assert await score.taken_over(desk, held) == {FEEDBACK}
    equal(desk, 4, 2)


async def test_a_delayed_answer_changes_a_minute_that_is_cold_and_is_noted(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(3))])
    early = moment(records.NOW_MS - 6 * 3_600_000)
    await score.fold(desk, [await recorded(desk, FEEDBACK, [answer(3, occurred_at=early)])])
    equal(desk, 3, 4)
    client = ClickHouse(desk.settings)
    assert client.query("SELECT off, reason FROM changes FINAL").rows() == [(3, "delayed")]
    client.close()


async def test_only_the_owner_of_ticks_publishes_and_a_score_is_whole(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, recent(12))])
    await score.fold(desk, [await recorded(desk, FEEDBACK._replace(part=0), recent(8))])
    await score.publish(desk)
    assert desk.publisher.published == 0
    members.mine = {TICKS}
    members.ends = {FEEDBACK: 12, FEEDBACK._replace(part=0): 8}
    await score.publish(desk)
    found = [json.loads(value or b"") for value in await values(desk, "scores")]
    whole = [each for each in found if each["scope"] == {} and each["metric"] == "nps"]
    assert [(each["n"], each["score"]) for each in whole] == [(20, 100.0)]
    assert whole[0]["low"] < 100.0
    assert len(await values(desk, "ticks")) == 1
    client = ClickHouse(desk.settings)
    tables = client.query("SELECT (SELECT count() FROM definitions) AS d, (SELECT count() FROM units) AS u").row(0)
    client.close()
    assert tables == (sum(len(each.scales) for each in read_definitions().every), len(desk.registry.registry.units))


async def test_while_it_catches_up_every_score_says_so_and_how_far_it_is(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, recent(12))])
    members.mine = {TICKS}
    members.ends = {FEEDBACK: 30_012, FEEDBACK._replace(part=0): 0}
    await score.publish(desk)
    found = [json.loads(value or b"") for value in await values(desk, "scores")]
    assert {each["behind"] for each in found} == {30_000}
    client = ClickHouse(desk.settings)
    said = catching_up(client)
    assert said is not None
    assert (said["behind"], said["counted_through"] is not None) == (30_000, True)
    members.ends = {FEEDBACK: 12, FEEDBACK._replace(part=0): 0}
    await score.publish(desk)
    assert catching_up(client) is None
    client.close()


async def test_a_change_of_a_closed_window_is_published_as_a_revision_with_its_reason(bench: Bench) -> None:
    desk, members = bench
    now_ms = time.time_ns() // 1_000_000 // 300_000 * 300_000
    members.ends = {FEEDBACK: 12, FEEDBACK._replace(part=0): 0}

    def said(offset: int, **fields: object) -> Record:
        made = answer(offset, occurred_at=moment(now_ms), submission_id=f"s{offset % 12}", **fields)
        return made._replace(timestamp=now_ms + 1)

    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(offset) for offset in range(12)])])
    await desk.publisher.step(now_ms + 1_000, 1)
    await desk.publisher.step(now_ms + 360_001, 1)
    members.ends[FEEDBACK] = 13
    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(12, revision=1, score=0)])])
    await desk.publisher.step(now_ms + 660_001, 1)  # sees that something has come
    await desk.publisher.step(now_ms + 660_001 + QUIET_MS, 1)  # the next closing: between two it may rest
    found = [json.loads(value or b"") for value in await values(desk, "scores")]
    whole = [each for each in found if each["scope"] == {} and each["metric"] == "nps"]
    assert [(each["revision"], each["final"], each["reason"], each["n"]) for each in whole] == [
        (0, False, None, 12),
        (1, True, None, 12),
        (2, True, "revised", 12),
    ]
    assert whole[2]["score"] < whole[1]["score"]
    client = ClickHouse(desk.settings)
    written = client.query("SELECT window_end, part, count() AS n FROM frontiers GROUP BY ALL ORDER BY ALL")
    changes = client.query("SELECT off, reason, count() AS n FROM changes GROUP BY ALL").rows()
    client.close()
    assert written["part"].to_list() == [0, 1] * (written.height // 2)
    assert written["window_end"].diff().drop_nulls().to_list()[1::2] == [300] * (written.height // 2 - 1)
    assert set(written["n"]) == {1}, "a row a partition and five minutes"
    assert changes == [(12, "revised", 1)], "a row a change"


@pytest.mark.parametrize("reason", ["relabelled", "merged", "erased"])
async def test_a_revision_on_the_topic_names_whatever_reason_was_noted(bench: Bench, reason: str) -> None:
    desk, members = bench
    now_ms = time.time_ns() // 1_000_000 // 300_000 * 300_000
    members.ends = {FEEDBACK: 12, FEEDBACK._replace(part=0): 0}

    def said(offset: int) -> Record:
        return answer(offset, occurred_at=moment(now_ms))._replace(timestamp=now_ms + 1)

    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(offset) for offset in range(12)])])
    await desk.publisher.step(now_ms + 1_000, 1)
    await desk.publisher.step(now_ms + 360_001, 1)
    members.ends[FEEDBACK] = 13
    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(12)])])
    client = ClickHouse(desk.settings)
    client.command(
        "INSERT INTO changes (topic, epoch, part, off, minute, reason, known_ms, ver) "
        "SELECT 'feedback', 1, 1, 3, {minute:UInt32}, {reason:String}, {known:Int64}, 1",
        {"minute": now_ms // 1_000, "reason": reason, "known": now_ms + 600_000},
    )
    client.close()
    await desk.publisher.step(now_ms + 660_001, 1)
    await desk.publisher.step(now_ms + 660_001 + QUIET_MS, 1)
    found = [json.loads(value or b"") for value in await values(desk, "scores")]
    whole = [each for each in found if each["scope"] == {} and each["metric"] == "nps"]
    assert [(each["revision"], each["reason"], each["n"]) for each in whole] == [
        (0, None, 12),
        (1, None, 12),
        (2, reason, 13),
    ]


async def test_between_two_ticks_the_owner_publishes_what_changed_and_nobody_else_does(bench: Bench) -> None:
    desk, members = bench
    members.mine = {TICKS}
    members.ends = {FEEDBACK: 20, FEEDBACK._replace(part=0): 0}
    await score.look(desk)  # no tick yet: nobody knows what time it is
    assert desk.publisher.published == 0
    await score.fold(desk, [await recorded(desk, FEEDBACK, recent(12))])
    await score.publish(desk)
    before = desk.publisher.published
    assert before > 0
    await score.fold(desk, [await recorded(desk, FEEDBACK, late_comers())])
    clock = asyncio.get_running_loop().time
    deadline = clock() + 20
    while desk.publisher.published == before:
        assert clock() < deadline
        await score.look(desk)
        await asyncio.sleep(0)
    found = [json.loads(value or b"") for value in await values(desk, "scores")]
    newest = {each["start"]: each["n"] for each in found if each["scope"] == {} and each["metric"] == "nps"}
    assert sum(newest.values()) == 15
    assert len(await values(desk, "ticks")) == 1
    members.mine = set()
    await score.publish(desk)
    assert desk.broker_ms == 0
    assert desk.publisher._said == {}


def late_comers() -> list[Record]:
    """Three more answers of the present."""
    now_ms = time.time_ns() // 1_000_000
    made = [answer(12 + i, occurred_at=moment(now_ms)) for i in range(3)]
    return [each._replace(timestamp=now_ms + 1) for each in made]


async def test_after_an_outage_longer_than_an_hour_every_window_since_then_is_closed(bench: Bench) -> None:
    """The windows of the outage are empty, and those that were open when it began hold what came; none is left out."""
    desk, members = bench
    now_ms = time.time_ns() // 1_000_000 // 300_000 * 300_000
    members.ends = {FEEDBACK: 1, FEEDBACK._replace(part=0): 0}
    before = answer(0, occurred_at=moment(now_ms - 5 * 3_600_000))._replace(timestamp=now_ms)
    await score.fold(desk, [await recorded(desk, FEEDBACK, [before])])
    began = now_ms - 5 * 3_600_000 + 400_000
    for later in (0, QUIET_MS):
        await desk.publisher.step(began + later, 1)
    desk.publisher.forget()
    for later in (0, QUIET_MS):
        await desk.publisher.step(now_ms + later, 2)
    client = ClickHouse(desk.settings)
    ends = [row[0] for row in client.query("SELECT DISTINCT window_end FROM frontiers ORDER BY window_end").rows()]
    client.close()
    assert ends == list(range(ends[0], now_ms // 1000 + 1, 300))[: len(ends)]
    assert (ends[0], ends[-1]) == (now_ms // 1000 - 6 * 3_600, now_ms // 1000 - 300)


async def test_a_topic_on_which_nothing_ever_came_closes_nothing(bench: Bench) -> None:
    desk, members = bench
    members.ends = {FEEDBACK: 0, FEEDBACK._replace(part=0): 0}
    for later in (0, QUIET_MS, 86_400_000):
        await desk.publisher.step(time.time_ns() // 1_000_000 + later, 1)
    client = ClickHouse(desk.settings)
    assert client.query("SELECT count() AS n FROM frontiers")["n"][0] == 0
    client.close()


def recent(count: int) -> list[Record]:
    """Answers of the broker's present, so that their window is one that is published."""
    now_ms = time.time_ns() // 1_000_000
    made = [answer(offset, occurred_at=moment(now_ms)) for offset in range(count)]
    return [each._replace(timestamp=now_ms + 1) for each in made]


async def values(desk: Desk, topic: str) -> list[bytes | None]:
    broker, prefix = desk.settings.bootstrap_servers, desk.settings.topic_prefix
    return [each.value for each in await asyncio.to_thread(evidence.read_log, broker, prefix, (topic,))]


async def test_a_request_to_rebuild_is_carried_out_by_the_owner_and_marked_done(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    client = ClickHouse(desk.settings)
    client.command("ALTER TABLE windows DELETE WHERE cut = 'core'", settings={"mutations_sync": 2})
    requests.ask(client, FEEDBACK, "rebuild")
    requests.ask(client, Partition("history", 0), "rebuild")  # not ours: left for its owner
    await score.carry_out(desk)
    equal(desk, 4, 2)
    assert [row["topic"] for row in requests.waiting(client, ["rebuild"]).iter_rows(named=True)] == ["history"]
    client.close()


async def test_a_release_is_kept_so_that_the_next_owner_does_not_pause_the_partition_again(bench: Bench) -> None:
    desk, members = bench
    bad = [records.record(offset, b"{") for offset in range(200)]
    await recorded(desk, FEEDBACK, bad)
    assert members.paused == {FEEDBACK}
    client = ClickHouse(desk.settings)
    await asyncio.to_thread(partial(requests.ask, client, FEEDBACK, "release"))
    await score.carry_out(desk)
    assert members.paused == set()
    other, next_one = desk_of(desk.settings)
    next_one.present = 2
    piece = await accepted(other, FEEDBACK, [*bad, *answers(3, first=200)])
    assert (piece.lo, piece.hi) == (200, 202)
    assert next_one.paused == set()
    await closed(other)
    client.close()
