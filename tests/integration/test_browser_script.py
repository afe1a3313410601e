"""touchline.js and answer links in a real browser: what a page sends, what it does not, and when a click counts.

Skipped where there is no Chromium, but a failure where CI is set; .ci/run installs it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from playwright.sync_api import BrowserContext, Page, sync_playwright

from pipeline.intake.pages import STATIC
from pipeline.stack.launch import Stack
from tests.integration.gateway_place import Place, eventually, placed
from tests.integration.test_answers import signed

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Runs as root, in a container, without a display.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NOT_TRACKED = "Object.defineProperty(navigator, 'doNotTrack', {get: () => '1'})"
PRIVATE = "Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})"


def chromium() -> str:
    """Where Chromium is; skips or fails where it is not."""
    found = shutil.which("chromium")
    if found is None:
        said = "no Chromium: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    chromium()
    async with placed(stack, topic_prefix, database) as made:
        yield made


@pytest.fixture
async def shop(place: Place) -> AsyncIterator[str]:
    """A web shop of another origin that brings the script; `?more` stands in its tag."""

    async def page(request: web.Request) -> web.Response:
        more = request.query.get("more", "")
        script = f'<script src="{place.server.url}/touchline.js" data-key="{place.token}" {more}></script>'
        text = f'<!doctype html><html lang="de"><title>Shop</title>{script}<div id="box"></div></html>'
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def browsed(act: Callable[[BrowserContext], Any]) -> Any:
    """What `act` gives in a fresh browser, in a thread of its own."""

    def go() -> Any:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
            try:
                return act(browser.new_context())
            finally:
                browser.close()

    return await asyncio.to_thread(go)


async def events(place: Place, count: int, *topics: str) -> list[dict[str, Any]]:
    """The values on the topics when there are so many."""

    async def there() -> bool:
        return len(await place.sent(*topics)) >= count

    await eventually(there, 20)
    return [json.loads(record.value) for record in await place.sent(*topics)]


def test_the_script_is_small_and_needs_nothing() -> None:
    script = (STATIC / "touchline.js").read_bytes()
    assert len(gzip.compress(script, 9)) <= 3 * 1024
    assert b"import" not in script


async def test_a_page_sends_touchpoints_and_an_answer_with_its_reason_and_sets_no_cookie(
    place: Place, shop: str
) -> None:
    def visit(context: BrowserContext) -> list[Any]:
        page = context.new_page()
        page.goto(shop)
        page.evaluate("touchline.identify('customer-4711'); touchline.touchpoint('checkout', {outcome: 'ok'})")
        page.evaluate(
            "touchline.survey({metric: 'csat', question: 'How was it?', touchpoint: 'checkout', into: '#box'})"
        )
        page.get_by_role("button", name="4").click()
        page.get_by_role("textbox", name="Why?").fill("Quick. canary@example.org")
        page.get_by_role("button", name="OK").click()
        page.get_by_text("Thank you").wait_for()
        for metric, score in (("nps", "10"), ("ces", "7")):
            page.evaluate(f"touchline.survey({{metric: '{metric}', question: 'And?', why: '', into: '#box'}})")
            page.get_by_role("button", name=score, exact=True).click()
        page.get_by_text("Thank you").nth(2).wait_for()
        page.wait_for_timeout(300)
        return list(context.cookies())

    assert await browsed(visit) == []
    (touched,) = await events(place, 1, "touchpoints")
    assert (touched["touchpoint"], touched["outcome"], touched["customer_id"]) == ("checkout", "ok", "customer-4711")
    assert (touched["channel"], touched["language"]) == ("web", "de")
    answers = sorted(await events(place, 4, "feedback"), key=lambda event: int(event.get("revision", 0)))
    first, second = (event for event in answers if event["metric"] == "csat")
    assert (first["score"], second["score"], second["revision"]) == (4, 4, 1)
    others = {event["metric"]: (event["score"], event["scale_min"], event["scale_max"]) for event in answers}
    assert others == {"csat": (4, 1, 5), "nps": (10, 0, 10), "ces": (7, 1, 7)}
    assert first["submission_id"] == second["submission_id"]
    assert second["text"] == "Quick. [email]"


async def test_who_does_not_want_to_be_tracked_is_not_until_consent_is_given(place: Place, shop: str) -> None:
    def visit(context: BrowserContext) -> None:
        context.add_init_script(NOT_TRACKED)
        page = context.new_page()
        page.goto(shop)
        page.evaluate("touchline.touchpoint('page_viewed')")
        with page.expect_response("**/v1/events"):  # nothing comes before this
            page.wait_for_timeout(500)
            page.evaluate("touchline.consent(true)")
        page.evaluate("touchline.consent(false); touchline.touchpoint('checkout')")
        page.wait_for_timeout(500)
        page.goto("about:blank")

    def silent(context: BrowserContext) -> None:
        for signal, asked in (("", "?more=data-consent=ask"), (PRIVATE, "")):
            page = context.new_page()
            page.add_init_script(signal)
            page.goto(shop + asked)
            page.evaluate("touchline.touchpoint('payment')")
            page.wait_for_timeout(500)
            page.goto("about:blank")

    await browsed(silent)
    await browsed(visit)
    assert [event["touchpoint"] for event in await events(place, 1, "touchpoints")] == ["page_viewed"]


async def test_a_cookie_names_a_visitor_where_the_page_asks_for_it_and_they_have_consented(
    place: Place, shop: str
) -> None:
    def visit(context: BrowserContext) -> list[list[Any]]:
        page = context.new_page()
        page.add_init_script(PRIVATE)
        seen = []
        for touchpoint in ("cart", "checkout"):
            page.goto(shop + "?more=data-cookie=30")
            page.evaluate(f"touchline.touchpoint('{touchpoint}')")
            page.wait_for_timeout(300)
            seen.append(context.cookies())
            with page.expect_response("**/v1/events"):  # consent is asked for on each page: it is not stored
                page.evaluate("touchline.consent(true)")
        seen.append(context.cookies())
        page.evaluate("touchline.consent(false)")
        return [*seen, context.cookies()]

    before, second, kept, after = await browsed(visit)
    assert (before, after) == ([], [])
    (cookie,) = kept
    assert (cookie["name"], cookie["secure"], cookie["sameSite"]) == ("tl_visitor", True, "Lax")
    assert cookie["expires"] == pytest.approx(time.time() + 30 * 86_400, abs=60)
    assert second[0]["value"] == cookie["value"]
    touched = await events(place, 2, "touchpoints")
    assert [event["customer_id"] for event in touched] == [cookie["value"]] * 2


async def test_what_waits_when_a_page_is_closed_or_the_gateway_is_away_arrives_all_the_same(
    place: Place, shop: str
) -> None:
    def visit(context: BrowserContext) -> None:
        page = context.new_page()
        page.goto(shop)
        refused: list[str] = []

        def once(route: Any) -> None:
            if refused:
                route.continue_()
            else:
                refused.append(route.request.url)
                route.fulfill(status=503, headers={"Retry-After": "1", "Access-Control-Allow-Origin": "*"})

        page.route("**/v1/events", once)
        with page.expect_response(lambda response: response.status == 202):
            page.evaluate("touchline.touchpoint('checkout')")
        closing(page)

    def closing(page: Page) -> None:
        page.evaluate("window.fetch = () => new Promise(() => {}); touchline.touchpoint('payment')")
        page.goto("about:blank")
        page.wait_for_timeout(500)

    await browsed(visit)
    found = [event["touchpoint"] for event in await events(place, 2, "touchpoints")]
    assert sorted(found) == ["checkout", "payment"]


async def test_events_that_are_too_large_together_go_in_halves_and_only_one_too_large_alone_is_given_up(
    place: Place, shop: str
) -> None:
    """The gateway takes 1 MiB of a request and 256 KiB of an event; a browser 64 KiB of a page that is closed."""
    answer = "touchline.feedback({metric: 'csat', score: 4, text: 'x'.repeat(%d)})"

    def visit(context: BrowserContext) -> list[int]:
        page = context.new_page()
        told: list[int] = []
        page.on("response", lambda each: told.append(each.status) if each.request.method == "POST" else None)
        page.goto(shop)
        large = [answer % length for length in [200_000] * 3 + [1_100_000] + [200_000] * 3]
        with page.expect_response(lambda each: each.status == 202 and "payment" in (each.request.post_data or "")):
            page.evaluate("; ".join([*large, "touchline.touchpoint('payment')"]))
        page.evaluate(
            "window.fetch = () => new Promise(() => {});" + "; ".join(answer % size for size in (40_000, 30_000))
        )
        page.goto("about:blank")
        page.wait_for_timeout(500)
        return told

    told = await browsed(visit)
    # Of eight two go, of the other six one, of the last five none: the first of them is too large alone; then all.
    assert told == [413, 413, 202, 413, 413, 202, 413, 413, 413, 202]
    found = await events(place, 7, "feedback")  # the second one was too much for the browser: it stayed behind
    assert [len(event["text"]) for event in found] == [10_000] * 7
    assert all(event["truncated"] for event in found)


async def test_a_link_is_answered_by_a_person_and_not_by_a_browser_that_only_opens_it(place: Place) -> None:
    link = await asyncio.to_thread(signed, place.server.url, "customer-4711", "--touchpoint", "delivery")
    scores = link["scores"]
    assert isinstance(scores, dict)

    def opened(context: BrowserContext) -> None:
        page = context.new_page()
        page.goto(scores["9"])
        page.wait_for_timeout(1_000)

    def answered(context: BrowserContext) -> str:
        page = context.new_page()
        page.goto(scores["9"])
        page.mouse.move(100, 100)
        page.get_by_label("main reason").fill("Early.")
        page.get_by_role("button", name="Send").click()
        return page.get_by_text("It is noted").inner_text()

    await browsed(opened)
    assert await place.sent("feedback") == []
    assert "noted" in await browsed(answered)
    first, second = sorted(await events(place, 2, "feedback"), key=lambda event: event["revision"])
    assert (first["score"], second["score"], second["text"]) == (9, 9, "Early.")
