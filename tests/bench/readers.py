"""Fifty people at dashboards while events come in: how much they slow ingestion down, and how long they wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from pipeline.stack import processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Command
from tests.bench import load
from tests.bench.figures import Figure, Report, note, quantile
from tests.bench.place import Place, Worker, drop_place, make_place, settled, until

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


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `readers`."""
    count = 400_000 if quick else 1_500_000
    alone, _ = _measured(stack, count, readers=0)
    together, waits = _measured(stack, count, readers=READERS)
    slower = 100 * (1 - together / alone)
    about = f"{READERS} readers, each asks the API every 5 s for one of five dashboards of 24 h"
    report.add(
        Figure("ingestion_alone", alone, "events/s", about=f"{count:,} events waiting, 12 partitions, one worker")
    )
    report.add(Figure("ingestion_read", together, "events/s", alone, together / alone, target=">= 20,000", about=about))
    report.add(Figure("readers_slow_by", slower, "%", target="< 15", about="ingestion with them against without"))
    report.add(Figure("readers_p50", 1000 * quantile(waits, 0.5), "ms", about=f"{len(waits):,} answers meanwhile"))
    report.add(Figure("readers_p95", 1000 * quantile(waits, 0.95), "ms", about=f"{len(waits):,} answers meanwhile"))


def _measured(stack: Stack, count: int, readers: int) -> tuple[float, list[float]]:
    """Events a second from the first to the last of a backlog, and seconds that readers waited."""
    place = make_place(stack, f"readers{readers}", partitions=12)
    load.produce(place, load.Plan(count, load.now_ms()))
    client, worker, waits = place.client(), Worker(place), list[float]()
    try:
        with _page(place) as url, _reading(url, readers, waits):
            worker.start()
            worker.wait_ready()
            until(lambda: settled(client) > count // 20, "it counts", worker, 0.1)
            before, began = settled(client), time.monotonic()
            waits.clear()
            ended = until(lambda: settled(client) >= count, "all is counted", worker, 0.1)
    finally:
        worker.stop()
        client.close()
        drop_place(place)
    rate = (count - before) / (ended - began)
    note(f"{readers} readers: {rate:,.0f}/s")
    return rate, waits


@contextmanager
def _page(place: Place) -> Iterator[str]:
    """A page server of its own process; its address."""
    import sys

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
