"""A page that hears what the test says, in place of its stream; figures that a place counts meanwhile [I/O]."""

from __future__ import annotations

import asyncio
from typing import Any

import polars as pl
from playwright.sync_api import BrowserContext, Page

from pipeline.clickhouse import ClickHouse
from pipeline.views.page import frames
from pipeline.views.page.frames import Cells
from tests.chaos.harness import Case
from tests.integration.browsing import beside
from tests.integration.page_place import filled, published
from tests.unit.views.page.test_frames import cells

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


START = 1_777_622_400


def fed(context: BrowserContext) -> Page:
    """A new tab that hears nothing but the test."""
    context.add_init_script(_FED)
    page = context.new_page()
    page.route("**/v1/feedback?**", lambda route: route.fulfill(body='{"feedback": []}'))
    return page


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


def feedback(number: int) -> dict[str, Any]:
    """One answer as the stream says it."""
    said = {"text": f"said {number}", "label": "positive", "confidence": 0.9, "touchpoint": "checkout", "unit": ""}
    place = {"channel": "web", "metric": "nps", "scale": "0-10", "answer": 9, "language": "en"}
    return {"id": f"feedback:1:0:{number}", "occurred_ms": 1e12 + number, **said, **place}


def counted(case: Case, seed: int) -> None:
    """More answers of the last hours, in the tables and on the topic."""
    client = ClickHouse(case.settings)
    filled(client, seed=seed, hours=1)
    client.close()
    beside(lambda: asyncio.run(published(case.settings)))
