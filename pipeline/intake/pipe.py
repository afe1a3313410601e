"""The pipe into Kafka that many requests share [I/O]: what comes while a run is on its way leaves with the next one.

A request puts its events in and waits until Kafka has acknowledged them with acks=all. Nothing lingers while the pipe
is idle, and under load each run takes all that has gathered, so that a batch per partition holds the events of many
requests. Behind a run of many requests the next one waits a moment for as many: who was just answered sends again. A
second run leaves beside the first one only when it is worth it: of single events a batch for each of a dozen partitions
costs more than the events in it. Order is kept by key for whoever waits for one answer before the next request.

While Kafka does not answer, whoever waits is told so after `WAIT_S`; what was on its way may still arrive, and counts
once all the same, since a producer that repeats it repeats its event ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.errors import Unavailable
from pipeline.intake.partitioning import partitions_of
from pipeline.intake.producing import BATCH_BYTES, COMPRESSION
from pipeline.settings import Settings
from pipeline.tasks import ended
from pipeline.telemetry import Telemetry, log
from pipeline.topics import unreachable

#: How long a request waits for the acknowledgement before it is told to come again; clients give up after 30 s or so.
WAIT_S = 10.0
#: Without an acknowledgement for so long, new events are refused at once.
STALLED_S = 4.0
#: Runs sent and not acknowledged: one at the broker, one that is being built and packed.
RUNS = 2
#: Bytes that wait for their run or their acknowledgement; more are refused (a second of the fastest producers).
MOST_BYTES = 64 * 1024 * 1024
#: Bytes that must have gathered before a second run leaves beside the first.
WORTH_BYTES = 32 * 1024
#: After a run of so many requests or more the next one waits for company, at most for so long: a run of half as many
#: costs nearly as much, in the gateway and at the broker. Slow traffic never waits.
COMPANY, COMPANY_S = 16, 0.002
#: A batch of fewer bytes is sent as it is: zstd takes 12 us to begin, as much as all else of such a batch.
PACKED_BYTES = 2 * 1024
#: Bytes of one run: a batch of 512 KiB for each of a dozen partitions at most.
RUN_BYTES = 4 * 1024 * 1024
#: How long a producer may take to send what it still has; whoever waited for that has been answered.
_CLOSE_S = 2.0
#: How often the waits are looked at.
_LOOK_S = 0.25
#: Waits between attempts to reach Kafka.
RETRY_S = (0.2, 0.5, 1.0, 2.0)

_log = log("touchline.pipe")


class Parcel(NamedTuple):
    """One event to send: topic (plain name), key, value, and Kafka headers."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True, eq=False)
class _Entry:
    """The events of one request, and who waits for them."""

    parcels: Sequence[Parcel]
    size: int
    done: asyncio.Future[None]
    since: float


class Pipe:
    """Start it, `put`, stop it. It connects by itself, and again after every trouble."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._waiting: deque[_Entry] = deque()
        #: Everybody who waits for an answer, oldest first.
        self._open: dict[_Entry, None] = {}
        self._bytes = 0
        #: Of these, what no run has taken yet.
        self._gathering = 0
        #: How many requests the next run waits for.
        self._company = 0
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(RUNS)
        self._runs: dict[asyncio.Task[None], float] = {}
        self._trouble: str | None = "not yet connected to Kafka"
        self._broken = False
        self._stalled = False
        self._tasks: list[asyncio.Task[None]] = []
        #: What the broker's clock is ahead of ours, in ms, by its last acknowledgement.
        self._skew_ms = 0.0

    def start(self) -> None:
        """Begins to connect; see `trouble`."""
        self._tasks = [
            asyncio.create_task(self._live(), name="pipe"),
            asyncio.create_task(self._watch(), name="pipe's patience"),
        ]

    async def stop(self) -> None:
        """Sends what waits, for `WAIT_S` at most, and closes."""
        if self._trouble is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    while self._waiting or self._runs:
                        self._wake.set()
                        await asyncio.sleep(0.02)
        await ended(self._tasks)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be sent now; None when all is well."""
        return "Kafka does not acknowledge" if self._trouble is None and self._stalled else self._trouble

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to be sent or acknowledged."""
        return self._bytes

    def now_ms(self) -> int:
        """The broker's time as far as it is known: it is the reference of every rule about time."""
        return int(time.time() * 1000 + self._skew_ms)

    async def put(self, parcels: Sequence[Parcel]) -> None:
        """Sends them; returns when Kafka has acknowledged all. Raises Unavailable when it is unknown whether it has."""
        if trouble := self.trouble:
            raise Unavailable(trouble)
        size = len(parcels[0].value) if len(parcels) == 1 else sum([len(parcel.value) for parcel in parcels])
        if self._bytes + size > MOST_BYTES:
            raise Unavailable("too much waits for Kafka")
        entry = _Entry(parcels, size, asyncio.get_running_loop().create_future(), time.monotonic())
        self._bytes += size
        self._waiting.append(entry)
        self._gathering += size
        self._open[entry] = None
        if self._due():
            self._wake.set()
        try:
            await entry.done
        finally:
            self._bytes -= size
            self._open.pop(entry, None)

    # --- inside ----------------------------------------------------------------------------------
    async def _live(self) -> None:
        """Connect, send until something breaks, and again."""
        attempt = 0
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                compression_type=COMPRESSION,
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=int(WAIT_S * 1000),
                **self._settings.kafka_security(),
            )
            try:
                await producer.start()
                self._trouble, attempt = None, 0
                await self._send_on(producer)
            except (KafkaError, OSError) as error:
                self._trouble = str(unreachable(self._settings, error))
                _log.warning("no way into Kafka", error=type(error).__name__)
            finally:
                self._fail(self._trouble or "the gateway ends")
                await _closed(producer)
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _watch(self) -> None:
        """Whoever has waited too long is told: one look over all is cheaper than a clock for each."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            self._stalled = now - min(self._runs.values(), default=now) > STALLED_S
            _settle(self._late(now - WAIT_S), Unavailable(f"Kafka has not acknowledged in {WAIT_S:.0f} s"))

    def _late(self, latest: float) -> list[_Entry]:
        """Who has waited since before that."""
        return list(takewhile(lambda entry: entry.since < latest, self._open))

    async def _send_on(self, producer: AIOKafkaProducer) -> None:
        """Runs, one after the other, until one fails."""
        self._broken = False
        try:
            while not self._broken:
                await self._wake.wait()
                self._wake.clear()
                while self._due() and not self._broken:
                    await self._slots.acquire()
                    entries = self._gathered()
                    run = asyncio.create_task(self._run(producer, entries), name="run")
                    self._runs[run] = time.monotonic()
                    run.add_done_callback(partial(self._run_ended, len(entries)))
        finally:
            for run in list(self._runs):
                run.cancel()
        raise KafkaError("a run failed")

    def _due(self) -> bool:
        """Whether a run is to leave now."""
        if self._runs or len(self._waiting) < self._company:
            return self._gathering >= WORTH_BYTES
        return bool(self._waiting)

    def _gathered(self) -> list[_Entry]:
        """What goes with the next run; whoever gave up meanwhile does not."""
        taken: list[_Entry] = []
        size = 0
        while self._waiting and (not taken or size + self._waiting[0].size <= RUN_BYTES):
            entry = self._waiting.popleft()
            self._gathering -= entry.size
            if not entry.done.done():
                taken.append(entry)
                size += entry.size
        return taken

    async def _run(self, producer: AIOKafkaProducer, entries: list[_Entry]) -> None:
        began = time.monotonic()
        try:
            parcels = [parcel for entry in entries for parcel in entry.parcels]
            topics = {parcel.topic for parcel in parcels}
            futures: list[asyncio.Future[Any]] = []
            for topic in topics:
                mine = parcels if len(topics) == 1 else [parcel for parcel in parcels if parcel.topic == topic]
                futures += await self._sent(producer, topic, mine)
            for acknowledged in await asyncio.gather(*futures):
                if acknowledged is not None and acknowledged.timestamp > 0:
                    self._skew_ms = acknowledged.timestamp - time.time() * 1000
        except (KafkaError, OSError) as error:
            _settle(entries, unreachable(self._settings, error))
            self._broken = True
            self._wake.set()
        except asyncio.CancelledError:
            _settle(entries, Unavailable("Kafka does not answer"))
            raise
        else:
            _settle(entries, None)
            self._telemetry.observe("touchline_gateway_kafka_seconds", time.monotonic() - began)
        finally:
            _settle(entries, Unavailable("a defect of the gateway"))  # whoever is not answered by now

    async def _sent(
        self, producer: AIOKafkaProducer, topic: str, parcels: Sequence[Parcel]
    ) -> list[asyncio.Future[Any]]:
        """Batches of one topic, on their way."""
        name = self._settings.topic(topic)
        count = len(await producer.partitions_for(name))
        runs: defaultdict[int, list[Parcel]] = defaultdict(list)
        for part, parcel in zip(
            partitions_of([parcel.key for parcel in parcels], count).tolist(), parcels, strict=True
        ):
            runs[part].append(parcel)
        futures: list[asyncio.Future[Any]] = []
        # One after the other: a task for each partition would cost more than the batch, and they leave together anyway.
        for part, mine in runs.items():
            futures += await _batches(producer, name, part, mine)
        return futures

    def _run_ended(self, requests: int, run: asyncio.Task[None]) -> None:
        self._runs.pop(run, None)
        self._slots.release()
        if requests >= COMPANY and not self._broken:
            self._company = len(self._waiting) + requests
            asyncio.get_running_loop().call_later(COMPANY_S, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        """What was not worth a run of its own goes now."""
        self._company = 0
        self._wake.set()

    def _fail(self, reason: str) -> None:
        """Whoever waits is told."""
        entries, self._waiting = self._waiting, deque()
        self._gathering = 0
        _settle(entries, Unavailable(reason))


async def _batches(
    producer: AIOKafkaProducer, name: str, part: int, parcels: Sequence[Parcel]
) -> list[asyncio.Future[Any]]:
    """Events of one partition, in batches built here: five times as fast as one `send` an event."""
    futures = []
    small = sum([len(parcel.value) for parcel in parcels]) < PACKED_BYTES
    batch = BatchBuilder(BATCH_BYTES, 0) if small else producer.create_batch()
    now = int(time.time() * 1000)  # the topics' times are the broker's; the client must send some
    for parcel in parcels:
        if batch.append(key=parcel.key, value=parcel.value, timestamp=now, headers=parcel.headers) is None:
            futures.append(await producer.send_batch(batch, name, partition=part))
            batch = producer.create_batch()
            batch.append(key=parcel.key, value=parcel.value, timestamp=now, headers=parcel.headers)
    futures.append(await producer.send_batch(batch, name, partition=part))
    return futures


def _settle(entries: Iterable[_Entry], error: Exception | None) -> None:
    for entry in entries:
        if entry.done.done():
            continue
        if error is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(error)


async def _closed(producer: AIOKafkaProducer) -> None:
    """Closes a producer that may have batches which it would try to send for ever, and its connections with it."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        # aiokafka 0.14 waits for its batches before it closes anything: an hour's outage would leave hundreds behind.
        producer._message_accumulator.fail_all(KafkaError("closed"))
        if producer._sender is not None:
            await producer._sender.close()
        await producer.client.close()
