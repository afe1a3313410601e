"""Old days are kept by the hour: the same digits before and after, whoever is late, wherever it is broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from agents import score
from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.ledger.rebuild import compare, rebuild
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part, differing, fingerprints
from pipeline.scores.rolling import Days, clear, leftovers, mark, rolled_days, write_hours
from pipeline.slices import Partition, Record
from tests.chaos.generator import moment
from tests.stages.flow import recorded
from tests.stages.records import FEEDBACK, NOW_MS, answer
from tests.stages.test_score import Bench

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

DAY_MS = 86_400_000
HISTORY = Partition("history", 1)
#: Ten days before the first record, at the start of a UTC day.
THEN_MS = (NOW_MS // DAY_MS - 10) * DAY_MS
SPAN = (THEN_MS // 1000, NOW_MS // 3_600_000 * 3_600 + 7_200)
#: Every six hours and a bit, over ten days.
EVENTS = 40
OLD = tuple(range(THEN_MS // DAY_MS, NOW_MS // DAY_MS - 7))


def told(offset: int, ms: int, **fields: Any) -> Record:
    return answer(offset, occurred_at=moment(ms), **fields)


def imported(first: int = 0, count: int = EVENTS) -> list[Record]:
    """Answers of ten days, in one or the other channel, not on whole hours."""
    return [
        told(off, THEN_MS + (off - first) * 22_111_000, score=off % 11, channel=("web", "app")[off % 2])
        for off in range(first, first + count)
    ]


def readings(client: ClickHouse) -> Iterator[pl.DataFrame]:
    """Wide and narrow windows over the seam, whole hours and not, by cuts and by a crossing of them."""
    first, last = SPAN
    yield read_scores(client, Question("nps", first, last, 3_600, ("channel",)))
    yield read_scores(client, Question("nps", first, last, 86_400))
    yield read_scores(client, Question("nps", first, last))
    yield read_scores(client, Question("nps", first, last, 300))
    yield read_scores(client, Question("nps", first + 60, last, 5_400, ("touchpoint",)))
    yield read_scores(client, Question("nps", first, last, 3_600, ("stage",), {"channel": ("web",)}))
    yield read_scores(client, Question("nps", first, last, 7_200, step_s=3_600))
    yield read_scores(client, Question("nps", first, last, edges=(first, first + 7_200, first + 9_060, last)))
    yield client.query("SELECT sumForEach(histogram) AS h FROM scores_1m WHERE cut = 'core' AND metric = 'nps'")


def minutes(client: ClickHouse) -> list[int]:
    """Days of the history partition that have minutes."""
    rows = client.query(
        "SELECT DISTINCT intDiv(minute, 86400) AS day FROM windows WHERE topic = 'history' ORDER BY day"
    )
    return rows["day"].to_list() if rows.width else []


def held(client: ClickHouse, up_to: int) -> None:
    """Both tables together are what the ledger says, also as the audit looks."""
    where = Part(HISTORY.topic, 1, HISTORY.part, up_to, rolled_days(client, HISTORY.topic, 1, HISTORY.part))
    assert compare(client, where, 0).equal
    assert differing(client, where) == []
    (row,) = fingerprints(client, HISTORY.topic, 1, {HISTORY.part: up_to}).iter_rows(named=True)
    assert (row["n"], row["print"]) == (row["n_"], row["print_"])


async def loaded(desk: Desk, records: list[Record]) -> None:
    await score.fold(desk, [await recorded(desk, HISTORY, records)])


async def rolled(desk: Desk) -> None:
    """Twice, since an import is rolled only after it stood still between two looks."""
    desk.broker_ms = NOW_MS
    await score.rolled(desk)
    await score.rolled(desk)


async def test_where_nothing_has_come_yet_no_day_is_old(bench: Bench) -> None:
    desk, _ = bench
    assert desk.broker_ms == 0
    await score.rolled(desk)
    assert desk.roller.days == 0


async def test_old_days_are_read_with_the_same_digits_before_and_after_they_are_kept_by_the_hour(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    client = ClickHouse(desk.settings)
    before = list(readings(client))
    assert before[1].height == 10
    assert sum(before[3]["n"]) == EVENTS
    days = minutes(client)
    desk.broker_ms = NOW_MS
    await score.rolled(desk)
    assert minutes(client) == days  # an import may go on
    await score.rolled(desk)
    assert minutes(client) == [day for day in days if day not in OLD]
    assert rolled_days(client, HISTORY.topic, 1, HISTORY.part) == set(OLD)
    assert desk.roller.days == len(OLD)
    for one, other in zip(before, readings(client), strict=True):
        assert one.equals(other)
    held(client, EVENTS - 1)
    client.close()


async def test_the_rows_of_hours_are_fewer_and_say_their_width(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, [told(off, THEN_MS + off * 60_000) for off in range(120)])
    await rolled(desk)
    client = ClickHouse(desk.settings)
    rows = client.query("SELECT minute, seconds, b9 FROM windows_kept WHERE cut = 'core' ORDER BY minute").rows()
    client.close()
    assert rows == [(THEN_MS // 1000, 3_600, 60), (THEN_MS // 1000 + 3_600, 3_600, 60)]


async def test_what_comes_later_finds_its_hour_rewritten_and_no_minute(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    await rolled(desk)
    await loaded(desk, imported(EVENTS, 7))
    client = ClickHouse(desk.settings)
    assert not set(minutes(client)) & set(OLD)
    held(client, EVENTS + 6)
    question = Question("nps", *SPAN)
    assert read_scores(client, question)["n"].to_list() == [EVENTS + 7]
    client.close()


async def test_a_next_owner_takes_over_what_is_kept_by_the_hour(bench: Bench) -> None:
    desk, _ = bench
    old = [told(off, THEN_MS + off * 60_000) for off in range(90)]
    await loaded(desk, old)
    await rolled(desk)
    piece = await recorded(desk, HISTORY, [told(90, THEN_MS + 61_000), told(91, THEN_MS + 5 * 60_000)])
    await desk.keeper.rewind([HISTORY])  # it dies before the fold
    await loaded(desk, [told(92, THEN_MS + 200 * 60_000)])
    client = ClickHouse(desk.settings)
    assert piece.hi == 91
    assert minutes(client) == []
    held(client, 92)
    client.close()


async def test_hours_of_a_roll_up_that_broke_off_count_for_nobody_and_are_made_again(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    client = ClickHouse(desk.settings)
    before = list(readings(client))
    assert write_hours(client, Days(HISTORY.topic, 1, HISTORY.part, OLD), 1, 1)
    for one, other in zip(before, readings(client), strict=True):
        assert one.equals(other)
    await loaded(desk, imported(EVENTS, 7))  # into minutes, while older sums of them lie in the table of hours
    await rolled(desk)
    held(client, EVENTS + 6)
    client.close()


async def test_minutes_that_were_not_removed_any_more_count_once_and_go_at_the_next_look(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    client = ClickHouse(desk.settings)
    before = list(readings(client))
    days = Days(HISTORY.topic, 1, HISTORY.part, OLD)
    assert write_hours(client, days, 1, 1)
    mark(client, days, 1, cleared=False)
    assert set(OLD) <= set(minutes(client))
    for one, other in zip(before, readings(client), strict=True):
        assert one.equals(other)
    assert leftovers(client, HISTORY.topic, 1) == {}
    await rolled(desk)
    assert not set(minutes(client)) & set(OLD)
    held(client, EVENTS - 1)
    client.close()


async def test_a_minute_that_a_late_worker_wrote_under_an_hour_counts_nowhere_and_is_noticed(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    client = ClickHouse(desk.settings)
    row = client.query("SELECT * EXCEPT (version) FROM windows WHERE topic = 'history' ORDER BY minute LIMIT 1")
    await rolled(desk)
    before = list(readings(client))
    client.insert("windows", row)
    for one, other in zip(before, readings(client), strict=True):
        assert one.equals(other)
    assert leftovers(client, HISTORY.topic, 1) == {HISTORY.part: 1}
    done = rebuild(client, Part(HISTORY.topic, 1, HISTORY.part, EVENTS - 1, frozenset(OLD)))
    assert done.equal
    assert leftovers(client, HISTORY.topic, 1) == {}
    client.close()


async def test_days_that_a_former_owner_rolled_too_late_are_made_again_by_the_present_one(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    client = ClickHouse(desk.settings)
    days = Days(HISTORY.topic, 1, HISTORY.part, OLD)
    assert write_hours(client, days, 1, 1)
    await loaded(desk, imported(EVENTS, 7))
    mark(client, days, 1, cleared=False)  # it lay frozen between the two
    (row,) = fingerprints(client, HISTORY.topic, 1, {HISTORY.part: EVENTS + 6}).iter_rows(named=True)
    assert row["print"] != row["print_"]  # and the audit says so until somebody looks
    await rolled(desk)
    held(client, EVENTS + 6)
    client.close()


async def test_a_day_of_a_live_topic_is_rolled_at_the_first_look_and_only_by_who_holds_it(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [told(off, THEN_MS + off * 1_000) for off in range(5)])])
    client = ClickHouse(desk.settings)
    desk.broker_ms = NOW_MS
    desk.custody.forget(FEEDBACK)
    await score.rolled(desk)
    assert rolled_days(client, FEEDBACK.topic, 1, FEEDBACK.part) == set()
    await score.fold(desk, [await recorded(desk, FEEDBACK, [told(5, THEN_MS + 5_000)])])
    await score.rolled(desk)
    assert rolled_days(client, FEEDBACK.topic, 1, FEEDBACK.part) == {OLD[0]}
    assert client.query("SELECT sum(b9) AS n FROM windows_1h FINAL WHERE cut = 'core'")["n"].to_list() == [6]
    client.close()


async def test_clearing_twice_is_clearing_once(bench: Bench) -> None:
    desk, _ = bench
    await loaded(desk, imported())
    await rolled(desk)
    client = ClickHouse(desk.settings)
    await asyncio.to_thread(clear, client, Days(HISTORY.topic, 1, HISTORY.part, OLD), 1)
    held(client, EVENTS - 1)
    client.close()
