"""Kafka and the gateway die under load: every 202 is in the ledger, once, and nothing else was promised."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import select
import socket
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.stack.launch import Stack, running
from pipeline.stack.processes import free_port
from tests.chaos.harness import Case, deployed
from tests.chaos.processes import Worker, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

GATEWAY = ("-m", "pipeline.command.main", "gateway")
PRODUCERS = 6
BATCH = 20


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Case, Stack]]:
    """A deployment on a stack of its own."""
    with running(tmp_path / "stack") as stack, deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path)) as case:
        yield case, stack


class Gateway:
    """A gateway process of a case, on one port over its restarts, and a key for it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.health_port = free_port(frozenset({self.port}))
        self.health_url = f"http://127.0.0.1:{self.health_port}"
        client = ClickHouse(case.settings)
        self.token = store.create(client, Grant("", "load", frozenset({Right.WRITE})), 0)[1]
        client.close()
        self.process = self.start()

    def start(self) -> Worker:
        more = {"GATEWAY_PORT": str(self.port), "GATEWAY_KEY_RATE": "0"}
        more |= {"GATEWAY_HEALTH_PORT": str(self.health_port)}
        self.process = self.case.worker("gateway", GATEWAY, **more)
        eventually(self.ready, f"the gateway is ready\n{self.process.words()}", 40)
        return self.process

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Load:
    """Producers that send numbered events in batches and repeat each until it is accepted, as the docs tell them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.accepted: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.ending = False

    async def run(self, script: Callable[[Load], None]) -> None:
        """Sends while `script` breaks things in a thread."""
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            senders = [asyncio.create_task(self._send(client, number)) for number in range(PRODUCERS)]
            try:
                await asyncio.to_thread(script, self)
            finally:
                self.ending = True
            await asyncio.gather(*senders)

    async def _send(self, client: aiohttp.ClientSession, number: int) -> None:
        batch = 0
        while not self.ending:
            now = datetime.now(UTC).isoformat()
            ids = [f"p{number}-{batch}-{each}" for each in range(BATCH)]
            events = [
                {"event_id": name, "occurred_at": now, "channel": "web", "touchpoint": "checkout"}
                | {"customer_id": f"c{number}-{each}", "metric": "nps", "score": (batch + each) % 11}
                for each, name in enumerate(ids)
            ]
            await self._repeated(client, events)
            self.accepted.update(ids)
            batch += 1

    async def _repeated(self, client: aiohttp.ClientSession, events: list[dict[str, object]]) -> None:
        """The same request until it is accepted."""
        while True:
            if await self._accepted(client, events):
                return
            await asyncio.sleep(0.2)

    async def _accepted(self, client: aiohttp.ClientSession, events: list[dict[str, object]]) -> bool:
        headers = {"Authorization": f"Bearer {self._gateway.token}"}
        try:
            async with client.post(f"{self._gateway.url}/v1/events", json=events, headers=headers) as answer:
                self.statuses[answer.status] += 1
                await answer.read()
                assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1
                return answer.status == 202
        except (aiohttp.ClientError, TimeoutError):
            self.statuses[0] += 1
            return False

    def grown(self, more: int = 200) -> None:
        """Waits until so many more events are accepted."""
        before = self.accepted.total()
        eventually(lambda: self.accepted.total() >= before + more, f"{more} more accepted ({self.statuses})", 60)


def answered(gateway: Gateway, events: Sequence[Mapping[str, object]], **headers: str) -> dict[str, Any]:
    """The document of an answer that all is accepted, or some."""
    known = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/events", json.dumps(events).encode(), known | headers)
    with urllib.request.urlopen(request, timeout=20) as found:
        document: dict[str, Any] = json.load(found)
        return document


def test_every_202_is_in_the_ledger_once_over_kills_of_kafka_and_of_the_gateway(mortal: tuple[Case, Stack]) -> None:
    """T22, T35, T24: 503 while Kafka is away, and never a 202; what is named by its Idempotency-Key is counted once."""
    case, stack = mortal
    case.worker("one")
    gateway = Gateway(case)
    answer = {"occurred_at": datetime.now(UTC).isoformat(), "channel": "web", "touchpoint": "checkout", "metric": "nps"}
    named = [answer | {"customer_id": f"n{each}", "score": each} for each in range(5)]
    other = [answer | {"customer_id": f"o{each}", "score": 9} for each in range(5)]

    def script(load: Load) -> None:
        load.grown()
        case.flowing(50)
        stack.kill_kafka()
        at = load.statuses[503]
        eventually(lambda: load.statuses[503] >= at + PRODUCERS, f"503 while Kafka is away ({load.statuses})", 40)
        quiet = load.accepted.total()
        assert not gateway.ready()
        time.sleep(0.5)  # nothing to wait for: in this time nothing may be accepted
        assert load.accepted.total() == quiet
        stack.start_kafka()
        load.grown()
        first = answered(gateway, named, **{"Idempotency-Key": "order-4711"})
        second = answered(gateway, [{**each, "score": 0} for each in other], **{"Idempotency-Key": "order-4712"})
        gateway.process.kill()
        gateway.start()
        assert answered(gateway, named, **{"Idempotency-Key": "order-4711"}) == first
        load.accepted.update(item["event_id"] for item in first["items"])
        # What this header meant before, the process cannot know: another body is taken, and its events are doubles.
        assert answered(gateway, other, **{"Idempotency-Key": "order-4712"}) == second
        load.accepted.update(item["event_id"] for item in second["items"])
        load.grown()

    load = Load(gateway)
    asyncio.run(load.run(script))
    assert set(load.statuses) <= {0, 202, 503}, load.statuses
    assert set(load.accepted.values()) == {1}
    case.settle(90)
    sql = "SELECT toInt64(count()) AS n FROM ledger FINAL WHERE disposition = 'duplicate' AND reason = 'conflict'"
    assert case.rows(sql) == [{"n": len(other)}]
    sql = "SELECT uniqExact(event_hash) AS ids, count() AS n FROM ledger FINAL WHERE disposition = 'aggregated'"
    (row,) = case.rows(sql)
    assert (row["ids"], row["n"]) == (len(load.accepted), len(load.accepted))
    case.verify(60)


def test_old_and_new_producers_of_every_way_count_and_a_version_of_the_future_is_named(case: Case) -> None:
    """T47, and the first event of a newcomer: seen in the scores, with n and without a number."""
    case.worker("one")
    gateway = Gateway(case)
    now = datetime.now(UTC).isoformat()
    answer = {"occurred_at": now, "channel": "web", "touchpoint": "checkout", "metric": "nps", "score": 9}

    assert answered(gateway, [{**answer, "event_id": "http-1", "customer_id": "c1"}])["accepted"] == 1

    def shown() -> list[dict[str, object]]:
        read = case.command("scores", "--metric", "nps", "--by", "channel,touchpoint", "--from", "-1h", "--json")
        rows: list[dict[str, object]] = json.loads(read.stdout)["scores"]
        return rows

    (first,) = eventually(lambda: [row for row in shown() if row["n"] == 1], "the first event is seen", 30)
    assert (first["score"], first["status"]) == (None, "insufficient")
    (said,) = case.command("tail", "--seconds", "0.01", "--json").stdout.splitlines()
    assert (json.loads(said)["channel"], json.loads(said)["answer"]) == ("web", 9)
    line = json.dumps({**answer, "event_id": "kafka-1", "customer_id": "c2"})
    produced = case.folder / "events.ndjson"
    produced.write_text(line + "\n")
    assert case.command("produce", str(produced)).returncode == 0
    mixed = answered(
        gateway,
        [
            {**answer, "event_id": "http-2", "customer_id": "c3", "version": 1},
            {**answer, "event_id": "http-3", "customer_id": "c4", "field_of_version_2": "x"},
            {**answer, "event_id": "http-4", "customer_id": "c5", "version": 99},
        ],
    )
    assert (mixed["accepted"], mixed["rejected"]) == (2, 1)
    items = mixed["items"]
    assert (items[2]["reason"], items[2]["path"]) == ("unknown_version", "$.version")
    eventually(lambda: [row for row in shown() if row["n"] == 4], "all four are seen", 30)
    case.verify()


def bomb() -> bytes:
    """A megabyte of gzip that unpacks to a gigabyte: after a full flush a block may stand any number of times."""
    packing = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    first, again = (packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 1_023


def peak_mb(process: Worker, *, anew: bool = False) -> float:
    """The most memory that was resident since it was last asked for `anew`."""
    if anew:
        Path("/proc", str(process.pid), "clear_refs").write_text("5")
    status = Path("/proc", str(process.pid), "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_000


def test_what_is_too_large_is_refused_before_it_costs_memory(case: Case) -> None:
    """T30: a bomb of a gigabyte, an event of 257 KiB, a body without a length."""
    gateway = Gateway(case)
    known = {"occurred_at": "2026-11-26T12:00:00Z", "channel": "web", "metric": "nps", "score": 9}
    event = json.dumps(known | {"event_id": "large", "attributes": {"a": "x" * (257 << 10)}}).encode()
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n"

    def answers() -> list[int]:
        return [
            posted(gateway, bomb(), {"Content-Encoding": "gzip"}),
            posted(gateway, event, {}),
            endless(gateway, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()),
        ]

    assert answers() == [413, 413, 413]
    before = peak_mb(gateway.process, anew=True)
    for _ in range(5):
        assert answers() == [413, 413, 413]
    assert peak_mb(gateway.process) - before < 10


def endless(gateway: Gateway, head: bytes) -> int:
    """The status for a body that goes on until somebody refuses it."""
    with socket.create_connection(("127.0.0.1", gateway.port), 20) as connection:
        connection.sendall(head)
        for _ in range(64):
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")
        return int(connection.recv(1_024).split()[1])


#: Connections of the full form; the short one shows the same within the default run.
MANY = [pytest.param(500, id="short"), pytest.param(10_000, id="full", marks=pytest.mark.prove)]


#: Of them, those that ask for more than the kernel holds and never read it.
STALLED = 40
ASKED = b"GET /docs/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n" * 12


def hostile(number: int) -> tuple[bytes, dict[str, str], int]:
    """A body, its headers and how many events it counts as: each tenth is garbage, some of it a bomb."""
    now = datetime.now(UTC).isoformat()
    if number % 10:
        known = {"occurred_at": now, "channel": "web", "metric": "nps", "score": 9}
        events = [known | {"event_id": f"h{number}-{each}", "customer_id": f"c{each}"} for each in range(BATCH)]
        return json.dumps(events).encode(), {}, BATCH
    garbage = (b"\xff\x00{", b'[{"event_id": "torn"', gzip.compress(bytes(64 << 20)), b"\x1f\x8b-torn")
    kind = number // 10 % len(garbage)
    return garbage[kind], {"Content-Encoding": "gzip"} if kind > 1 else {}, 1


def posted(gateway: Gateway, body: bytes, headers: dict[str, str]) -> int:
    """The status of a request."""
    known = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/events", body, known | headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def files(gateway: Gateway) -> int:
    """Open files of a gateway: its connections and a few."""
    return len(list(Path("/proc", str(gateway.process.pid), "fd").iterdir()))


def ended(connection: socket.socket) -> bool:
    """Whether the gateway closes a connection that never got an answer."""
    connection.settimeout(40)
    return connection.recv(1) == b""


def counted(gateway: Gateway) -> Counter[str]:
    """Events by what became of them, as the gateway says."""
    found: Counter[str] = Counter()
    with urllib.request.urlopen(f"{gateway.health_url}/metrics", timeout=20) as answer:
        for line in answer.read().decode().splitlines():
            word = line.partition("{")[0].removeprefix("touchline_gateway_").removesuffix("_total")
            if word in ("received", "accepted", "rejected", "shed"):
                found[word] += int(float(line.split()[-1]))
    return found


@pytest.mark.parametrize("count", MANY)
def test_idle_and_slow_connections_cost_little_and_among_them_every_event_has_its_fate(case: Case, count: int) -> None:
    """T30, T31: some never read; a tenth of the events is garbage and bombs; nothing is lost and memory stays small."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 500:
        pytest.skip(f"this machine lets a process have {hard} connections only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    gateway = Gateway(case)
    opened: list[socket.socket] = []
    statuses: Counter[int] = Counter()
    waits: list[float] = []
    sent, few = 0, files(gateway)
    try:
        for number in range(count):
            opened.append(socket.create_connection(("127.0.0.1", gateway.port), 20))
            if number < STALLED:
                opened[-1].sendall(ASKED)
            elif number % 2:
                opened[-1].sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\n")
        held, memory_mb = files(gateway) - few, gateway.process.memory_mb
        for number in range(count // 10):
            body, headers, events = hostile(number)
            began = time.monotonic()
            statuses[posted(gateway, body, headers)] += 1
            waits.append(time.monotonic() - began)
            sent += events
        memory_mb = max(memory_mb, gateway.process.memory_mb)
        assert memory_mb < 300
        assert held < count + 100
        assert all(ended(each) for each in opened[STALLED:]), "the gateway closes what never becomes a request"
        eventually(lambda: files(gateway) < few + 20, "the gateway closes whoever does not read his answers", 40)
    finally:
        for each in opened:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    slow_s = sorted(waits)[len(waits) * 99 // 100 - 1]
    told = f"{held:,} of {count:,} connections at once: {memory_mb:.0f} MB, 99 of 100 requests within {slow_s:.3f} s"
    print(told)  # noqa: T201 - the figures are what somebody runs the full form for
    assert slow_s < 1, "nobody waits long beside them"
    assert {202, 400, 413} <= set(statuses) <= {202, 400, 413, 503}, statuses
    fates = counted(gateway)
    assert fates["received"] == sent == fates["accepted"] + fates["rejected"] + fates["shed"]
    lying = sum(bound.hi - bound.lo + 1 for (topic, _), bound in case.log_bounds().items() if topic == "feedback")
    assert fates["accepted"] == statuses[202] * BATCH
    # What was answered with 503, on a machine with more to do, may have arrived all the same.
    assert fates["accepted"] <= lying <= fates["accepted"] + statuses[503] * BATCH
    assert gateway.ready()
