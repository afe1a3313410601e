"""What producers send that is no event, or is one twice: dropped with a reason, and nothing else suffers."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.customers.registry import MOST_NAMES
from tests.chaos import probe
from tests.chaos.generator import Event
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: A bad event must not hold up its neighbours for longer, seconds.
PROGRESS_S = 5.0
#: Broken on purpose: what a deploy gone wrong sends.
POISON = b'{"event_id": "x", "score": "nine"'


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def warmed(case: Case) -> None:
    """Every partition of `feedback` is taken over and flows."""
    for part in range(case.partitions):
        probe.send(case, [feedback(unique("warm"), now_ms())], part)
    case.settle()


def test_values_that_cannot_be_decoded_are_dead_letters_and_their_neighbours_count(case: Case) -> None:
    """T9."""
    case.worker("one")
    warmed(case)
    probe.allow(case, "feedback", 4_000_000)
    bad = {b"\xff": "not_utf8", b"{": "not_json", b"": "empty", b"[" + b" " * 2_000_000 + b"]": "too_large"}
    events: list[Event] = []
    for value in bad:
        events += [feedback(unique("good"), now_ms()), Event("feedback", b"customer-1", value)]
    events.append(feedback(unique("good"), now_ms()))
    places = probe.send(case, events, part=1)
    began = time.monotonic()
    eventually(lambda: set(places) <= set(probe.ledger(case)), f"all are recorded\n{case.words()}", 30)
    assert time.monotonic() - began < PROGRESS_S
    rows = probe.ledger(case)
    found = [(rows[place]["disposition"], rows[place]["reason"]) for place in places]
    good = ("aggregated", "")
    reasons = [("dead_letter", reason) for reason in bad.values()]
    assert [found[index] for index in range(0, len(found), 2)] == [good] * 5
    assert [found[index] for index in range(1, len(found), 2)] == reasons
    case.verify()
    sealed = case.rows("SELECT off, length(sealed) AS size FROM sealed FINAL")
    assert max(row["size"] for row in sealed) > 2_000_000
    said = [json.loads(value)["reason"] for _, value in probe.records(case, "rejected")]
    assert sorted(said) == sorted(bad.values())


def test_a_partition_of_nothing_but_poison_stands_still_until_an_operator_releases_it(case: Case) -> None:
    """T10."""
    worker = case.worker("one")
    warmed(case)
    probe.send(case, [Event("feedback", b"k", POISON)] * 300, part=2)
    eventually(lambda: worker.page("/readyz")[0] == 503, f"not ready\n{case.words()}", 30)
    assert (
        "[-]breaker paused, see `touchline release`: feedback[2]: 200 invalid events in a row"
        in (worker.page("/readyz")[1])
    )
    assert worker.page("/livez")[0] == 200
    assert worker.metric("touchline_breaker_open") == 1
    eventually(lambda: case.positions()["feedback", 2] == 200, "200 dead letters after the good one", 20)
    others = probe.send(case, [feedback(unique("good"), now_ms())] * 3, part=3)
    eventually(lambda: set(others) <= set(probe.ledger(case)), "the other partitions go on", 20)
    eventually(lambda: probe.committed(case).get(("feedback", 2)) == 201, "the commit follows", 20)
    assert case.positions()["feedback", 2] == 200
    released = case.command("release", "--topic", "feedback", "--partition", "2")
    assert released.returncode == 0, released.stderr
    probe.send(case, [feedback(unique("good"), now_ms()) for _ in range(900)], part=2)
    found = case.verify()
    assert found.dispositions["dead_letter"] == 300
    eventually(lambda: worker.page("/readyz")[0] == 200, "ready again", 20)
    assert worker.metric("touchline_breaker_open") == 0


def test_what_was_released_stays_released_over_a_restart_and_what_was_not_stays_paused(case: Case) -> None:
    """T10, and kill -9 before and after the release."""
    worker = case.worker("one")
    warmed(case)
    probe.send(case, [Event("feedback", b"k", POISON)] * 200, part=0)
    last = probe.send(case, [feedback(unique("good"), now_ms())], part=0)[0]
    eventually(lambda: worker.page("/readyz")[0] == 503, f"not ready\n{case.words()}", 30)
    eventually(lambda: case.positions()["feedback", 0] == 200, "200 dead letters after the good one", 20)
    worker.kill()
    worker = case.worker("two")
    eventually(lambda: worker.metric("touchline_breaker_open") == 1, f"paused again\n{case.words()}", 40)
    assert last not in probe.ledger(case)
    assert case.command("release", "--topic", "feedback", "--partition", "0").returncode == 0
    eventually(lambda: last in probe.ledger(case), f"released\n{case.words()}", 30)
    worker.kill()
    worker = case.worker("three")
    probe.send(case, [feedback(unique("good"), now_ms())], part=0)
    case.verify()
    assert worker.page("/readyz")[0] == 200


def test_tombstones_empty_keys_and_giant_keys_stop_nobody(case: Case) -> None:
    """T11."""
    worker = case.worker("one")
    warmed(case)
    key = b"k" * 1_000_000
    good = feedback(unique("good"), now_ms())
    events = [
        Event("feedback", b"customer-1", None),
        Event("feedback", b"", None),
        Event("feedback", b"", feedback(unique("empty-key"), now_ms()).value),
        Event("feedback", key, None),
        Event("feedback", key, feedback(unique("giant-key"), now_ms()).value),
        Event("feedback", key, b"{"),
        good,
    ]
    places = probe.send(case, events, part=1)
    found = case.verify()
    rows = probe.ledger(case)
    tombstone, counted = ("ignored", "tombstone"), ("aggregated", "")
    expected = [tombstone, tombstone, counted, tombstone, counted, ("dead_letter", "not_json"), counted]
    assert [(rows[place]["disposition"], rows[place]["reason"]) for place in places] == expected
    assert found.dispositions["ignored"] == 3
    assert worker.running


def test_thousands_of_touchpoints_and_brands_stop_nobody_and_count_as_the_ledger_says(case: Case) -> None:
    """Names that a producer makes up for each event, as a link with an order's number in it does."""
    worker = case.worker("one", NAMES_KEPT="2000")
    now = now_ms()
    case.produce(
        [
            feedback(
                unique("made-up"),
                now,
                f"customer-{number % 40}",
                touchpoint=f"page-{number % 3_000}",
                brand=f"b{number}",
            )
            for number in range(5_000)
        ]
    )
    case.verify()
    assert worker.running
    audit = case.here("audit")
    assert audit.exit_code == 0, audit.output
    (kept,) = case.rows("SELECT uniqExact(touchpoint) AS touchpoints, uniqExact(brand) AS brands FROM windows")
    assert kept == {"touchpoints": 2_002, "brands": 2_001}, "and `other`; cuts of a brand name no touchpoint"
    (ledger,) = case.rows(
        """SELECT uniqExact(touchpoint) AS touchpoints, uniqExact(brand) AS brands, sum(bitTest(others, 0)) AS others
        FROM ledger"""
    )
    assert ledger == {"touchpoints": 3_000, "brands": 5_000, "others": 3_000}
    assert worker.metric("touchline_other_names_total") >= 3_000
    eventually(lambda: worker.said("too many names"), "the worker says that names have no place", 20)
    named = worker.log.read_text().count("touchpoint not in the registry")
    assert named == MOST_NAMES, "of unknown touchpoints the first are named, each once"


def test_events_that_a_producer_sent_again_over_cut_connections_count_once(case: Case) -> None:
    """T22."""
    case.worker("one")
    sent = asyncio.run(_sent_over_cuts(case))
    found = case.verify()
    assert found.dispositions["aggregated"] == sent
    assert found.reasons["same_event"] == found.offsets - sent > 0


async def _sent_over_cuts(case: Case) -> int:
    """Sends until cut connections made doubles: how many different events; each was acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=case.direct_bootstrap, acks="all", enable_idempotence=False, retry_backoff_ms=50
    )
    await producer.start()
    number = 0
    try:
        for _ in range(60):
            futures = []
            for _ in range(100):
                event = feedback(f"retry-{number}", now_ms(), customer=f"customer-{number % 50}")
                futures.append(await producer.send(case.prefix + "feedback", value=event.value, key=event.key))
                number += 1
            await _cut(producer)
            await asyncio.gather(*futures)
            if await asyncio.to_thread(_logged, case) >= number + 3:
                return number
        raise AssertionError(f"{number} sends over 60 cuts made no double")
    finally:
        await producer.stop()


async def _cut(producer: AIOKafkaProducer) -> None:
    """Closes every connection once a request is on its way: its answer finds nobody."""
    connections = list(producer.client._conns.values())
    deadline = time.monotonic() + 2
    while not any(connection._requests for connection in connections) and time.monotonic() < deadline:
        await asyncio.sleep(0)
        connections = list(producer.client._conns.values())
    for connection in connections:
        if connection.connected():
            connection._writer.close()


def _logged(case: Case) -> int:
    return sum(bounds.hi - bounds.lo + 1 for bounds in case.log_bounds().values())


def test_the_first_event_of_an_id_wins_and_another_payload_is_a_conflict(case: Case) -> None:
    """T23, and C10: a thousand times more over the kill of a worker."""
    worker = case.worker("one")
    warmed(case)
    event, again = unique("same"), unique("again")
    at_ms = now_ms()
    first = feedback(event, at_ms, score=9)
    places = probe.send(
        case,
        [
            first,
            feedback(event, at_ms, score=2),
            first,
            feedback(again, at_ms, score=11),
            feedback(again, at_ms, score=10),
        ],
        part=3,
    )
    case.settle()
    probe.send(case, [first] * 500, part=3)
    worker.kill()
    case.worker("two")
    places += probe.send(case, [first, feedback(event, at_ms, score=3)], part=3)
    probe.send(case, [first] * 500, part=3)
    found = case.verify()
    rows = probe.ledger(case, "disposition, reason, answer")
    assert [(rows[place]["disposition"], rows[place]["reason"]) for place in places] == [
        ("aggregated", ""),
        ("duplicate", "conflict"),
        ("duplicate", "same_event"),
        ("dead_letter", "out_of_range"),  # a dead letter keeps no id: what comes right later counts
        ("aggregated", ""),
        ("duplicate", "same_event"),
        ("duplicate", "conflict"),
    ]
    assert rows[places[0]]["answer"] == 9
    assert (found.reasons["conflict"], found.reasons["same_event"]) == (2, 1_002)
