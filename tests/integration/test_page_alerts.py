"""Alerts on the page, in a real browser: where, since when, who acts, and the answer of whoever takes care of it."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import BrowserContext, Page, expect

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.alerts import asking
from pipeline.clickhouse import ClickHouse
from tests.chaos.harness import Case
from tests.chaos.processes import eventually
from tests.integration.browsing import HOSTILE, Served, beside, opened
from tests.integration.page_place import called

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_the_link_of_a_message_opens_its_incident_for_those_who_may_see_it(
    context: BrowserContext, place: Case
) -> None:
    began = int(time.time()) // 300 * 300 - 4_500
    incident = beside(lambda: asyncio.run(called(place.settings, began=began)))
    client = ClickHouse(place.settings)
    tokens = {
        brand: store.create(client, Grant("", brand, frozenset({Right.READ}), brands=frozenset({brand})), 0)[1]
        for brand in ("aurora", "birch")
    }
    client.close()
    closed = Served(place, INSECURE_KEYS="false", PSEUDONYM_KEY="1" * 64, SEAL_KEY="2" * 64)
    page = context.new_page()
    page.goto(f"{closed.url}alerts/{incident}")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Key").fill(tokens["aurora"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{closed.url}alerts/{incident}")
    dialog = page.locator("dialog")
    for said in (
        "NPS, aurora",
        "Logistics acts, called",
        "NPS +12.0 (+7.0 to +17.0, n 400)",
        "email: 80 % of it",
        HOSTILE[:20],
    ):
        expect(dialog).to_contain_text(said)
    expect(dialog.locator("tbody tr").last).to_contain_text("firing")
    assert page.evaluate("window.hit") is None
    page.keyboard.press("Escape")
    expect(page).to_have_url(closed.url)
    page.locator(".alerts .title").first.click()
    expect(page).to_have_url(f"{closed.url}alerts/{incident}")
    expect(dialog).to_contain_text("email: 80 % of it")
    page.go_back()
    expect(dialog).to_have_count(0)
    says_where_since_when_and_who(page, began)
    context.clear_cookies()
    page.goto(f"{closed.url}login?to=/alerts/{incident}")
    page.get_by_label("Key").fill(tokens["birch"])
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("no such alert")
    expect(page.locator(".alerts")).to_contain_text("No alert")
    for beginning in (incident[:4], "0000"):  # neither says what else there is
        answer = page.request.get(f"{closed.url}v1/alerts/{beginning}")
        assert (answer.status, incident in answer.text()) == (404, False)
    closed.process.terminate()


def says_where_since_when_and_who(page: Page, began: int) -> None:
    """The sentences at the top and the list name the same place, time and owner; the line begins before the trouble."""
    clock = time.strftime("%H:%M", time.localtime(began))
    since = rf"since (\w+, \w+ \d+, )?{clock}, 1 h "  # with the day where it is not today's
    headline, listed = page.locator(".headline"), page.locator(".alerts li").first
    for said in ("Alert: NPS, aurora · delivery " + since, "Logistics acts, not acknowledged yet"):
        expect(headline).to_contain_text(re.compile(said))
    for said in ("NPS, aurora · delivery", since, "Logistics acts, called "):
        expect(listed).to_contain_text(re.compile(said))
    expect(page.locator("#line-title")).to_have_text("NPS, last 3 hours, back to where an alert began")
    page.locator(".line").get_by_role("button", name="Show as table").click()
    steps = page.locator(".line tbody th").all_inner_texts()
    assert len(steps) == len(set(steps)) == 36
    told = page.locator(".line tbody tr").filter(has=page.get_by_role("rowheader", name=clock))
    expect(told).to_contain_text("alert")
    assert re.search(r"n? ?\d", told.locator("td").nth(2).inner_text()), "what was counted before the last hour"


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
    mine = page.locator(".alerts ol > li").filter(has=page.get_by_role("link", name="NPS, aurora", exact=True))
    button = mine.get_by_role("button", name="Acknowledge")
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
    expect(mine).to_contain_text("Logistics acts")
    expect(mine).to_contain_text("taken by Ana")
    expect(button).to_have_count(0)
    assert wrong == []
