"""What the page looks like: both themes and widths, on paper, without motion; how much it weighs, its picture."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from typer.testing import CliRunner

from pipeline.command.report import app as report_command
from pipeline.views.page.server import STATIC, site
from tests.chaos.harness import Case
from tests.integration.browsing import Served, opened
from tests.integration.chromium import chromium
from tests.integration.picture import MOST

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


AXE = Path(__file__).with_name("vendor") / "axe.min.js"


#: What it looks like, for people: both themes and widths, and on paper.
SCREENS = Path(__file__).resolve().parents[2] / "out" / "page"


#: All files of the page together, packed.
BUDGET = 60_000


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
    assert _serious(page) == []
    assert page.evaluate(_WIDTH) <= width
    page.screenshot(path=SCREENS / f"{theme}-{width}.png", full_page=True)
    page.goto(f"{served.url}customer?id=k1:{3:016x}")
    expect(page.locator(".life h1:not(.sr)")).to_be_visible()
    assert _serious(page) == []
    assert page.evaluate(_WIDTH) <= width
    page.goto(f"{served.url}glossary")
    expect(page.locator("dt").first).to_be_visible()
    assert _serious(page) == []
    assert page.evaluate(_WIDTH) <= width
    context.close()


_WIDTH = "document.documentElement.scrollWidth"


def _serious(page: Page) -> list[Any]:
    """What axe finds on the page as it is, where it is serious: impact, rule, places."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target)]))")
    return [one for one in found if one[0] in ("serious", "critical")]


def test_axe_would_find_something_serious(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><img src=x><button></button></main></html>")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => v.id))")
    page.close()
    assert {"image-alt", "button-name"} <= set(found)


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
