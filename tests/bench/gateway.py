"""The gateway: events a second in batches and singly, each against its baseline in the same run, and its latency."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.arrival.rules import ArrivalRules
from pipeline.intake.admission import Rules, judge
from pipeline.intake.bodies import Items
from pipeline.stack import gateway, processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Command, Process
from schemas.codec import check, decode
from schemas.feedback import Feedback
from schemas.vocabulary import Reason
from tests.bench.figures import Figure, Report, quantile
from tests.bench.load import Plan, events, now_ms
from tests.bench.place import Place, cpu_s, drop_place, make_place, running_worker, until
from tests.bench.sighting import sightings

BATCH = 100
#: Connections of the load; a batch waits for Kafka, so a few keep the gateway busy.
BATCH_CONNECTIONS, SINGLE_CONNECTIONS = 16, 64
RATE = 1_000
_ANYBODY, _RULES = Grant("k", "bench", frozenset({Right.WRITE})), Rules(ArrivalRules())


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `gateway`."""
    seconds = 3.0 if quick else 12.0
    place = make_place(stack, "gateway", partitions=12)
    token = _token(place)
    values = next(iter(events(Plan(20_000, end_ms=now_ms(), rate=1_000.0, texts=0.3)))).values[:20_000]
    batches = [b"[" + b",".join(values[at : at + BATCH]) + b"]" for at in range(0, len(values), BATCH)]
    with served(place) as (port, process):
        _batches(report, Target(port, token, batches), process, seconds)
        singles = Target(port, token, values)
        rate = _singles(report, singles, process, seconds)
        _latency(report, singles, seconds)
    with empty(place) as port:
        bare = asyncio.run(loaded(Target(port, token, values), SINGLE_CONNECTIONS, seconds)).rate
    about = "the same load on an aiohttp handler that reads the body and answers 202"
    report.add(Figure("gateway_single", rate, "requests/s", bare, rate / bare, target="ratio >= 0.4", about=about))
    drop_place(place)
    _refusals(report)
    _first_events(stack, report, 5 if quick else 40)


def _first_events(stack: Stack, report: Report, count: int) -> None:
    place = make_place(stack, "sighting", partitions=12)
    token = _token(place)
    with running_worker(place) as worker:
        worker.wait_ready()
        with served(place) as (port, _):
            sightings(report, place, gateway.url(port), token, count)
    drop_place(place)


def _token(place: Place) -> str:
    client = place.client()
    token = store.create(client, Grant("", "bench", frozenset({Right.WRITE})), 0)[1]
    client.close()
    return token


def _batches(report: Report, target: Target, process: Process, seconds: float) -> None:
    asyncio.run(loaded(target, BATCH_CONNECTIONS, 1.0))  # warm
    before = cpu_s(process)
    load = asyncio.run(loaded(target, BATCH_CONNECTIONS, seconds))
    rate = load.rate * BATCH
    cpu = (cpu_s(process) - before) / (load.count * BATCH) * 1e6
    bare = _decoding(target.bodies)
    about = f"batches of {BATCH}, acks=all, one gateway; baseline: decode and validate alone, one core"
    report.add(Figure("gateway_batches", rate, "events/s", bare, rate / bare, cpu, "60,000", about))
    memory = processes.memory_mb(process) or 0.0
    report.add(Figure("gateway_memory", memory, "MB", target="< 300", about="resident after the batches"))
    waited = quantile(load.waits, 0.99) * 1000
    report.add(
        Figure("gateway_batches_p99", waited, "ms", about=f"{BATCH_CONNECTIONS} connections, as fast as it goes")
    )


def _singles(report: Report, target: Target, process: Process, seconds: float) -> float:
    before = cpu_s(process)
    load = asyncio.run(loaded(target, SINGLE_CONNECTIONS, seconds))
    cpu = (cpu_s(process) - before) / load.count * 1e6
    report.add(Figure("gateway_single_cpu", cpu, "us", about="CPU of the gateway for a request with one event"))
    return load.rate


def _latency(report: Report, target: Target, seconds: float) -> None:
    waits = asyncio.run(paced(target, RATE, seconds))
    for share, target_ in ((0.5, ""), (0.99, "< 50"), (1.0, "")):
        name = {0.5: "p50", 0.99: "p99", 1.0: "max"}[share]
        about = f"{len(waits):,} requests of one event at {RATE:,}/s, acknowledged by Kafka, from when each was due"
        report.add(Figure(f"gateway_{name}", quantile(waits, share) * 1000, "ms", target=target_, about=about))


def _refusals(report: Report) -> None:
    """What a hostile value of nearly 256 KiB costs until it is refused: CPU, median of 25 (T27)."""
    hostile = {
        "deep": (Reason.TOO_DEEP, b'{"attributes":{"a":' + b"[" * 120_000 + b"]" * 120_000 + b"}}"),
        "keys": (Reason.TOO_MANY_KEYS, b"{" + b",".join(b'"%x":1' % number for number in range(24_000)) + b"}"),
    }
    for name, (reason, value) in hostile.items():
        spent = []
        for _ in range(25):
            began = time.thread_time()
            (judged,) = judge(Items([value], [()]), _ANYBODY, _RULES, now_ms())
            spent.append(time.thread_time() - began)
            assert judged.rejection is not None
            assert judged.rejection.reason is reason
        about = f"a value of {len(value) / 1024:.0f} KiB until it is refused as {reason.value}"
        report.add(Figure(f"refused_{name}", quantile(spent, 0.5) * 1000, "ms", target="< 5", about=about))


def _decoding(bodies: Sequence[bytes]) -> float:
    """Events a second of cutting, typed decoding and checking alone."""
    cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
    began = time.perf_counter()
    count = 0
    while time.perf_counter() - began < 2:
        for body in bodies:
            values = list(map(bytes, cut(body)))
            found = decode("feedback", values, [()] * len(values)).events
            assert not any(check(event) for event in found if isinstance(event, Feedback))
            count += len(found)
    return count / (time.perf_counter() - began)


# --- the load ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Target:
    """Where requests go, and their bodies, over and over."""

    port: int
    token: str
    bodies: Sequence[bytes]

    def requests(self) -> Iterator[bytes]:
        """Whole requests, endlessly."""
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        made = [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in self.bodies]
        return itertools.cycle(made)


@dataclass
class Load:
    """What was answered."""

    seconds: float = 0.0
    count: int = 0
    waits: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.count / self.seconds


class Connection(asyncio.Protocol):
    """One connection that sends requests and tells of answers, in as little Python as possible: it shares the cores."""

    def __init__(self, answered: Callable[[Connection], None]) -> None:
        self._answered = answered
        self._held = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, due: float | None = None) -> None:
        """One request; `due` is when it should have gone."""
        self.sent_at = time.perf_counter() if due is None else due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A whole answer has come when its length says so."""
        held = self._held + data
        head = held.find(b"\r\n\r\n")
        if head < 0 or len(held) < head + 4 + _length(held[:head]):
            self._held = held
            return
        self._held = b""
        if not held.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(f"not accepted: {held[:300]!r}")
        self._answered(self)


def _length(head: bytes) -> int:
    _, _, rest = head.partition(b"Content-Length: ")
    return int(rest.partition(b"\r\n")[0])


async def loaded(target: Target, connections: int, seconds: float) -> Load:
    """As fast as it goes: each connection sends the next request when the last is answered."""
    load, requests, loop = Load(), target.requests(), asyncio.get_running_loop()
    ends = time.perf_counter() + seconds

    def answered(connection: Connection) -> None:
        now = time.perf_counter()
        load.count += 1
        load.waits.append(now - connection.sent_at)
        if now < ends:
            connection.send(next(requests))

    made = [
        (await loop.create_connection(lambda: Connection(answered), "127.0.0.1", target.port))[1]
        for _ in range(connections)
    ]
    for connection in made:
        connection.send(next(requests))
    await asyncio.sleep(seconds + 0.5)  # what was sent in time is answered by then
    load.seconds = seconds
    for connection in made:
        connection.transport.close()
    return load


async def paced(target: Target, rate: float, seconds: float) -> list[float]:
    """Requests at their times, whoever waits; seconds from when each was due to its answer."""
    waits: list[float] = []
    idle: list[Connection] = []
    requests, loop = target.requests(), asyncio.get_running_loop()

    def answered(connection: Connection) -> None:
        waits.append(time.perf_counter() - connection.sent_at)
        idle.append(connection)

    for _ in range(256):
        idle.append((await loop.create_connection(lambda: Connection(answered), "127.0.0.1", target.port))[1])
    connections = list(idle)
    began = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - began) < seconds:
        while sent < passed * rate and idle:
            idle.pop().send(next(requests), began + sent / rate)
            sent += 1
        await asyncio.sleep(0.001)
    for _ in range(1_000):  # ten seconds for the last ones
        if len(waits) == sent:
            break
        await asyncio.sleep(0.01)
    for connection in connections:
        connection.transport.close()
    return waits


# --- the servers ---------------------------------------------------------------------------------
@contextmanager
def served(place: Place) -> Iterator[tuple[int, Process]]:
    """A gateway without limits of rate."""
    port = processes.free_port()
    settings = {**place.variables, "TOUCHLINE_GATEWAY_RATE": "0", "TOUCHLINE_GATEWAY_KEY_RATE": "0"}
    process = processes.start(gateway.command(port, settings, place.folder, tied=True))
    try:
        gateway.wait_ready(port, process)
        yield port, process
    finally:
        processes.stop(process, 15)


@contextmanager
def empty(place: Place) -> Iterator[int]:
    """The handler that does nothing."""
    port = processes.free_port()
    arguments = [sys.executable, "-m", "tests.bench.empty_handler", str(port)]
    process = processes.start(Command("empty", arguments, place.folder / "empty.log", tied=True))
    try:
        until(lambda: processes.answers(port), "the empty handler answers")
        yield port
    finally:
        processes.kill(process)
