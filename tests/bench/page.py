"""The live page: how soon an event is seen in a browser, how soon the page is drawn, and a thousand viewers.

Needs Debian's Chromium for the first two; without it they are left out, and said.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import orjson
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.clickhouse import ClickHouse
from pipeline.intake.producing import Producer
from pipeline.stack import processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Command, Process, free_port
from pipeline.views.page.server import site
from tests.bench.figures import Figure, Report, note, quantile
from tests.bench.load import Stream
from tests.bench.place import Place, cpu_s, drop_place, make_place, running_worker, until
from tests.integration.page_place import week

RATE = 2_000
#: A marker this often; each has a touchpoint of its own, which is a row of the map.
_MARK_S = 0.5
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
#: Notes in the page itself when the row of a marker is drawn.
_WATCH = """() => {
    window.seen = {};
    const look = () => document.querySelectorAll('.map tbody th').forEach(cell => {
        const mark = /^mark (\\d+)$/.exec(cell.textContent);
        if (mark && !(mark[1] in window.seen)) window.seen[mark[1]] = Date.now();
    });
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
#: First paint of the first score, by the browser's own clock since the start of the navigation.
_PAINTED = """() => new Promise(done => {
    const look = () => {
        const big = document.querySelector('.tile:not(.empty) .big');
        if (big) done(performance.now()); else requestAnimationFrame(look);
    };
    look();
})"""


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `page`."""
    weight = sum(len(gzip.compress(file.body, 9)) for file in site().values())
    report.add(Figure("page_weight", weight / 1000, "kB", target="<= 60", about="all files, packed"))
    place = make_place(stack, "page")
    with running_worker(place) as worker, _page(place) as served:
        worker.wait_ready()
        stream = Stream(place, RATE)
        stream.start()
        until(lambda: len(stream.marked) > 20, "the stream runs")
        if shutil.which("chromium"):
            _in_a_browser(place, served, report, 10 if quick else 25)
        else:
            report.say("No Chromium: what a browser sees was not measured.")
        _many_viewers(served, report, 100 if quick else 1_000, 5 if quick else 15)
        if shutil.which("chromium"):
            _after_a_week(place, report)
        stream.stop()
    drop_place(place)


@dataclass(frozen=True, slots=True)
class Served:
    """A page process under measurement."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def _page(place: Place) -> Iterator[Served]:
    port = free_port()
    arguments = [sys.executable, "-m", "pipeline.command.main", "page"]
    settings = place.variables | {"TOUCHLINE_PAGE_PORT": str(port)}
    process = processes.start(Command("page", arguments, place.folder / "page.log", "", settings, tied=True))
    try:
        until(lambda: processes.answers(port), "the page answers")
        yield Served(process, port)
    finally:
        processes.stop(process, 10.0)


def _in_a_browser(place: Place, served: Served, report: Report, seconds: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        painted = sorted(_painted(browser, served) for _ in range(5))
        report.add(Figure("first_score_painted", painted[2] / 1000, "s", target="< 1", about="median of 5 visits"))
        page = browser.new_page()
        page.goto(served.url)
        page.wait_for_selector(".map")
        waits = _watched(place, page, seconds)
        browser.close()
    about = f"{len(waits)} marked answers in {seconds} s at {RATE:,} events/s, from producing to drawn in the browser"
    for share, name, target in ((0.5, "p50", "< 1"), (0.95, "p95", "< 2"), (1.0, "max", "")):
        report.add(Figure(f"drawn_{name}", quantile(waits, share), "s", target=target, about=about))


def _after_a_week(place: Place, report: Report) -> None:
    """A page that has just started, over tables of a week: its first visit, then later ones."""
    client = ClickHouse(place.settings)
    week(client)
    client.close()
    with _page(place) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        browser.new_page().goto("about:blank")  # the first tab of a browser that has just begun is the browser's time
        first, *others = (_painted(browser, served) for _ in range(6))
        browser.close()
    about = "200,000 window rows of a week beside the stream"
    report.add(Figure("week_first_visit", first / 1000, "s", target="< 2", about=f"{about}; nobody was there before"))
    report.add(
        Figure("week_score_painted", sorted(others)[2] / 1000, "s", target="< 2", about="median of 5 more visits")
    )


def _painted(browser: Browser, served: Served) -> float:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.url, wait_until="commit")
    found = float(page.evaluate(_PAINTED))
    context.close()
    return found


def _watched(place: Place, page: Page, seconds: int) -> list[float]:
    page.evaluate(_WATCH)
    sent: dict[str, float] = {}
    thread = threading.Thread(target=lambda: asyncio.run(_mark(place, seconds, sent)))
    thread.start()
    while thread.is_alive():
        page.wait_for_timeout(200)
    thread.join()
    page.wait_for_function("wanted => Object.keys(window.seen).length >= wanted", arg=len(sent), timeout=60_000)
    seen = page.evaluate("window.seen")
    return [seen[mark] / 1000 - when for mark, when in sent.items()]


async def _mark(place: Place, seconds: int, sent: dict[str, float]) -> None:
    async with Producer(place.settings) as producer:
        for number in range(int(seconds / _MARK_S)):
            now = time.time()
            value = {
                "event_id": f"mark-{number}",
                "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                "channel": "web",
                "touchpoint": f"mark_{number}",
                "customer_id": f"m{number}",
                "metric": "nps",
                "score": 9,
            }
            await producer.send_many("feedback", [b"m%d" % number], [orjson.dumps(value)])
            await producer.flush()
            sent[str(number)] = now
            await asyncio.sleep(_MARK_S)


def _many_viewers(served: Served, report: Report, viewers: int, seconds: int) -> None:
    """All in this process, so what they wait for the client itself is in the figure."""
    note(f"{viewers:,} viewers for {seconds} s")
    # What the process grows by in the same time with one viewer (scores that come in) is not the viewers'.
    first_mb = processes.memory_mb(served.process) or 0.0
    asyncio.run(_viewers(served, 1, seconds))
    before_mb = processes.memory_mb(served.process) or 0.0
    before_mb += max(0.0, before_mb - first_mb)
    waits, used = asyncio.run(_viewers(served, viewers, seconds))
    after_mb = processes.memory_mb(served.process) or 0.0
    about = f"{viewers:,} viewers, the page's own stream at {RATE:,} events/s, client on the same machine"
    report.add(Figure("viewers_cpu", 100 * used / seconds, "% of a core", target="< 30", about=about))
    report.add(
        Figure("viewers_p99", 1000 * quantile(waits, 0.99), "ms", target="< 250", about="status frame, sent to read")
    )
    report.add(
        Figure("viewer_memory", 1000 * (after_mb - before_mb) / viewers, "kB", target="<= 15", about="resident, each")
    )


async def _viewers(served: Served, viewers: int, seconds: int) -> tuple[list[float], float]:
    waits: list[float] = []
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        tasks = [asyncio.create_task(_view(http, served, waits)) for _ in range(viewers)]
        await asyncio.sleep(5 + viewers / 500)
        waits.clear()
        began = cpu_s(served.process)
        await asyncio.sleep(seconds)
        used = cpu_s(served.process) - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return waits, used


async def _view(http: aiohttp.ClientSession, served: Served, waits: list[float]) -> None:
    async with http.get(served.url + "v1/stream") as answer:
        kind = b""
        async for line in answer.content:
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif kind == b"status" and line.startswith(b"data: "):
                at = orjson.loads(line[6:]).get("said")
                if at:
                    waits.append(time.time() - at / 1000)
