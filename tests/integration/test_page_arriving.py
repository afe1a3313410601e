"""Who comes to the page: before the first event, before anything is compared, with a key that sees a part."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Browser, BrowserContext, expect

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.stack.launch import Stack
from pipeline.views.page.entry import Seals
from tests.chaos.faultproxy import FaultProxy
from tests.chaos.harness import Case
from tests.integration.browsing import Served, beside, deployed_beside, free_port
from tests.integration.chromium import chromium
from tests.integration.page_feed import START, fed, hour

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_the_first_events_become_a_number_on_the_screen(
    browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chromium()
    made = Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("first"), partitions=1)
    with deployed_beside(made) as case:
        case.worker("worker")
        port = free_port()
        gateway = {"GATEWAY_PORT": str(port), "GATEWAY_URL": f"http://127.0.0.1:{port}"}
        case.worker("gateway", ("-m", "pipeline.command.main", "gateway"), **gateway)
        own = Served(case, **gateway)
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.goto(own.url)
        expect(page.locator("#empty-title")).to_contain_text("Send the first event", timeout=30_000)
        page.get_by_role("button", name="Copy the command").click()
        page.mouse.move(1, 1)  # what people say is held under a pointer, and it comes to lie where the button is
        expect(page.locator(".steps .done")).to_have_count(3, timeout=60_000)  # parts answer, a worker, the gateway
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator(".command").inner_text()
        environment = {
            **os.environ,
            **case.environment(),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        done = subprocess.run(["bash", "-c", copied], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        expect(page.locator(".steps")).to_contain_text("1 so far", timeout=60_000)
        beside(lambda: asyncio.run(_answers(case, 12)))
        expect(page.locator(".tile .big").first).to_have_text("+100.0", timeout=60_000)
        expect(page.locator(".tile").first).to_contain_text("n 13")
        expect(page.locator(".feed li").first).to_contain_text("NPS 10", timeout=30_000)
        context.close()


async def _answers(case: Case, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=case.bootstrap)
    await producer.start()
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for i in range(count):
        value = (
            f'{{"event_id":"e{i}","occurred_at":"{when}","channel":"web","touchpoint":"checkout",'
            f'"customer_id":"c{i}","metric":"nps","score":10}}'
        )
        await producer.send(case.settings.topic("feedback"), key=b"c%d" % i, value=value.encode())
    await producer.flush()
    await producer.stop()


def test_older_events_are_said_to_be_on_their_way_and_nobody_is_asked_for_a_first_one(
    context: BrowserContext, served: Served
) -> None:
    page = fed(context)
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


def test_a_key_of_one_brand_sees_that_brand_and_a_wrong_one_nothing(context: BrowserContext, place: Case) -> None:
    client = ClickHouse(place.settings)
    _, token = store.create(client, Grant("", "one", frozenset({Right.READ}), brands=frozenset({"aurora"})), 0)
    client.close()
    keys = {"INSECURE_KEYS": "false", "PSEUDONYM_KEY": "1" * 64, "SEAL_KEY": "2" * 64}
    closed = Served(place, **keys)
    page = context.new_page()
    page.goto(closed.url)
    expect(page).to_have_url(re.compile("/login$"))
    page.get_by_label("Key").fill("tl_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("Key").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".tile .big").first).to_be_visible()
    expect(page.locator("select").first.locator("option")).to_have_text(["all brands", "aurora"])
    expect(page.locator(".strip")).not_to_contain_text("rejected")
    page.goto(closed.url + "?brand=birch")
    expect(page.locator(".note")).to_contain_text("may not see that")
    expect(page.locator(".tile")).to_have_count(0)
    ticket = Seals(bytes.fromhex(keys["SEAL_KEY"])).ticket(int(time.time()))  # what `touchline page --open` prints
    page.goto(closed.url + "login?ticket=" + ticket)
    expect(page.locator("select").first.locator("option")).to_have_text(["all brands", "aurora", "birch"])
    closed.process.terminate()
