"""Workers that are killed, ended, frozen and that crash while events flow.

Every offset ends once, and the windows are the oracle's.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.generator import Event, Generator
from tests.chaos.harness import SESSION_S, Case
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Events a second: a slice is in flight nearly always.
RATE = 1_000
#: A worker whose label step raises at an event of the product "crash".
CRASHING = str(Path(__file__).with_name("crashing_worker.py"))
#: A worker that loses every slice before the ledger.
STUCK = str(Path(__file__).with_name("stuck_worker.py"))
EVERYTHING = {"aggregated", "late", "duplicate", "dead_letter", "ignored"}


#: Who is killed, one blow after the other: either worker, or both at once. Eight kills, and thirty.
SHORT = ("0", "1", "01", "1", "0", "01")
LONG = ("0", "1", "01", "1", "0", "0", "1", "01", "01", "1", "0", "1") * 2


def members(case: Case) -> int:
    """Members of the consumer group, as the broker counts them."""

    async def go() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=case.bootstrap)
        await admin.start()
        try:
            (answer,) = await admin.describe_consumer_groups([case.group])
            return len(answer.to_object()["groups"][0]["members"])
        finally:
            await admin.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    "blows", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="full", marks=pytest.mark.prove)]
)
def test_two_workers_killed_again_and_again_lose_nothing_and_count_nothing_twice(
    case: Case, blows: Sequence[str]
) -> None:
    """T1. Whoever is killed holds records at that moment: its successor must have taken partitions over before."""
    dice = random.Random(1)
    workers = {name: case.worker(name) for name in "01"}
    with case.feed(RATE, seed=1):
        for blow in blows:
            case.in_flight(*(workers[name] for name in blow))
            if blows is LONG:
                time.sleep(dice.uniform(0.1, 8.0))
                case.in_flight(*(workers[name] for name in blow))
            for name in blow:
                workers[name].send(signal.SIGKILL)
            for name in blow:
                assert workers[name].ended(10) == 137
                workers[name] = case.worker(name)
    found = case.verify(deadline_s=60)
    assert found.dispositions.keys() >= EVERYTHING
    assert found.reasons.keys() >= {"delayed", "revised", "superseded", "same_event", "conflict", "tombstone"}


def test_a_worker_that_is_asked_to_end_in_mid_slice_ends_cleanly_and_soon(case: Case) -> None:
    """T2."""
    worker = case.worker("0")
    with case.feed(RATE, seed=2):
        case.flowing(1)
        case.in_flight()
        code, seconds = worker.terminate(deadline_s=15)
    assert (code, seconds < 15) == (0, True)
    assert case.lag() > 0
    case.worker("1")
    case.verify()


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(SESSION_S + 3, id="short"), pytest.param(25, id="full", marks=pytest.mark.prove)],
)
def test_a_worker_frozen_for_longer_than_its_session_writes_nothing_when_it_wakes(case: Case, seconds: int) -> None:
    """T4."""
    frozen = case.worker("0")
    with case.feed(RATE, seed=4):
        case.flowing(1)
        other = case.worker("1")
        eventually(lambda: other.said("worker serves"), "the second worker serves")
        case.flowing(RATE)
        case.in_flight()
        frozen.freeze()
        time.sleep(seconds)
        case.flowing(RATE)  # the other one has taken everything over
        frozen.thaw()
        eventually(lambda: frozen.said("stood still"), "the guard notices", 15)
        case.flowing(RATE)
    case.verify()
    assert frozen.running
    assert other.running


def test_an_event_that_stops_the_worker_three_times_becomes_a_dead_letter(case: Case) -> None:
    """T6: nothing is let go by a crash, and the events around it are counted."""
    generator = Generator(6, bad=0.0, history=0.0)
    now_ms = time.time_ns() // 1_000_000
    events = [generator.next(now_ms)._replace(key=b"customer-1") for _ in range(24)]
    good = next(event for event in events if event.topic == "feedback" and event.value)
    fatal = Event(
        "feedback", good.key, (good.value or b"").replace(b'"event_id": "', b'"product": "crash", "event_id": "x')
    )
    case.produce([*events[:12], fatal, *events[12:]])
    codes: list[int] = []
    while len(codes) < 6:
        worker = case.worker("0", (CRASHING,))
        eventually(lambda worker=worker: not worker.running or not case.unsettled(), "crash or end")  # type: ignore[misc]
        if worker.running:
            break
        codes.append(worker.ended())
        assert members(case) == 0, "the next start need not wait until the session of this one is over"
        assert case.lag() > 0
    assert codes == [70, 70, 70]
    place = next(r.place for r in case.expected() if r.fact and r.fact.event_id.startswith("x"))
    case.known[place] = ("dead_letter", "crash_loop")
    case.verify()


@pytest.mark.prove  # a loaded machine excuses it for long; tests/stages/test_watchdog.py is certain
def test_a_worker_whose_slices_get_lost_says_so_ends_itself_and_the_next_start_goes_on(case: Case) -> None:
    worker = case.worker("0", (STUCK,), STUCK_AFTER_S="20")
    case.feed(RATE, seed=27).start(500).join()
    assert worker.ended(deadline_s=120) == 70
    assert worker.said("nothing moves; the worker ends itself if that stays so")
    assert worker.said("records wait and nothing moves for")
    assert case.recorded() == 0
    after = case.worker("0", STUCK_AFTER_S="20")
    case.verify()
    assert after.running
