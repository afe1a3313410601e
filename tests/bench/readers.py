"""Fifty people at dashboards while events come in: how much they slow ingestion down, and how long they wait."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import aiohttp

from pipeline.stack import processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Command
from tests.bench import load
from tests.bench.figures import Figure, Report, note, quantile
from tests.bench.load import Stream
from tests.bench.place import Place, Worker, drop_place, make_place, running_worker, settled, until

READERS = 50
_EVERY_S = 5.0
#: What they look at: the last 24 hours by two dimensions, five different dashboards.
_QUESTIONS = tuple(
    f"metric={metric}&by={by}&from=-24h"
    for metric, by in (
        *(("nps", "channel,touchpoint"), ("nps", "unit,channel"), ("csat", "channel,touchpoint")),
        *(("ces", "unit,channel"), ("csat", "unit,touchpoint")),
    )
)


#: Events a second that come in meanwhile, as asked of this deployment; and for how long they are watched.
RATE = 20_000


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `readers`."""
    about = f"{READERS} readers, each asks the API every 5 s for one of five dashboards of 24 h"
    seconds = 6.0 if quick else 30.0
    alone, read = (_flowing(stack, seconds, readers) for readers in (0, READERS))
    given = f"{RATE:,} events/s come in for {seconds:.0f} s, 12 partitions, one worker"
    report.add(Figure("ingestion_alone", alone.rate, "events/s", about=given))
    report.add(
        Figure("ingestion_read", read.rate, "events/s", alone.rate, read.rate / alone.rate, target="", about=about)
    )
    slower = 100 * (1 - read.rate / alone.rate)
    report.add(
        Figure("readers_slow_by", slower, "%", target="< 15", about="events counted a second, with against without")
    )
    report.add(Figure("behind_alone", alone.behind_s, "s", about="mean age of the newest event that is counted"))
    report.add(Figure("behind_read", read.behind_s, "s", alone.behind_s, about="the same with the readers"))
    report.add(
        Figure("readers_p50", 1000 * quantile(read.waits, 0.5), "ms", about=f"{len(read.waits):,} answers meanwhile")
    )
    report.add(
        Figure("readers_p95", 1000 * quantile(read.waits, 0.95), "ms", about=f"{len(read.waits):,} answers meanwhile")
    )
    count = 400_000 if quick else 1_500_000
    fastest, together = (_backlog(stack, count, readers) for readers in (0, READERS))
    report.add(Figure("backlog_alone", fastest, "events/s", about=f"{count:,} events waiting: as fast as it goes"))
    report.add(
        Figure("backlog_read", together, "events/s", fastest, together / fastest, about="the same with the readers")
    )


class _Flow(NamedTuple):
    """Events counted a second, how far behind in seconds, and seconds that readers waited."""

    rate: float
    behind_s: float
    waits: list[float]


def _flowing(stack: Stack, seconds: float, readers: int) -> _Flow:
    """A worker at the rate of RATE, watched once it has caught up with its start."""
    place = make_place(stack, f"flowing{readers}", partitions=12)
    client, waits, stream = place.client(), list[float](), Stream(place, RATE)
    try:
        with running_worker(place) as worker, _page(place) as url, _reading(url, readers, waits):
            worker.wait_ready()
            stream.start()
            until(lambda: settled(client) > 3 * RATE, "it counts", worker)
            waits.clear()
            before, began, behind = settled(client), time.monotonic(), list[float]()

            def look() -> bool:
                behind.append((stream.sent - settled(client)) / RATE)
                return time.monotonic() - began > seconds

            ended = until(look, "the time is over", worker, 0.2)
            rate = (settled(client) - before) / (ended - began)
            stream.stop()
    finally:
        client.close()
        drop_place(place)
    note(f"{readers} readers, {RATE:,} events/s come: {rate:,.0f}/s are counted")
    return _Flow(rate, sum(behind) / len(behind), waits)


def _backlog(stack: Stack, count: int, readers: int) -> float:
    """Events a second from the first to the last of a backlog."""
    place = make_place(stack, f"readers{readers}", partitions=12)
    load.produce(place, load.Plan(count, load.now_ms()))
    client, worker = place.client(), Worker(place)
    try:
        with _page(place) as url, _reading(url, readers, []):
            worker.start()
            worker.wait_ready()
            until(lambda: settled(client) > count // 20, "it counts", worker, 0.1)
            before, began = settled(client), time.monotonic()
            ended = until(lambda: settled(client) >= count, "all is counted", worker, 0.1)
    finally:
        worker.stop()
        client.close()
        drop_place(place)
    rate = (count - before) / (ended - began)
    note(f"{readers} readers, a backlog: {rate:,.0f}/s")
    return rate


@contextmanager
def _page(place: Place) -> Iterator[str]:
    """A page server of its own process; its address."""
    port = processes.free_port()
    variables = place.variables | {"TOUCHLINE_PAGE_PORT": str(port), "TOUCHLINE_STATE_DIR": str(place.folder / "page")}
    command = [sys.executable, "-m", "pipeline.command.main", "page"]
    process = processes.start(Command("page", command, place.folder / "page" / "log", "", variables, tied=True))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop(process, 10.0)


@contextmanager
def _reading(url: str, count: int, waits: list[float]) -> Iterator[None]:
    """So many readers in a thread; seconds of every answer go into `waits`."""
    ended = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_readers(url, count, waits, ended)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def _readers(url: str, count: int, waits: list[float], ended: threading.Event) -> None:
    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(_reader(http, f"{url}/v1/scores", number, waits, ended) for number in range(count)))


async def _reader(
    http: aiohttp.ClientSession, url: str, number: int, waits: list[float], ended: threading.Event
) -> None:
    await asyncio.sleep(_EVERY_S * number / READERS)
    while not ended.is_set():
        began = time.monotonic()
        try:
            async with http.get(f"{url}?{_QUESTIONS[number % len(_QUESTIONS)]}") as answer:
                await answer.read()
                if answer.status == 200:
                    waits.append(time.monotonic() - began)
        except aiohttp.ClientError:
            pass  # the server is not there yet
        left = began + _EVERY_S - time.monotonic()
        while left > 0 and not ended.is_set():
            await asyncio.sleep(min(0.2, left))
            left = began + _EVERY_S - time.monotonic()
