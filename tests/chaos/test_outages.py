"""ClickHouse and Kafka that die, hang, drop answers and forget everything while events flow.

Two scenarios with stacks of their own run beside the tests that take turns on the stack of the file.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.stack.launch import Stack, running
from pipeline.stack.processes import free_port
from tests.chaos import evidence, probe
from tests.chaos.faultproxy import FaultProxy
from tests.chaos.generator import Event
from tests.chaos.harness import Case, deployed
from tests.chaos.processes import eventually
from tests.chaos.test_gateway import Gateway

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Events a second: a slice is in flight nearly always. The full length of T12 has the rate that memory is promised for.
RATE, FULL_RATE = 1_000, 2_000
#: What a worker may grow by while ClickHouse is down, MB.
GROWTH_MB = 100


@pytest.fixture
def frail(fragile: Stack, tmp_path: Path) -> Iterator[Case]:
    """A deployment on the stack whose parts may be killed."""
    with deployed(Case(fragile.bootstrap, fragile.clickhouse_url, tmp_path)) as made:
        yield made


def committed(case: Case) -> dict[tuple[str, int], int]:
    """What the group has committed to Kafka: the next offset of each partition."""

    async def go() -> dict[tuple[str, int], int]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=case.direct_bootstrap, group_id=case.group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [(topic, part) for topic in evidence.TOPICS for part in range(case.partitions)]
            found = {
                place: await consumer.committed(TopicPartition(case.prefix + place[0], place[1])) for place in parts
            }
            return {place: offset for place, offset in found.items() if offset is not None}
        finally:
            await consumer.stop()

    return asyncio.run(go())


def is_told_to_come_again(gateway: Gateway) -> float:
    """Seconds until a shop that tells of an order has its 503."""
    order = {"id": 1, "created_at": datetime.now(UTC).isoformat(), "customer": {"id": 2}}
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": "shop.example"}
    request = urllib.request.Request(
        f"{gateway.url}/v1/in/shopify/{gateway.token}", json.dumps(order).encode(), headers
    )
    began = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    refused.value.close()
    assert refused.value.code == 503
    return time.monotonic() - began


def connections_are_cut(tmp_path: Path, cut: float = 8, hung: Sequence[float] = (20,), within: float = 20) -> None:
    """T20; seconds of each, and until events are recorded again (10 where nothing else runs on the machine)."""
    inside = free_port()
    outside = free_port(frozenset({inside}))
    with (
        running(tmp_path / "stack", behind=(inside, outside)) as stack,
        FaultProxy(inside, outside) as proxy,
        deployed(
            Case(f"127.0.0.1:{proxy.port}", stack.clickhouse_url, tmp_path, direct_bootstrap=stack.bootstrap)
        ) as case,
    ):
        worker, gateway = case.worker("0"), Gateway(case)
        with case.feed(RATE, seed=20):
            case.flowing(1)
            for mode, seconds in (("cut", cut), *(("hang", each) for each in hung)):
                eventually(gateway.ready, "the gateway is ready")
                case.in_flight(worker)
                proxy.mode(mode)
                told_s = is_told_to_come_again(gateway) if mode == "hang" else 0.0
                assert told_s < 5, "Shopify has gone by then"
                time.sleep(seconds - told_s)
                proxy.mode("ok")
                case.flowing(1, deadline_s=within)
                case.flowing(RATE)
        case.verify()
        assert worker.running


def profile(number: int, segment: str) -> Event:
    """A profile of one of a few customers, valid since ever."""
    body = {"customer": f"customer-{number}", "valid_from": "2026-01-01T00:00:00Z", "segments": [segment]}
    return Event("profiles", f"customer-{number}".encode(), json.dumps(body).encode())


def known_as(case: Case) -> dict[str, int]:
    """How many customers have a segment by their newest profile."""
    newest = "SELECT argMax(segments, off) AS segment FROM profiles FINAL GROUP BY customer"
    rows = case.rows(f"SELECT segment, count() AS n FROM ({newest}) GROUP BY segment")
    return {row["segment"]: row["n"] for row in rows}


def topics_are_made_again(tmp_path: Path) -> None:
    """T21, second half."""
    with running(tmp_path / "stack") as stack, deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path)) as case:
        worker = case.worker("0")
        probe.send(case, [profile(number, "gold") for number in range(5)], part=0)
        eventually(lambda: known_as(case) == {"gold": 5}, "the profiles are stored", 20)
        with case.feed(RATE, seed=22):
            case.flowing(2 * RATE)
        first = case.verify()
        worker.kill()
        stack.stop_kafka()
        stack.wipe_kafka()
        stack.start_kafka()
        case.apply_topics()
        with case.feed(RATE / 10, seed=23) as feed:
            eventually(lambda: feed.acknowledged > 50, "new events")
        refusing = case.worker("0")
        assert refusing.ended(60) not in (0, 137)
        assert refusing.said("the topic was deleted")
        assert refusing.said("touchline offsets reset")
        for topic in evidence.TOPICS:
            done = case.command("offsets", "reset", "--topic", topic)
            assert done.returncode == 0, done.stderr
            case.epochs[topic] = 2
        probe.send(case, [profile(1, "silver")], part=0)
        worker = case.worker("1")
        told = "touchline offsets reset --topic profiles"
        eventually(lambda: told in worker.page("/readyz")[1], "the worker says so", 20)
        assert worker.said(told)
        assert case.command("offsets", "reset", "--topic", "profiles").returncode == 0
        eventually(lambda: known_as(case) == {"gold": 4, "silver": 1}, "profiles are followed again", 20)
        assert worker.page("/readyz")[0] == 200
        second = case.verify()
        assert 0 < second.offsets < first.offsets
        kept = case.rows("SELECT count() AS n FROM ledger FINAL WHERE epoch = 1")
        assert kept[0]["n"] == first.offsets


def test_a_worker_asked_to_end_while_clickhouse_is_down_ends_and_commits_nothing_unwritten(
    frail: Case, fragile: Stack
) -> None:
    """T3."""
    worker = frail.worker("0")
    with frail.feed(RATE, seed=3):
        frail.flowing(1)
        frail.in_flight()
        fragile.kill_engine()
        time.sleep(2)  # slices fill the flow up to the writer, which tries again and again
        code, seconds = worker.terminate(deadline_s=15)
    fragile.start_engine()
    assert (code, seconds < 15) == (0, True)
    positions = frail.positions()
    ahead = {place: offset for place, offset in committed(frail).items() if offset > positions.get(place, -1) + 1}
    assert ahead == {}
    frail.worker("1")
    frail.verify()


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        pytest.param(60, RATE // 2, id="short"),
        pytest.param(600, FULL_RATE, id="full", marks=[pytest.mark.prove, pytest.mark.timeout(900)]),
    ],
)
def test_clickhouse_down_for_long_costs_no_memory_and_no_event(
    frail: Case, fragile: Stack, seconds: int, rate: int
) -> None:
    """T12."""
    worker = frail.worker("0")
    with frail.feed(rate, seed=12):
        frail.flowing(5 * rate)
        before = most = worker.memory_mb
        fragile.kill_engine()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            most = max(most, worker.memory_mb)
            time.sleep(0.5)
        fragile.start_engine()
    found = frail.verify(deadline_s=90)
    assert worker.running
    assert most - before < GROWTH_MB
    assert found.offsets > rate * seconds / 2


def test_an_insert_whose_answer_is_lost_is_sent_again_and_stored_once(stack: Stack, tmp_path: Path) -> None:
    """T13: the same rows under the same token, so not even a physical row is there twice."""
    with FaultProxy(int(stack.clickhouse_url.rpartition(":")[2])) as proxy:
        case = Case(stack.bootstrap, f"http://127.0.0.1:{proxy.port}", tmp_path, direct_url=stack.clickhouse_url)
        with deployed(case):
            worker = case.worker("0")
            with case.feed(RATE, seed=13):
                case.flowing(1)
                for times in (1, 2, 3):
                    case.in_flight()
                    before = proxy.dropped
                    proxy.mode("drop", times)
                    eventually(lambda: proxy.dropped >= before + times, "answers are dropped")  # noqa: B023
                    proxy.mode("ok")
                    case.flowing(1)
            case.verify()
            rows = case.rows("SELECT count() AS there, uniqExact(topic, part, off) AS offsets FROM ledger")
            assert rows[0]["there"] == rows[0]["offsets"]
            assert proxy.dropped == 6
            assert worker.running


@pytest.mark.parametrize("kills", [pytest.param(4, id="short"), pytest.param(15, id="full", marks=pytest.mark.prove)])
def test_clickhouse_killed_while_inserting_loses_nothing(frail: Case, fragile: Stack, kills: int) -> None:
    """T16."""
    worker = frail.worker("0")
    with frail.feed(RATE, seed=16):
        frail.flowing(1)
        for _ in range(kills):
            frail.in_flight()
            fragile.kill_engine()
            fragile.start_engine()
            frail.flowing(RATE // 2)
    frail.verify()
    assert worker.running


def test_kafka_killed_and_started_again_loses_nothing(frail: Case, fragile: Stack) -> None:
    """T21, first half."""
    worker = frail.worker("0")
    with frail.feed(RATE, seed=21):
        frail.flowing(RATE)
        frail.in_flight()
        fragile.kill_kafka()
        fragile.start_kafka()
        frail.flowing(RATE)
    frail.verify()
    assert worker.running


@pytest.mark.parametrize("beside", [connections_are_cut], indirect=True)
def test_connections_to_kafka_cut_and_hung_are_survived(beside: Future[None]) -> None:
    """T20: the worker goes on by itself, within seconds after the network does."""
    beside.result()


@pytest.mark.prove
def test_connections_to_kafka_cut_and_hung_for_long_are_survived(tmp_path: Path) -> None:
    """T20 at its full length."""
    connections_are_cut(tmp_path, cut=15, hung=(40, 110), within=10)


@pytest.mark.parametrize("beside", [topics_are_made_again], indirect=True)
def test_a_worker_refuses_topics_that_were_made_again_until_a_new_epoch_begins(beside: Future[None]) -> None:
    """T21, second half: Kafka has lost everything; the old epoch's rows stay, the new one is counted by itself."""
    beside.result()
