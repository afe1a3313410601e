"""ClickHouse says no: for a while (T14), or to one row for ever (T15). Waiting is calm, and one row costs one row."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stack.launch import Stack
from tests.chaos import evidence, probe
from tests.chaos.faulty_clickhouse import FaultyClickHouse, Try
from tests.chaos.harness import Case, deployed
from tests.chaos.probe import feedback, unique
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: How long each refusal lasts, seconds; the first of them are spent on the first, shorter waits.
REFUSED_S, STEADY_S = 9.0, 5.0
#: What asks on its own in a worker: record, score, the owner of ticks, requests, taking over, names. Each about once a
#: second.
LOOPS = 6


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def front(stack: Stack) -> Iterator[FaultyClickHouse]:
    with FaultyClickHouse(stack.clickhouse_url) as server:
        yield server


@pytest.fixture
def behind(stack: Stack, front: FaultyClickHouse, tmp_path: Path) -> Iterator[Case]:
    """A case whose workers reach ClickHouse through the front."""
    with deployed(Case(stack.bootstrap, front.url, tmp_path, direct_url=stack.clickhouse_url)) as made:
        yield made


def waits(tries: list[Try], statement: str) -> list[float]:
    """Seconds between refused tries of one kind of statement."""
    moments = [each.at for each in tries if each.statement == statement]
    return [after - before for before, after in itertools.pairwise(moments)]


def insert_waits(tries: list[Try]) -> list[float]:
    """The same of every insert."""
    inserts = sorted({each.statement for each in tries if each.statement.startswith("INSERT INTO")})
    return [gap for statement in inserts for gap in waits(tries, statement)]


@pytest.mark.parametrize(
    ("sentence", "code", "match"),
    [
        ("Service Unavailable", 503, ""),
        ("Too many parts (300). Merges are processing significantly slower than inserts", 252, "INSERT INTO"),
        ("Memory limit (total) exceeded", 241, ""),
    ],
    ids=["503", "252", "241"],
)
def test_a_clickhouse_that_refuses_for_a_while_is_asked_calmly_and_nothing_is_lost(
    behind: Case, front: FaultyClickHouse, sentence: str, code: int, match: str
) -> None:
    """T14."""
    worker = behind.worker("one")
    with behind.feed(rate=500, seed=code):
        behind.flowing(200)
        front.refuse(sentence, code, match)
        began = time.monotonic()

        def steady() -> list[Try]:
            return [each for each in front.tries if each.at > began + REFUSED_S - STEADY_S]

        def enough() -> bool:
            # A busy machine may try less often than it could: three tries of one insert have two waits to compare.
            return time.monotonic() - began > REFUSED_S and (not match or len(insert_waits(steady())) >= 2)

        eventually(enough, "the time passes", REFUSED_S + 20)
        passed_s = time.monotonic() - began - REFUSED_S + STEADY_S
        tries = steady()
        assert worker.running
        front.accept()
        behind.flowing(200)
    assert 2 <= len(tries) <= LOOPS * passed_s, tries
    every = insert_waits(tries)
    assert min(every, default=1.0) >= 0.9, every
    if match:  # else every try ends at the question for the version that opens a connection
        assert len({round(gap, 2) for gap in every}) > 1, "no jitter"
    behind.verify()
    assert worker.metric("touchline_retries_total") > 0


def test_one_row_of_ten_thousand_that_the_table_refuses_is_found_and_sealed(case: Case) -> None:
    """T15, and the same event corrected counts afterwards."""
    evidence.command(
        case.direct_url, f"ALTER TABLE {case.database}.ledger ADD CONSTRAINT odd CHECK campaign != 'refuse-me'"
    )
    count, odd = 10_000, 6_789
    at_ms = now_ms()
    events = [feedback(f"row-{number}", at_ms) for number in range(count)]
    events[odd] = feedback(f"row-{odd}", at_ms, campaign="refuse-me")
    place = probe.send(case, events, part=1)[odd]
    worker = case.worker("one")
    case.settle()
    case.known[place] = ("dead_letter", "refused_by_sink")
    found = case.verify()
    assert (found.dispositions["dead_letter"], found.dispositions["aggregated"]) == (1, count - 1)
    assert probe.ledger(case, "failed_at, campaign, customer")[place] == {
        "topic": "feedback",
        "part": 1,
        "off": place[2],
        "failed_at": "record",
        "campaign": "",
        "customer": 0,
    }
    (sealed,) = case.rows("SELECT off, reason, detail, length(sealed) AS size FROM sealed FINAL")
    assert (sealed["off"], sealed["reason"]) == (place[2], "refused_by_sink")
    assert sealed["size"] > len(events[odd].value or b"")
    assert "refuse-me" not in sealed["detail"]
    assert 1 <= worker.metric("touchline_bisected_total") <= 14
    (corrected,) = probe.send(case, [feedback(f"row-{odd}", at_ms)], part=1)
    case.verify()
    assert probe.ledger(case)[corrected]["disposition"] == "aggregated"


def test_a_table_that_refuses_every_row_stops_nothing_but_its_partition(case: Case) -> None:
    """A constraint nobody can meet: dead letters, then the breaker, never an endless loop of one insert."""
    evidence.command(case.direct_url, f"ALTER TABLE {case.database}.ledger ADD CONSTRAINT no CHECK brand != 'default'")
    worker = case.worker("one")
    places = probe.send(case, [feedback(unique("refused"), now_ms()) for _ in range(20)], part=2)
    places += probe.send(case, [feedback(unique("fine"), now_ms(), brand="acme")], part=2)
    eventually(lambda: set(places) <= set(probe.ledger(case)), f"all are recorded\n{case.words()}", 40)
    rows = probe.ledger(case)
    assert [rows[place]["reason"] for place in places] == ["refused_by_sink"] * 20 + [""]
    assert worker.running
