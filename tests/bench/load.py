"""What benchmarks send [I/O]: feedback events of about 220 bytes from many customers, as fast as it goes or at a rate.

Compression is lz4, as a producer in another language would use; the seed is fixed, so each run has the same events.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.intake.cast import MOODS, TOPICS
from pipeline.intake.producing import Producer
from pipeline.intake.wording import Occasion
from pipeline.intake.wording import texts as written_texts
from pipeline.intake.world import LANGUAGES, PRODUCTS, TOWNS
from pipeline.settings import Settings
from tests.bench.place import Place

CUSTOMERS = 500_000
UNITS = tuple(f"store-{number:02}" for number in range(40))
CHANNELS = ("web", "app", "store", "call", "email", "chat")
#: Names of the bundled registry.
TOUCHPOINTS = (
    *("page_viewed", "product_searched", "store_visit", "checkout", "payment", "order_placed"),
    *("delivery", "return_parcel", "invoice", "app_session", "support_call", "support_chat"),
)
#: (metric, lowest answer, answers): half NPS, as most surveys ask that.
METRICS = (("nps", 0, 11), ("csat", 1, 5), ("ces", 1, 7))
_SHARES = (0.5, 0.3, 0.2)
#: Of the simulator's languages; the sentences of the others repeat after some thousand, and texts are to be distinct.
_LANGUAGE_SHARES = (0.94, 0.02, 0.02, 0.02)
#: Events made and sent at once.
RUN = 20_000
#: One tick of a stream at a rate, seconds.
_TICK_S = 0.05


class Run(NamedTuple):
    """Keys and values of some events."""

    keys: list[bytes]
    values: list[bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """`count` events whose times end at `end_ms` and come `rate` a second; `texts` is the share with a text."""

    count: int
    end_ms: int
    rate: float = 2_000.0
    texts: float = 0.0
    first: int = 0


def events(plan: Plan) -> Iterator[Run]:
    """The events of a plan in order of time, unique ids, in runs of RUN."""
    for first in range(plan.first, plan.first + plan.count, RUN):
        last = min(first + RUN, plan.first + plan.count)
        behind = plan.first + plan.count - np.arange(first, last)
        yield _made(first, plan.end_ms - (behind * 1000.0 / plan.rate).astype(np.int64), plan.texts)


def _made(first: int, times: np.ndarray, texts: float) -> Run:
    rng = np.random.default_rng([7, first])
    count = len(times)
    customers = rng.integers(CUSTOMERS, size=count).tolist()
    units, channels, touchpoints = (
        [names[i] for i in rng.integers(len(names), size=count)] for names in (UNITS, CHANNELS, TOUCHPOINTS)
    )
    metrics = [METRICS[i] for i in rng.choice(len(METRICS), size=count, p=_SHARES)]
    scores = [low + int(u * steps) for (_, low, steps), u in zip(metrics, rng.random(count), strict=True)]
    said = _texts(rng, rng.random(count) < texts)
    moments = np.datetime_as_string(times.astype("datetime64[ms]"), unit="ms").tolist()
    keys, values = [], []
    for row in range(count):
        customer = f"c{customers[row]:08}"
        text = f'","text":"{said[row]}' if said[row] else ""
        keys.append(customer.encode())
        values.append(
            f'{{"event_id":"e-{first + row:012}","occurred_at":"{moments[row]}Z","customer_id":"{customer}",'
            f'"channel":"{channels[row]}","touchpoint":"{touchpoints[row]}","unit":"{units[row]}","brand":"acme",'
            f'"metric":"{metrics[row][0]}","score":{scores[row]},"source":"survey{text}"}}'.encode()
        )
    return Run(keys, values)


def _texts(rng: np.random.Generator, wanted: np.ndarray) -> list[str]:
    """The simulator's written texts where wanted (about as long as real comments), "" elsewhere."""
    size = int(wanted.sum())
    if not size:
        return [""] * len(wanted)
    language = rng.choice(len(LANGUAGES), size, p=_LANGUAGE_SHARES)
    drawn = (rng.integers(len(names), size=size) for names in (TOPICS, MOODS, PRODUCTS, TOWNS))
    lines = iter(written_texts(rng, Occasion(language, *drawn)))
    return [next(lines) if each else "" for each in wanted.tolist()]


def produce(place: Place, plan: Plan, compression: str = "lz4") -> float:
    """Sends a plan's events to `feedback`; events a second."""
    began = time.monotonic()
    asyncio.run(_produce(place.settings, events(plan), compression))
    return plan.count / (time.monotonic() - began)


async def _produce(settings: Settings, runs: Iterator[Run], compression: str) -> None:
    async with Producer(settings, compression) as producer:
        for run in runs:
            await producer.send_many("feedback", run.keys, run.values)


class Stream:
    """A thread that sends feedback at a rate until told to stop; each tick's marker event has a unit of its own.

    `marked` has (unit, moment it was handed over) of each marker; `sent` counts acknowledged events.
    """

    def __init__(self, place: Place, rate: float, first: int = 10_000_000) -> None:
        self._settings = place.settings
        self._rate = rate
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.sent = 0
        self.marked: list[tuple[str, float]] = []

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> int:
        """Ends; how many events were sent and acknowledged."""
        self._stop.set()
        self._thread.join()
        return self.sent

    async def _run(self) -> None:
        async with Producer(self._settings, "lz4") as producer:
            began = time.monotonic()
            tick = 0
            while not self._stop.is_set():
                tick += 1
                due = int((time.monotonic() - began) * self._rate) - self.sent
                if due > 0:
                    await self._send(producer, min(due, int(self._rate)), tick)
                await asyncio.sleep(max(0.0, began + tick * _TICK_S - time.monotonic()))

    async def _send(self, producer: Producer, count: int, tick: int) -> None:
        times = np.full(count, int(time.time() * 1000))
        run = _made(self._first + self.sent, times, 0.0)
        unit = f"mark-{tick:06}"
        values = [*run.values[:-1], _renamed(run.values[-1], unit)]
        handed = time.monotonic()
        await producer.send_many("feedback", run.keys, values)
        await producer.flush()
        self.marked.append((unit, handed))
        self.sent += count


def _renamed(value: bytes, unit: str) -> bytes:
    head, _, rest = value.partition(b'"unit":"')
    return head + b'"unit":"' + unit.encode() + b'"' + rest.partition(b'"')[2]


def size_of(run: Run) -> float:
    """Mean bytes of a value."""
    return sum(map(len, run.values)) / len(run.values)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
