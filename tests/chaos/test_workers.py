"""Workers that are killed, ended, frozen and that crash while events flow.

Every offset ends once, and the windows are the oracle's.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.chaos.generator import Event, Generator
from tests.chaos.harness import SESSION_S, Case, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Events a second: a slice is in flight nearly always.
RATE = 1_000
#: A worker whose label step raises at an event of the product "crash".
CRASHING = str(Path(__file__).with_name("crashing_worker.py"))
#: A worker that loses every slice before the ledger.
STUCK = str(Path(__file__).with_name("stuck_worker.py"))
EVERYTHING = {"aggregated", "late", "duplicate", "dead_letter", "ignored"}


@pytest.mark.parametrize("kills", [pytest.param(8, id="short"), pytest.param(30, id="full", marks=pytest.mark.prove)])
def test_two_workers_killed_again_and_again_lose_nothing_and_count_nothing_twice(case: Case, kills: int) -> None:
    """T1."""
    dice = random.Random(1)
    workers = [case.worker("0"), case.worker("1")]
    with case.feed(RATE, seed=1):
        case.flowing(1)
        for number in range(kills):
            # The full length is 0.1-8 s; most of the short ones are as short as the shortest of these.
            time.sleep(dice.uniform(0.1, 8.0) / (1 if kills > 8 else 3))
            case.in_flight()
            workers[number % 2].kill()
            workers[number % 2] = case.worker(str(number % 2))
    found = case.verify(deadline_s=60)
    assert found.dispositions.keys() >= EVERYTHING
    assert found.reasons.keys() >= {"delayed", "revised", "superseded", "same_event", "conflict", "tombstone"}


def test_a_worker_that_is_asked_to_end_in_mid_slice_ends_cleanly_and_soon(case: Case) -> None:
    """T2."""
    worker = case.worker("0")
    with case.feed(RATE, seed=2):
        case.flowing(1)
        case.in_flight(100)
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
        case.in_flight(100)
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
