"""The page over hours and accidents, in a real browser: eight hours, sleep, a cut line, hostile words, answering."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import polars as pl
import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from pipeline.alerts import asking
from pipeline.clickhouse import ClickHouse
from pipeline.stack.launch import Stack
from pipeline.views.page import frames
from pipeline.views.page.frames import Cells
from tests.chaos.faultproxy import FaultProxy
from tests.chaos.harness import Case, eventually
from tests.integration.browsing import ALIVE, HOSTILE, Served, beside, deployed_beside, opened
from tests.integration.chromium import ARGUMENTS, chromium
from tests.integration.page_place import filled, published
from tests.unit.views.page.test_frames import cells

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: A stream that says what the test gives it, in place of the browser's own.
_FED = """
    window.sources = [];
    window.EventSource = class extends EventTarget {
        static CLOSED = 2;
        constructor(url) { super(); this.url = url; this.readyState = 1; window.sources.push(this); }
        close() { this.readyState = 2; }
    };
    window.feed = (kind, given, id) => {
        const data = typeof given === 'string' ? given : JSON.stringify(given);
        window.sources.at(-1).dispatchEvent(new MessageEvent(kind, { data, lastEventId: id ?? '' }));
    };
"""
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
START = 1_777_622_400


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    chromium()
    made = Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("robust"), partitions=2)
    with deployed_beside(made) as case:
        counted(case, seed=11)
        yield case


def counted(case: Case, seed: int) -> None:
    """More answers of the last hours, in the tables and on the topic."""
    client = ClickHouse(case.settings)
    filled(client, seed=seed, hours=1)
    client.close()
    beside(lambda: asyncio.run(published(case.settings)))


@pytest.fixture(scope="module")
def served(place: Case) -> Served:
    return Served(place)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made.set_default_timeout(30_000)
    yield made
    made.close()


def hour(first: int) -> dict[str, Any]:
    """What the server says of an hour from `first` on: twelve steps of NPS."""
    rows = [
        (first + i * 300, "nps", "0-10", place, "web", {(first // 300 + i) % 11: 30, 9: 20})
        for i in range(12)
        for place in ("checkout", "delivery")
    ]
    seen = cells(*rows)
    found = Cells(seen, seen, seen)
    line = frames.line(found, first, 300, first + 3600)
    usual = seen.with_columns(pl.col("start").map_elements(lambda at: frames.slot(at, 3600), pl.Int64))
    frames.expected(line, frames.summed(usual, ("start",)), 3600)
    return {
        "tiles": {"first": first, "back": 604_800, "tiles": frames.tiles(found), "headline": None, "as_of": ""},
        "line": {**line, "restated": {}, "open": [first + 3300]},
        "heat": frames.heat(found),
    }


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
    context.add_init_script(_FED)
    page = context.new_page()
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
    ids = page.locator(".feed li").count()
    assert ids == len(set(page.locator(".feed li").all_inner_texts()))
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
    context.add_init_script(_FED)
    page = context.new_page()
    page.goto(served.url)
    page.evaluate("one => { for (const [kind, data] of Object.entries(one)) window.feed(kind, data); }", hour(START))
    page.evaluate("window.feed('gap', { why: 'slow' })")
    expect(page.locator(".note")).to_contain_text("some feedback in between is not in the list")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".note")).to_have_count(0)


def feedback(number: int) -> dict[str, Any]:
    """One answer as the stream says it."""
    said = {"text": f"said {number}", "label": "positive", "confidence": 0.9, "touchpoint": "checkout", "unit": ""}
    place = {"channel": "web", "metric": "nps", "scale": "0-10", "answer": 9, "language": "en"}
    return {"id": f"feedback:1:0:{number}", "occurred_ms": 1e12 + number, **said, **place}


def test_feedback_waits_while_it_is_held_and_says_how_much_is_new(context: BrowserContext, served: Served) -> None:
    context.add_init_script(_FED)
    page = context.new_page()
    page.goto(served.url)
    feed = "([kind, data]) => window.feed(kind, data)"
    for kind, data in hour(START).items():
        page.evaluate(feed, [kind, data])
    page.evaluate(feed, ["latest", [feedback(1)]])
    expect(page.locator(".feed .text")).to_have_text(["said 1"])
    page.get_by_role("button", name="Pause").click()
    page.mouse.move(1, 1)
    page.evaluate(feed, ["feedback", [feedback(2), feedback(3)]])
    page.get_by_role("button", name="2 new").click()
    expect(page.locator(".feed .text")).to_have_text(["said 3", "said 2", "said 1"])
    page.evaluate(feed, ["feedback", [feedback(4)]])
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    page.mouse.move(1, 1)
    expect(page.locator(".feed .text")).to_have_text(["said 4", "said 3", "said 2", "said 1"])


def test_older_events_are_said_to_be_on_their_way_and_nobody_is_asked_for_a_first_one(
    context: BrowserContext, served: Served
) -> None:
    context.add_init_script(_FED)
    page = context.new_page()
    page.route("**/v1/feedback?**", lambda route: route.fulfill(body=b'{"feedback": []}'))
    page.goto(served.url)
    feed = "([kind, data]) => window.feed(kind, data)"
    none = hour(START)["tiles"]
    for tile in none["tiles"]:
        tile.update(n=0, score=None, low=None, high=None, change=None, also=[])
    status = {"at": START * 1000, "newest": 0, "lag": 54_719, "catching_up": True, "worker": True, "trouble": []}
    page.evaluate(feed, ["tiles", none])
    page.evaluate(feed, ["status", status])
    expect(page.locator(".note")).to_contain_text("54,719 events wait to be counted")
    caught_up = {**status, "lag": 0, "catching_up": False}
    page.evaluate(feed, ["status", {**caught_up, "newest": (START - 7_200) * 1000}])
    expect(page.locator(".note")).to_contain_text("No event of the last hour")
    expect(page.locator("#empty-title")).to_have_count(0)
    page.evaluate(feed, ["status", {**caught_up, "newest": START * 1000}])
    expect(page.locator("#empty-title")).to_be_visible()
    page.evaluate(feed, ["status", status])
    expect(page.locator("#empty-title")).to_have_count(0)
    page.get_by_role("button", name="Show the last 28 days").click()
    expect(page).to_have_url(re.compile("span=28d"))


def hostile(value: Any) -> Any:
    """A document with hostile words in every text that is not a number, a time or a word of ours."""
    if isinstance(value, dict):
        return {name: hostile(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if value == "?" else value


READING = {"value": -0.1, "low": -0.2, "high": -0.05, "n": 40}
SCORE = {"score": -10.0, "low": -20.0, "high": -5.0, "n": 40, "unit": "points", "scale": "?", "status": "ok"}
SHARE = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 40, "status": "ok"}
AT = "2026-05-01T08:00:00Z"
ALERT = {
    **dict.fromkeys(("rule", "owner", "severity", "metric", "scale", "acked_by", "runbook", "why", "by"), "?"),
    **{"alert_id": "a", "state": "firing", "at": AT, "since": AT, "began": AT, "kind": "incident", "level": 2},
    **{"scope": {"brand": "?", "touchpoint": "?"}, "score": READING, "size": READING, "baseline": 0.3, "count": 9},
}
CAUSE = {"dimension": "?", "value": "?", "share": 0.5, "now": READING, "before": 0.1}
MEMBER = {**ALERT, "id": "m", "contributions": [CAUSE], "verbatims": ["?"]}
TOLD = {"at": AT, **dict.fromkeys(("kind", "step", "by", "why"), "?"), "revision": 1}
STEP = {"step": "?", "journeys": 40, "reach": SHARE, "dropped": 3, "drop_off": SHARE, "scores": [SCORE]}
WAY = {"from": "?", "to": "(end)", "n": 9, "share": SHARE, "median_seconds": 60.0, "map": "?"}
DRIVER = {"driver": "?", "reach": SHARE, "met": SCORE, "others": SCORE, "impact": {**SHARE, "value": -3.0, "low": -9.0}}
EVENT = {
    **dict.fromkeys(("channel", "touchpoint", "brand", "unit", "metric", "scale", "label", "text"), "?"),
    **{"at": AT, "event": "?", "kind": "feedback", "answer": 3, "disposition": "?"},
}
INDEX = {"value": 1.0, "n": 3, "points": 1.0, "peak": 1.0, "end": 1.0}
ANSWERS: dict[str, Any] = {
    "**/v1/journeys?**": {"totals": {"journeys": 40, "arriving": SHARE}, "steps": [STEP], "ways": [WAY]},
    "**/v1/drivers?**": {"whole": SCORE, "drivers": [DRIVER]},
    "**/v1/producers": {
        "producers": [
            {"producer": "?", "state": "?", "why": "?", "arrived": 9, "rejected": 9, "share": 1, "last_ms": 1}
        ],
        "rejected": {HOSTILE: 9},
    },
    "**/v1/values": {name: ["?"] for name in ("brand", "unit", "channel", "touchpoint")},
    "**/v1/alerts/*": {"id": "a", **dict.fromkeys(("state", "owner"), "?"), "alerts": [MEMBER], "steps": [TOLD]},
    "**/v1/feedback?**": {"feedback": []},
    "**/v1/customers/**": {
        **{"customer": "?", "profile": {"segments": ["?"], "unit": "?"}, "events": 2, "older": 1},
        "index": {"transactions": INDEX, "relationship": INDEX},
        "last_scores": [{"metric": "?", "scale": "?", "answer": 1, "touchpoint": "?", "channel": "?", "at": AT}],
        "timeline": [EVENT, {**EVENT, "kind": "touchpoint", "outcome": "?", "value": 3.0, "currency": "?"}],
    },
}


def test_t38_hostile_words_in_every_field_of_every_panel_stay_text(context: BrowserContext, served: Served) -> None:
    context.add_init_script(_FED)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    for where, document in ANSWERS.items():
        body = orjson.dumps(hostile(document)).decode()
        page.route(where, lambda route, _, body=body: route.fulfill(body=body, content_type="application/json"))
    page.goto(served.url)
    told = hour(START)
    worst = {**SCORE, "touchpoint": "?", "channel": "?", "owner": "?"}
    told["tiles"]["headline"] = {"metric": "nps", "scale": "0-10", "unit": "points", "worst": worst}
    told["tiles"]["tiles"][0]["also"] = [SCORE]
    told["heat"]["nps"].append(["?", "?", 40, -10.0, -20.0, -5.0])
    told["status"] = {"at": 1, "newest": 1, "trouble": ["?"], "reasons": {HOSTILE: 1}, "rejected": 1, "worker": True}
    said = dict.fromkeys(("metric", "scale", "touchpoint", "channel", "unit", "text", "language"), "?")
    told["feedback"] = [{"id": "?", "occurred_ms": 1, "answer": 3, "label": "positive", "confidence": 1, **said}]
    told["alerts"] = [ALERT, {**ALERT, "alert_id": "b", "acked_by": "", "alerts": [ALERT]}]
    told["line"]["restated"] = {str(START): {HOSTILE: 1}}
    page.evaluate("one => { for (const [kind, data] of Object.entries(one)) window.feed(kind, data); }", hostile(told))
    page.locator("footer").scroll_into_view_if_needed()
    for part in (".headline", ".strip", ".alerts", ".map", ".feed", ".journey", ".drivers", ".producers"):
        expect(page.locator(part)).to_contain_text("onerror")
    for part in ("line", "journey", "drivers"):
        page.locator(f".{part}").get_by_role("button", name="Show as table").click()
    page.goto(served.url + "alerts/a")
    expect(page.locator("dialog")).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
    page.goto(served.url + "customer?id=x")
    expect(page.locator(".story")).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0
    assert wrong == []


async def told(case: Case, **fields: Any) -> None:
    """A step of an incident on the topic `alerts`."""
    producer = AIOKafkaProducer(bootstrap_servers=case.bootstrap)
    await producer.start()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    step = {"alert_id": "inc-1", "state": "firing", "rule": "", "scope": {"brand": "aurora"}, "owner": "logistics"}
    value = orjson.dumps({**step, "at": at, "kind": "incident", "metric": "nps", **fields})
    await producer.send(case.settings.topic("alerts"), value=value)
    await producer.stop()


def test_an_alert_is_acknowledged_with_the_keyboard_and_everybody_sees_who_did(
    context: BrowserContext, place: Case, served: Served
) -> None:
    page, wrong = opened(context, served.url)
    beside(lambda: asyncio.run(told(place, revision=1)))
    button = page.locator(".alerts").get_by_role("button", name="Acknowledge")
    expect(button).to_be_visible()
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Ana")
    page.keyboard.press("Tab")
    page.keyboard.type("calling the carrier")
    page.keyboard.press("Enter")
    client = ClickHouse(place.settings)
    (order,) = eventually(lambda: page.evaluate("1") and asking.waiting(client), "the order waits")
    assert (order.by, order.kind, order.target, order.body) == (
        "Ana",
        "ack",
        "inc-1",
        {"comment": "calling the carrier"},
    )
    asking.done(client, [order], {order.id: "acknowledged"}, 1, 1)
    client.close()
    beside(lambda: asyncio.run(told(place, revision=2, acked_by="Ana")))
    expect(page.locator(".alerts")).to_contain_text("taken by Ana")
    expect(page.locator(".alerts").get_by_role("button", name="Acknowledge")).to_have_count(0)
    assert wrong == []


def test_the_first_score_waits_for_the_files_and_one_answer_and_for_nothing_that_grows(
    context: BrowserContext, place: Case
) -> None:
    """What "at once, also after a week" rests on; how many seconds that is, `python -m tests.bench page` says.

    The page is given its own files and its stream and nothing else, while ClickHouse, which has the history, hangs.
    """
    with FaultProxy(int(place.url.rpartition(":")[2])) as proxy:
        own = Served(place, CLICKHOUSE_URL=f"http://127.0.0.1:{proxy.port}")
        proxy.mode("hang")
        asked: list[str] = []
        page = context.new_page()  # nobody was there before
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.route(re.compile("/v1/(?!stream)"), lambda route: route.abort())
        page.goto(own.url, wait_until="commit")
        expect(page.locator(".tile .big").first).to_have_text(re.compile(r"\d"))
        expect(page.locator(".tile .change").first).to_have_text("looking …")
        files = [path for path in asked if not path.startswith("/v1/")]
        assert asked.count("/v1/stream") == 1
        assert len(set(files)) <= 5, files
        page.close()
        proxy.mode("ok")
        own.process.terminate()
