"""`python -m tests.integration.picture [URL] [FILE]`: the picture of the page in README and docs, from a running one.

touchline demo            # in another terminal; it prints the address
python -m tests.integration.picture http://localhost:6080/ docs/page.webp
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.integration.chromium import ARGUMENTS, chromium

#: Light enough for a README: the page itself weighs less.
MOST = 150_000


def picture(url: str) -> bytes:
    """The page at 1280 pixels in the light, as WebP, once every part has something to show."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1110}, color_scheme="light", reduced_motion="reduce")
        page.goto(url)
        expect(page.locator(".map .cell").first).to_be_visible(timeout=60_000)
        expect(page.locator(".feed .text").first).to_be_visible(timeout=60_000)
        expect(page.locator(".strip")).to_contain_text("events/s", timeout=60_000)
        expect(page.locator(".tile .change").first).not_to_contain_text("looking", timeout=60_000)
        # The incident of the demo is what it shows; the line is drawn anew once its earlier steps are read.
        expect(page.locator("#line-title")).to_contain_text("began", timeout=60_000)
        shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": 82})
        browser.close()
    return base64.b64decode(shot["data"])


def main(arguments: list[str]) -> int:
    """Writes the file; 1 when it became too heavy."""
    url, file = [*arguments, *("http://localhost:6080/", "docs/page.webp")[len(arguments) :]][:2]
    found = picture(url)
    Path(file).write_bytes(found)
    return 0 if len(found) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
