"""The watchdog on a real desk: it sees what is stuck, and lets outages, pauses, rebalances and markers pass."""

from __future__ import annotations

import asyncio
import time

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


async def looked(desk: Desk, first: float, last: float, step: float = 20.0) -> list[str]:
    """What is said from `first` to `last` seconds, looked at often enough."""
    count = int((last - first) // step)
    return [await desk.watchdog.look(desk.pool, first + step * number) for number in range(count + 1)]


async def waiting(desk: Desk, members: Members) -> None:
    """A partition whose slice got lost before the ledger, and a first look that knows the group."""
    await accepted(desk, FEEDBACK, answers(5))
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 5}
    await looked(desk, 0.0, 0.0)


async def test_a_lost_slice_is_said_after_the_limit_in_words_and_on_readyz(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    *before, after = await looked(desk, 1.0, 1.0 + LIMIT_S)
    assert before == [""] * 6
    assert after == "records wait and nothing moves for 120 s: feedback[1]"
    assert desk.health._checks["progress"]() == after


async def test_a_slice_lost_between_ledger_and_windows_is_seen_without_any_lag(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    await recorded(desk, FEEDBACK, answers(5, first=5))
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 10}
    assert (await looked(desk, 0.0, LIMIT_S + 40.0))[-1] != ""


async def test_a_partition_at_rest_is_left_alone(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 5}
    assert set(await looked(desk, 0.0, 1_000.0)) == {""}


async def test_markers_of_transactions_at_the_end_of_the_log_are_no_records_that_wait(bench: Bench) -> None:
    desk, members = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, answers(5))])
    members.mine, members.ends = {FEEDBACK}, {FEEDBACK: 6}
    members.markers = {FEEDBACK}
    assert set(await looked(desk, 0.0, 1_000.0)) == {""}
    members.markers, members.ends = set(), {FEEDBACK: 7}
    assert (await looked(desk, 1_001.0, 1_001.0))[-1] != ""


async def test_a_database_that_does_not_answer_is_no_fault_of_the_worker(bench: Bench, settings: Settings) -> None:
    desk, members = bench
    await waiting(desk, members)
    desk.watchdog._settings = settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    assert set(await looked(desk, 1.0, 121.0)) == {""}
    desk.watchdog._settings = settings
    found = await looked(desk, 141.0, 281.0)
    assert found[:6] == [""] * 6  # the count began anew
    assert found[-1] != ""


async def test_calls_that_were_in_vain_or_still_wait_excuse_the_pause(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    await looked(desk, 1.0, 101.0)
    with pytest.raises(Unavailable):
        await desk.pool.query("SELECT * FROM no_such_table")
    assert await looked(desk, 121.0, 221.0) == [""] * 6
    desk.writer.retries += 1
    assert await looked(desk, 241.0, 341.0) == [""] * 6
    ahead = time.monotonic() + 1_000.0  # so that a call of now is older than any of these looks
    assert await looked(desk, ahead, ahead + 100.0) == [""] * 6
    slow = asyncio.create_task(desk.pool.query("SELECT sleep(3)"))
    await asyncio.sleep(0)
    assert desk.pool.oldest() is not None
    assert await looked(desk, ahead + 120.0, ahead + 140.0) == ["", ""]
    await slow
    assert desk.pool.oldest() is None


async def test_pauses_and_rebalances_are_not_standing_still(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    held = desk.custody.holdings()[FEEDBACK]
    held.paused = "200 bad events in a row"
    assert set(await looked(desk, 1.0, 201.0)) == {""}
    held.paused = ""
    assert set(await looked(desk, 221.0, 321.0)) == {""}
    members.present += 1
    assert await looked(desk, 341.0, 441.0) == [""] * 6


async def test_a_look_that_itself_had_to_wait_says_nothing(bench: Bench) -> None:
    desk, members = bench
    await waiting(desk, members)
    assert set(await looked(desk, 1.0, 2_001.0, step=100.0)) == {""}


async def test_a_partition_that_never_comes_into_our_hands_is_seen(bench: Bench) -> None:
    desk, members = bench
    members.mine, members.ends = {Partition("feedback", 0)}, {Partition("feedback", 0): 3}
    assert (await looked(desk, 0.0, LIMIT_S + 40.0))[-1].endswith("feedback[0]")


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
