"""T38: hostile words in every field of every panel of the page stay text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.integration.browsing import HOSTILE, Served
from tests.integration.page_feed import START, fed, hour

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


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
    page = fed(context)
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
