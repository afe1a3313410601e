"""The weekly report: every number with n and interval, breaks where there are none, texts that stay texts."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from pipeline.errors import UsageError
from pipeline.views.page.frames import Cells
from pipeline.views.weekly import Facts, chart, report, week_of
from tests.unit.views.page.test_frames import nps

WEEK = week_of("2026-W18", date(2026, 5, 20))
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


def facts(now: pl.DataFrame, before: pl.DataFrame, said: list[dict[str, Any]] | None = None) -> Facts:
    return Facts(WEEK, Cells(now, now, before), before, {"delivery": "Logistics"}, "Customer experience", said or [])


class Tags(HTMLParser):
    """Every opened tag, and whether all that need closing were closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.depth: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.opened.append(tag)
        if tag != "meta":
            self.depth.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag


def made(**other: Any) -> str:
    start = WEEK.first
    now = pl.concat(
        [nps({10: 40, 0: 20}, start=start), nps({0: 90, 10: 20}, start=start + 7200, at="delivery", by="email")]
    )
    return report(facts(now, nps({10: 90, 0: 10}, start=start - 86_400, at="delivery", by="email"), **other))


def test_the_week_is_an_iso_week_from_monday() -> None:
    assert (WEEK.name, WEEK.first) == ("2026-W18", 1_777_248_000)
    assert week_of("", date(2026, 5, 4)).name == "2026-W18"
    assert week_of("", date(2026, 5, 3)).name == "2026-W17"
    with pytest.raises(UsageError, match="is no week"):
        week_of("2026-18", date(2026, 5, 3))


def test_a_score_stands_with_interval_n_and_whether_its_change_is_real() -> None:
    text = made()
    assert re.search(r"-29\.4 <small>\(-\d+\.\d to -\d+\.\d, n 170\)", text)
    assert "against the week before" in text
    assert "a real drop." in text
    assert "<td>delivery</td><td>email</td><td>-63.6</td>" in text
    assert "<td>Logistics</td>" in text


def test_measures_without_answers_show_no_number() -> None:
    assert made().count("too few answers (n 0)") == 3


def test_the_file_is_whole_loads_nothing_and_runs_nothing() -> None:
    said = [{"text": HOSTILE, "touchpoint": HOSTILE, "channel": "web", "truncated": True}]
    text = made(said=said)
    tags = Tags(text)
    assert tags.depth == []
    assert not {"script", "img", "link", "iframe"} & set(tags.opened)
    assert "http" not in text
    assert "&lt;script&gt;" in text
    assert "[cut: more was written]" in text


def test_a_line_breaks_where_there_are_too_few_answers() -> None:
    series = {"unit": "points", "scale": "0-10", "score": [1.0, 2.0, None, 3.0], "low": [0.0, 1.0, None, 2.0]}
    drawn = chart({**series, "high": [2.0, 3.0, None, 4.0]}, "NPS")
    assert drawn.count("<polyline") == 2
    assert drawn.count("<polygon") == 2
    assert "None" not in drawn
    none = {"unit": "points", "scale": "0-10", "score": [None], "low": [None], "high": [None]}
    assert "too few answers for a line" in chart(none, "NPS")
