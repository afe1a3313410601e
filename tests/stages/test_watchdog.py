"""The watchdog on a real desk: it sees what is stuck, and lets outages, pauses, rebalances and markers pass."""

from __future__ import annotations

import asyncio

import pytest

from agents import score
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.desk import Desk
from pipeline.errors import Unavailable
from pipeline.settings import Settings
from pipeline.slices import Partition
from tests.stages.flow import accepted, recorded
from tests.stages.records import FEEDBACK, answers
from tests.stages.test_score import Bench
from tests.stages.worker import Members

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

LIMIT_S = 120.0


async def looked(desk: Desk, *moments: float) -> list[str]:
    return [await desk.watchdog.look(desk.pool, moment) for moment in moments]


async def waiting(desk: Desk, members: Members) -> None:
    """A partition whose slice got lost before the ledger, and a first look that knows the group."""
    await accepted(desk, FEEDBACK, answers(5))
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 5}
    await looked(desk, 0.0)


async def test_a_lost_slice_is_said_after_the_limit_in_words_and_on_readyz(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    first, before, after = await looked(desk, 1.0, LIMIT_S, LIMIT_S + 1.0)
    assert (first, before) == ("", "")
    assert after == "records wait and nothing moves for 120 s: feedback[1]"
    assert desk.health._checks["progress"]() == after


async def test_a_slice_lost_between_ledger_and_windows_is_seen_without_any_lag(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    await recorded(desk, FEEDBACK, answers(5, first=5))
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 10}
    assert (await looked(desk, 0.0, 1.0, LIMIT_S + 2.0))[-1] != ""


async def test_a_partition_at_rest_is_left_alone(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 5}
    assert await looked(desk, 0.0, 1.0, 1_000.0, 2_000.0) == [""] * 4


async def test_markers_of_transactions_at_the_end_of_the_log_are_no_records_that_wait(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 6}
    members.markers = {FEEDBACK}
    assert await looked(desk, 0.0, 1.0, 1_000.0, 2_000.0) == [""] * 4
    members.markers, members.ends = set(), {FEEDBACK: 7}
    assert (await looked(desk, 2_001.0))[-1] != ""


async def test_a_database_that_does_not_answer_is_no_fault_of_the_worker(bench: Bench, settings: Settings) -> None:
    desk, members = bench
    await waiting(desk, members)
    desk.watchdog._settings = settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    assert await looked(desk, 1.0, 500.0, 1_000.0) == [""] * 3
    desk.watchdog._settings = settings
    assert await looked(desk, 1_001.0, 1_100.0) == [""] * 2  # and the count began anew
    assert (await looked(desk, 1_122.0))[-1] != ""


async def test_calls_that_were_in_vain_or_still_wait_excuse_the_pause(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    await looked(desk, 1.0)
    with pytest.raises(Unavailable):
        await desk.pool.query("SELECT * FROM no_such_table")
    assert (await looked(desk, 200.0))[-1] == ""
    desk.writer.retries += 1
    assert (await looked(desk, 400.0))[-1] == ""
    began = asyncio.get_running_loop().time()
    slow = asyncio.create_task(desk.pool.query("SELECT sleep(2)"))
    await asyncio.sleep(0)
    assert desk.pool.oldest() is not None
    assert await looked(desk, began + 1_000.0, began + 2_000.0) == ["", ""]
    await slow
    assert desk.pool.oldest() is None


async def test_pauses_and_rebalances_are_not_standing_still(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    held = desk.custody.holdings()[FEEDBACK]
    held.paused = "200 bad events in a row"
    assert await looked(desk, 1.0, 500.0) == ["", ""]
    held.paused = ""
    await looked(desk, 501.0)
    members.present += 1
    assert (await looked(desk, 700.0))[-1] == ""


async def test_a_partition_that_never_comes_into_our_hands_is_seen(bench: Bench) -> None:
    desk, members = bench
    members.mine, members.ends = {Partition("feedback", 0)}, {Partition("feedback", 0): 3}
    assert (await looked(desk, 0.0, 1.0, LIMIT_S + 1.0))[-1].endswith("feedback[0]")


def test_a_pool_forgets_calls_that_ended(settings: Settings) -> None:
    async def go() -> tuple[float | None, int]:
        pool = Pool(settings)
        await pool.call(lambda client: client.query("SELECT 1"))
        with pytest.raises(Unavailable):
            await pool.call(_fail)
        found = pool.oldest(), pool.failures
        pool.close()
        return found

    assert asyncio.run(go()) == (None, 1)


def _fail(client: ClickHouse) -> None:
    raise Unavailable("made up")
