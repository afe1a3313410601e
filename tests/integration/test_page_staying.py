"""The page over hours and accidents, in a real browser: eight hours, sleep, a cut line, a restart, two tabs."""

from __future__ import annotations

import re
import time

import orjson
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.chaos.faultproxy import FaultProxy
from tests.chaos.harness import Case
from tests.chaos.processes import eventually
from tests.integration.browsing import ALIVE, Served, opened
from tests.integration.page_feed import START, counted, fed, hour

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


#: Eight hours, a turn every minute of them: sections as the server makes them, one feedback each.
_HOURS = """async ({ hours, from, to }) => {
    for (let turn = from; turn < to; turn++) {
        const now = hours[Math.floor(turn / 5)];
        window.feed('status', { at: Date.now(), newest: Date.now(), rate: 5, lag: 0, rejected: 0, reasons: {},
            alerts: 0, trouble: [], worker: true }, '1-' + turn);
        for (const part of ['tiles', 'line', 'heat']) window.feed(part, now[part], '1-' + turn);
        window.feed('feedback', [{ id: 'feedback:1:0:' + turn, occurred_ms: 1e12 + turn * 60000, metric: 'nps',
            scale: '0-10', answer: turn % 11, label: '', confidence: null, touchpoint: 'checkout', channel: 'web',
            unit: '', text: 'said ' + turn, language: 'en' }], '1-' + turn);
        await new Promise(done => requestAnimationFrame(done));
    }
}"""


def heap(page: Page) -> tuple[float, int]:
    """MB of live objects of the tab and number of its nodes, after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used / 1e6, int(nodes)


def steps_of(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".line tbody th").all_inner_texts()]


def test_eight_hours_leave_the_browser_as_it_was_with_no_seam_and_nothing_twice(
    context: BrowserContext, served: Served
) -> None:
    page = fed(context)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(served.url)
    hours = [hour(START + i * 300) for i in range(96)]
    given = {"hours": [{name: orjson.dumps(part).decode() for name, part in one.items()} for one in hours]}
    page.evaluate(_HOURS, {**given, "from": 0, "to": 120})
    early, nodes = heap(page)
    page.evaluate(_HOURS, {**given, "from": 120, "to": 480})
    late, nodes_late = heap(page)
    assert late < early + 2.0
    assert nodes_late < nodes * 1.5 + 500
    page.locator(".line").get_by_role("button", name="Show as table").click()
    shown = steps_of(page)
    first = START + 95 * 300
    expected = page.evaluate(
        "first => Array.from({length: 12}, (_, i) => new Date((first + i * 300) * 1000)"
        ".toLocaleTimeString(undefined, {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'})).reverse()",
        first,
    )
    assert shown == expected
    said = page.locator(".feed .text").all_inner_texts()
    assert said == [f"said {turn}" for turn in range(479, 419, -1)]
    assert wrong == []


def test_a_laptop_that_slept_for_eight_hours_listens_again_and_shows_what_is_true_now(
    context: BrowserContext, place: Case, served: Served
) -> None:
    context.clock.install()
    page, wrong = opened(context, served.url)
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/v1/stream" in request.url else None)
    context.clock.fast_forward("08:00:00")
    eventually(lambda: page.evaluate("1") and streams, "the page listens again", 30)
    context.clock.resume()
    counted(place, seed=12)
    agree(page, served)
    expect(page.locator(".state")).to_have_text(ALIVE)
    ids = page.locator(".feed .who").evaluate_all("links => links.map(link => link.href)")
    assert 0 < len(ids) == len(set(ids))
    assert wrong == []


def agree(page: Page, served: Served) -> None:
    """The first big number, its n and its interval become those of the reading API."""

    def same() -> bool:
        tile = page.locator(".tile").first.inner_text()
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 300 * 300 - 55 * 60))
        answer = page.request.get(served.url + f"v1/scores?metric=nps&grain=all&from={since}")
        (one,) = [one for one in answer.json()["scores"] if one["scale"] == "0-10"]
        texts = [f"n {one['n']:,}", *(f"{one[name]:+.1f}".replace("-", "−") for name in ("score", "low", "high"))]
        return all(text in tile for text in texts)

    eventually(same, "the page says what the API says", 30)


def test_a_line_that_a_proxy_cuts_is_said_to_be_stale_and_every_number_is_right_afterwards(
    context: BrowserContext, place: Case, served: Served
) -> None:
    port = int(served.url.rstrip("/").rpartition(":")[2])
    with FaultProxy(port) as proxy:
        page, _ = opened(context, f"http://127.0.0.1:{proxy.port}/")
        proxy.mode("cut")
        expect(page.locator(".state")).to_have_text(re.compile("Stale"))
        expect(page.locator("main")).to_have_class("stale")
        counted(place, seed=13)
        proxy.mode("ok")
        expect(page.locator(".state")).to_have_text(ALIVE, timeout=30_000)
        expect(page.locator("main")).not_to_have_class("stale")
        agree(page, served)
        page.goto("about:blank")


def test_a_gap_is_said_and_can_be_dismissed(context: BrowserContext, served: Served) -> None:
    page = fed(context)
    page.goto(served.url)
    page.evaluate("one => { for (const [kind, data] of Object.entries(one)) window.feed(kind, data); }", hour(START))
    page.evaluate("window.feed('gap', { why: 'slow' })")
    expect(page.locator(".note")).to_contain_text("some feedback in between is not in the list")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".note")).to_have_count(0)


def test_after_a_restart_the_page_recovers_by_itself_and_had_said_that_it_was_stale(
    context: BrowserContext, place: Case
) -> None:
    own = Served(place)
    page, _ = opened(context, own.url)
    own.process.kill()
    expect(page.locator(".state")).to_have_text(re.compile("Stale"))
    expect(page.locator("main")).to_have_class("stale")
    own.start()
    expect(page.locator(".state")).to_have_text(ALIVE, timeout=30_000)
    expect(page.locator(".note")).to_contain_text("was away")
    agree(page, own)
    own.process.terminate()


def test_two_tabs_share_one_stream(context: BrowserContext, served: Served) -> None:
    first, _ = opened(context, served.url)
    streams: list[str] = []
    second = context.new_page()
    second.on("request", lambda request: streams.append(request.url) if "/v1/stream" in request.url else None)
    second.goto(served.url)
    expect(second.locator(".tile .big").first).to_have_text(first.locator(".tile .big").first.inner_text())
    assert streams == []
    first.close()
    expect(second.locator(".state")).to_have_text(ALIVE)
    eventually(lambda: second.evaluate("1") and streams, "the other tab listens now", 20)
