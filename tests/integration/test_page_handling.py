"""The page in a real browser: what a person does with mouse and keys alone."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from pipeline.clickhouse import ClickHouse
from tests.chaos.harness import Case
from tests.chaos.processes import eventually
from tests.integration.browsing import Served, beside, opened
from tests.integration.page_place import filled, published

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_a_cell_filters_the_page_and_the_address_can_be_shared(context: BrowserContext, served: Served) -> None:
    page, wrong = opened(context, served.url)
    before = page.locator(".tile").first.inner_text()
    page.locator(".cell:not(.few)", has_text="checkout").first.click()
    expect(page).to_have_url(re.compile(r"channel=\w+.*touchpoint=checkout"))
    expect(page.locator(".tile").first).not_to_have_text(before)
    expect(page.locator(".tile").first.locator(".n, .sub").first).not_to_be_empty()
    other = context.new_page()  # not `opened`: within the last hour the cell may have few answers by now
    other.goto(page.url)
    expect(other.locator(".tile .big").first).not_to_be_empty()
    # Both go on with the stream: they are to agree, whatever the number is at that moment.
    agreed = page.locator(".tile .big").first, other.locator(".tile .big").first
    eventually(lambda: agreed[0].inner_text() == agreed[1].inner_text(), "both show the same", 30)
    page.get_by_role("button", name="Clear").click()
    expect(page).not_to_have_url(re.compile("channel"))
    assert wrong == []


def test_everything_goes_with_the_keyboard_alone(context: BrowserContext, served: Served) -> None:
    page, wrong = opened(context, served.url)
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile("span=24h"))
    expect(page.locator("#line-title")).to_have_text("NPS, last 24 hours")
    page.keyboard.press("1")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator(".plot canvas").wait_for()
    page.locator(".plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".readout")).to_contain_text(re.compile(r"^\d\d:\d\d"))
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reset zoom")).to_have_count(0)
    cell = page.locator(".cell:not(.few)", has_text="checkout").first
    for chosen in ("true", "false"):
        cell.focus()
        page.keyboard.press("Enter")
        expect(cell).to_have_attribute("aria-pressed", chosen)
    why = page.get_by_role("button", name="Why this number: NPS")
    why.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog .facts")).to_contain_text("everything")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(why).to_be_focused()
    reached = set()
    page.locator(".skip").focus()
    wanted = {"card line", "card heat", "card feed", "card beyond journey", "card beyond drivers", "top"}
    for _ in range(400):
        page.keyboard.press("Tab")
        at = "(document.activeElement.closest('section') ?? document.activeElement.closest('header'))?.className"
        reached.add(page.evaluate(at))
        if wanted <= reached:
            break
    assert wanted <= reached, reached
    assert wrong == []


def test_dragging_over_the_line_zooms_and_new_figures_leave_the_zoom_alone(
    context: BrowserContext, place: Case, served: Served
) -> None:
    page, wrong = opened(context, served.url)
    over = page.locator(".plot .u-over")
    box = over.bounding_box()
    assert box is not None
    first = seen_at(page, box["x"] + 1, box["y"] + 40)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
    page.mouse.up()
    reset = page.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_visible()
    zoomed = seen_at(page, box["x"] + 1, box["y"] + 40)
    assert zoomed > first, "the left edge is half an hour later"
    n = page.locator(".tile .n").first.inner_text()
    client = ClickHouse(place.settings)
    filled(client, seed=12, hours=1)
    client.close()
    beside(lambda: asyncio.run(published(place.settings)))
    expect(page.locator(".tile .n").first).not_to_have_text(n)
    assert seen_at(page, box["x"] + 1, box["y"] + 40) >= zoomed
    reset.click()
    expect(reset).to_have_count(0)
    assert seen_at(page, box["x"] + 1, box["y"] + 40) < zoomed
    assert wrong == []


def seen_at(page: Page, x: float, y: float) -> float:
    """The moment under the mouse, seconds, as the line's scale has it."""
    page.mouse.move(x + 3, y + 3)
    page.mouse.move(x, y)
    expect(page.locator(".readout")).to_contain_text(re.compile(r"^\d\d:\d\d"))
    hours, minutes = page.locator(".readout").inner_text()[:5].split(":")
    now = time.localtime()  # the hour may lie across midnight
    return (int(hours) * 60 + int(minutes) - now.tm_hour * 60 - now.tm_min - 10) % 1440
