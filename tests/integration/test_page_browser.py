"""The page in a real browser (Debian's Chromium): what a person sees, with mouse, keys, reader, after a cut line.

Skipped where there is no Chromium, but a failure where CI is set; .ci/run installs it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from typer.testing import CliRunner

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.command.report import app as report_command
from pipeline.stack.launch import Stack
from pipeline.views.page.entry import Seals
from pipeline.views.page.server import STATIC, site
from tests.chaos.harness import Case, eventually
from tests.integration.browsing import ALIVE, HOSTILE, Served, beside, deployed_beside, free_port, opened
from tests.integration.chromium import ARGUMENTS, chromium
from tests.integration.lives import HOUR, Lives
from tests.integration.page_place import called, filled, published, texts_of
from tests.integration.picture import MOST

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
#: What it looks like, for people: both themes and widths, and on paper.
SCREENS = Path(__file__).resolve().parents[2] / "out" / "page"
#: All files of the page together, packed.
BUDGET = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Figures of three hours, hostile words among them, on the topic too."""
    chromium()
    made = Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("page"), partitions=2)
    with deployed_beside(made) as case:
        client = ClickHouse(case.settings)
        filled(client, seed=11, touchpoints=("checkout", "delivery", HOSTILE))
        lived(client)
        texts_of(client, HOSTILE)
        client.close()
        beside(lambda: asyncio.run(published(case.settings)))
        yield case


def lived(client: ClickHouse) -> None:
    """Two days of forty customers who bought something and were asked about it; hostile words at one step."""
    lives = Lives()
    for customer in range(1, 41):
        at = time.time() - 2 * 86_400 - customer * 60
        lives.did(customer, at, "page_viewed", brand="aurora")
        lives.did(customer, at + 60, "checkout", "fail" if customer % 4 == 0 else "ok", brand="aurora")
        lives.did(customer, at + 120, HOSTILE, brand="aurora")
        if customer % 2:
            lives.did(customer, at + 180, "delivery", brand="aurora")
        lives.said(customer, at + HOUR, 2 if customer % 4 == 0 else 9, "checkout", brand="aurora")
    lives.write(client)


@pytest.fixture(scope="module")
def served(place: Case) -> Served:
    return Served(place)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made.set_default_timeout(30_000)
    yield made
    made.close()


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
    expect(page.locator(".map")).to_contain_text("onerror")
    page.get_by_role("button", name="Why this number: NPS").click()
    expect(page.locator("dialog .facts")).to_contain_text("adjusted Wald")
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
    assert wrong == []


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


def test_whoever_wants_no_motion_gets_none(context: BrowserContext, served: Served) -> None:
    page, _ = opened(context, served.url)
    moving = """() => { const dot = document.createElement('p'); dot.className = 'live';
        dot.innerHTML = '<i class="dot"></i>'; document.body.append(dot);
        const found = document.getAnimations().length; dot.remove(); return found; }"""
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) >= 1


def test_on_paper_everything_is_there_dark_on_white_and_nothing_is_cut(browser: Browser, served: Served) -> None:
    """Chosen dark on a dark machine; as wide as A4 between its margins."""
    context = browser.new_context(viewport={"width": 718, "height": 1000}, color_scheme="dark", bypass_csp=True)
    page, _ = opened(context, served.url + "?brand=aurora")
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    expect(page.locator(".flow rect").first).to_be_attached(timeout=30_000)  # without anybody scrolling there
    expect(page.locator(".producers h3")).to_be_attached()
    page.evaluate(_ON_PAPER)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.get_by_role("heading", level=1)).to_contain_text("brand aurora")
    for part in (".headline", ".tile .big", ".plot canvas", ".map .cell", ".alerts", ".feed li", ".flow", ".bars"):
        expect(page.locator(part).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.evaluate("document.querySelector('.plot canvas').getBoundingClientRect().right") <= 718
    assert page.evaluate(_CUT) == []
    page.add_script_tag(path=AXE)
    found = "axe.run({ runOnly: ['color-contrast'] }).then(r => r.violations.map(v => v.nodes.map(n => n.target)))"
    assert page.evaluate(found) == []
    assert page.evaluate(_INKS) == {"light": True, "dark": False}
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="null")
    SCREENS.mkdir(parents=True, exist_ok=True)
    assert page.pdf(path=SCREENS / "paper.pdf", format="A4").startswith(b"%PDF")
    assert page.evaluate("printed") == ["beforeprint", "afterprint"] * 2
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(_INKS) == {"light": False, "dark": True}
    context.close()


_ON_PAPER = """() => { window.printed = [];
    for (const kind of ['beforeprint', 'afterprint']) addEventListener(kind, () => window.printed.push(kind)); }"""
#: Parts whose content is larger than they are.
_CUT = """() => [...document.querySelectorAll('.scroll, .card')]
    .filter(one => one.scrollHeight > one.clientHeight + 2 || one.scrollWidth > one.clientWidth + 2)
    .map(one => one.className + ' ' + one.closest('section').className)"""
#: Whether the line is drawn in the accent of the light theme, of the dark one.
_INKS = """() => {
    const canvas = document.querySelector('.plot canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const has = wanted => data.some((_, i) => i % 4 === 0 && wanted.every((part, j) => data[i + j] === part));
    return { light: has([0x0b, 0x6e, 0x6e, 255]), dark: has([0x52, 0xc7, 0xc4, 255]) };
}"""


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
    since = f"since {time.strftime('%H:%M', time.localtime(began))}, 1 h "
    headline, listed = page.locator(".headline"), page.locator(".alerts li").first
    for said in ("Alert: NPS, aurora · delivery " + since, "Logistics acts, not acknowledged yet"):
        expect(headline).to_contain_text(said)
    for said in ("NPS, aurora · delivery", since, "Logistics acts, called "):
        expect(listed).to_contain_text(said)
    expect(page.locator("#line-title")).to_have_text("NPS, last 3 hours, back to where an alert began")
    page.locator(".line").get_by_role("button", name="Show as table").click()
    steps = page.locator(".line tbody th").all_inner_texts()
    assert len(steps) == len(set(steps)) == 36
    told = page.locator(".line tbody tr").filter(has=page.get_by_role("rowheader", name=since[6:11]))
    expect(told).to_contain_text("alert")
    assert re.search(r"n? ?\d", told.locator("td").nth(2).inner_text()), "what was counted before the last hour"


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


def test_the_weekly_report_is_one_file_and_the_same_on_paper(
    place: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(chromium()).parent}:{os.environ['PATH']}")
    year, week, _ = datetime.now(UTC).isocalendar()
    file = tmp_path / "week.html"
    done = CliRunner().invoke(report_command, ["--week", f"{year}-W{week:02d}", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(file), str(file.with_suffix(".pdf"))]
    assert re.search(r"NPS.*?[+−]\d+\.\d.*?n [\d,]+", file.read_text(), re.DOTALL)
    assert file.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_a_chart_says_the_same_as_a_table(context: BrowserContext, served: Served) -> None:
    page, _ = opened(context, served.url)
    page.locator(".line").get_by_role("button", name="Show as table").click()
    assert page.locator(".line table tbody tr").count() in (12, 36)  # further back where an alert began
    assert "NPS over the last " in (page.locator(".plot").get_attribute("aria-label") or "")
    assert page.locator(".line th", has_text="Expected").count() == 1
    for part, row in (("journey", "Lost here"), ("drivers", "Pull on the score")):
        card = page.locator(f".{part}")
        card.scroll_into_view_if_needed()
        expect(card.locator("svg").first).to_be_attached()
        card.get_by_role("button", name="Show as table").click()
        expect(card.locator("th", has_text=row)).to_be_visible()
        expect(card.locator("svg")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious_and_nothing_runs_out_of_the_screen(
    browser: Browser, served: Served, theme: Any, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=theme, reduced_motion="reduce", bypass_csp=True
    )
    page, _ = opened(context, served.url)
    expect(page.locator(".map button").first).to_be_visible()
    page.locator("footer").scroll_into_view_if_needed()
    expect(page.locator(".flow rect").first).to_be_attached()
    expect(page.locator(".bars li").first).to_be_attached()
    expect(page.locator(".producers h3")).to_be_visible()
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target)]))")
    serious = [one for one in found if one[0] in ("serious", "critical")]
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.screenshot(path=SCREENS / f"{theme}-{width}.png", full_page=True)
    context.close()
    assert serious == []
    assert wide <= width


def test_axe_would_find_something_serious(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><img src=x><button></button></main></html>")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => v.id))")
    page.close()
    assert {"image-alt", "button-name"} <= set(found)


def test_after_a_restart_the_page_recovers_by_itself_and_had_said_that_it_was_stale(
    context: BrowserContext, place: Case
) -> None:
    own = Served(place)
    page, _ = opened(context, own.url)
    shown = page.locator(".tile .big").first.inner_text()
    own.process.kill()
    expect(page.locator(".state")).to_have_text(re.compile("Stale"))
    expect(page.locator("main")).to_have_class("stale")
    own.start()
    expect(page.locator(".state")).to_have_text(ALIVE, timeout=30_000)
    expect(page.locator(".note")).to_contain_text("was away")
    expect(page.locator(".tile .big").first).to_have_text(shown)
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


def test_all_files_of_the_page_together_are_light() -> None:
    sizes = {name: len(gzip.compress(file.body, 9)) for name, file in site().items()}
    assert sum(sizes.values()) <= BUDGET, sizes
    assert sum(sizes.values()) > 20_000


def test_the_picture_of_the_readme_is_one_and_is_light() -> None:
    picture = (Path(__file__).resolve().parents[2] / "docs" / "page.webp").read_bytes()
    assert picture[:4] + picture[8:12] == b"RIFFWEBP"
    assert 20_000 < len(picture) <= MOST


def test_vendored_files_are_those_that_the_notices_name() -> None:
    notices = (Path(__file__).resolve().parents[2] / "docs" / "third-party.md").read_text()
    vendored = [*(STATIC / "vendor").iterdir(), AXE]
    for path in vendored:
        if path.suffix in (".js", ".css"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() in notices, path.name
    assert len(vendored) >= 4
