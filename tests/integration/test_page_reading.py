"""The page in a real browser: what a person reads, by eye, by ear and in its words."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.integration.browsing import ALIVE, Served, opened
from tests.integration.page_feed import START, fed, feedback, hour

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_a_person_reads_score_interval_n_and_where_it_is_worst(context: BrowserContext, served: Served) -> None:
    page, wrong = opened(context, served.url)
    tile = page.locator(".tile").first
    assert re.fullmatch(r"[+−]?\d+\.\d", tile.locator(".big").inner_text())
    assert re.search(r"[+−]?\d+\.\d to [+−]?\d+\.\d", tile.locator(".sub").first.inner_text())
    assert re.search(r"n [\d,]+", tile.inner_text())
    expect(page.locator(".headline")).to_contain_text("NPS is")
    expect(page.locator(".state")).to_have_text(ALIVE)
    assert page.locator(".plot canvas").count() == 1
    assert wrong == []


def test_what_a_customer_sends_stays_text_wherever_it_is_shown(context: BrowserContext, served: Served) -> None:
    page, wrong = opened(context, served.url + "?rows=unit")
    expect(page.locator(".feed .text").first).to_contain_text("<script>window.hit=1</script>")
    expect(page.locator(".feed .text").first).to_contain_text("\\u202egnp")
    expect(page.locator(".feed .text").first).to_contain_text("(cut: more was written)")
    expect(page.locator(".feed .at").first).to_contain_text("#delivery · #price")
    expect(page.locator(".map")).to_contain_text("onerror")
    page.get_by_role("button", name="Why this number: NPS").click()
    expect(page.locator("dialog .facts")).to_contain_text("adjusted Wald")
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
    assert wrong == []


def test_every_score_explains_itself_where_it_stands_and_in_the_glossary(
    context: BrowserContext, served: Served
) -> None:
    page, wrong = opened(context, served.url)
    names = page.locator(".tile h2 .term")
    for name in (names.nth(i) for i in range(names.count())):
        name.hover()
        tip = name.locator(".tip")
        expect(tip).to_be_visible()
        page.evaluate("text => { (window.tips ??= []).push(text); }", tip.inner_text())
    tips = page.evaluate("tips")
    names.last.click()
    expect(page).to_have_url(re.compile("/glossary#sentiment$"))
    told = page.locator("main").inner_text()
    assert len(tips) == 4
    assert [tip for tip in tips if tip not in told] == []
    assert wrong == []


def test_a_chart_says_the_same_as_a_table(context: BrowserContext, served: Served) -> None:
    page, _ = opened(context, served.url)
    page.locator(".line").get_by_role("button", name="Show as table").click()
    assert page.locator(".line table tbody tr").count() in (12, 36)  # further back where an alert began
    expect(page.locator(".line tbody tr").filter(has_text="restated")).to_have_count(1, timeout=30_000)
    assert "NPS over the last " in (page.locator(".plot").get_attribute("aria-label") or "")
    assert page.locator(".line th", has_text="Expected").count() == 1
    for part, row in (("journey", "Lost here"), ("drivers", "Pull on the score")):
        card = page.locator(f".{part}")
        card.scroll_into_view_if_needed()
        expect(card.locator("svg").first).to_be_attached()
        card.get_by_role("button", name="Show as table").click()
        expect(card.locator("th", has_text=row)).to_be_visible()
        expect(card.locator("svg")).to_have_count(0)


def test_feedback_waits_while_it_is_held_and_says_how_much_is_new(context: BrowserContext, served: Served) -> None:
    page = fed(context)
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
