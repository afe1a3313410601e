"""The analysts' contract: the questions of docs/sql.md give the right numbers, views have the columns they promise."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.scores.defined import read_definitions, write_definitions
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part, recompute
from pipeline.views.dictionary import meanings
from pipeline.views.dictionary import tables as described
from tests.integration.test_score_view import answered, recorded, settings, tables

pytestmark = pytest.mark.clickhouse

__all__ = ["settings", "tables"]  # fixtures

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
#: Title -> SQL, in the order of the page.
EXAMPLES = dict(re.findall(r"```sql\n-- ([^\n]+)\n(.*?);\n```", PAGE.read_text(), re.S))


def story(client: ClickHouse) -> None:
    """An hour ago: 20 customers on two channels, one of them three times more; others yesterday; stars; one late."""
    hour_ms = (int(time.time()) - 3600) * 1000
    yesterday = hour_ms - 86_400_000

    def said(off: int, at: int = hour_ms, **more: Any) -> dict[str, Any]:
        return answered(off, **({"occurred_ms": at, "ingest_ms": at + 1000, "answer": more.get("bin", 0)} | more))

    rows = [
        said(i, bin=10, customer=i + 1, channel="app" if i % 2 else "web", segments="gold,young") for i in range(20)
    ]
    rows += [said(20 + i, hour_ms + 1000, bin=0, customer=1, channel="web") for i in range(3)]
    rows += [said(30 + i, yesterday, bin=8 if i % 2 else 10, customer=100 + i) for i in range(20)]
    rows += [said(60 + i, metric="rating", scale="1-5", bin=i % 3 + 2, answer=i % 3 + 3) for i in range(12)]
    rows += [said(80 + i, metric="csat", scale="1-5", bin=4 if i else 0, answer=5 if i else 1) for i in range(10)]
    late = yesterday - 86_400_000
    rows += [said(95, late, ingest_ms=hour_ms, bin=1, disposition="late", reason="beyond_lateness")]
    recorded(client, rows + walked(hour_ms - 40 * 86_400_000))
    texts = [{"topics": "delivery,price" if i < 10 else "delivery", "off": i, "text": "So."} for i in range(12)]
    place = {"topic": "feedback", "epoch": 1, "part": 0, "ver": 1, "ingest_ms": hour_ms + 1000}
    client.insert("texts", pl.DataFrame([{**each, **place} for each in texts]))
    fresh = recompute(client, Part("feedback", 1, 0, 1_000))
    client.insert("windows", fresh.with_columns(pl.lit(1, pl.UInt64).alias(name) for name in ("ver", "seq")))
    write_definitions(client, read_definitions())
    client.command(
        "INSERT INTO changes (topic, epoch, part, off, minute, reason, known_ms, ver) "
        f"VALUES ('feedback', 1, 0, 94, {hour_ms // 60_000 * 60}, 'delayed', {hour_ms}, 1)"
    )


def walked(start_ms: int) -> list[dict[str, Any]]:
    """Forty days ago 20 customers begin: 12 pay, eight give up at the checkout; two more are still on their way."""

    def did(off: int, customer: int, days: float, touchpoint: str, bin: int = 1) -> dict[str, Any]:
        at = start_ms + int(days * 86_400_000)
        own = {"topic": "touchpoints", "metric": "volume", "scale": "outcome", "touchpoint": touchpoint, "stage": "buy"}
        return answered(off, **own, bin=bin, customer=customer, occurred_ms=at, ingest_ms=at + 1000)

    paid = [did(i, 1 + i % 12, i // 12, ("checkout", "payment")[i // 12]) for i in range(24)]
    gave_up = [did(30 + i, 20 + i, 0, "checkout", bin=2) for i in range(8)]
    return paid + gave_up + [did(40 + i, 30 + i % 2, i // 2 * 10, "page_viewed") for i in range(8)]


def test_the_thirteen_questions_of_the_page_give_the_right_numbers(tables: ClickHouse) -> None:
    story(tables)
    found = {title: tables.query(sql) for title, sql in EXAMPLES.items()}
    assert len(found) == 13
    channels, shares, published, fates, late, segments, voices, stars, change, why, topics, *journeys = found.values()
    # On the web: 10 of the happy ones, three unhappy answers, yesterday 10 happy and 10 passive ones.
    assert channels.select("channel", "n").rows() == [("app", 10), ("web", 33)]
    assert channels["score"].to_list() == [100.0, pytest.approx(100 * (20 - 3) / 33)]
    assert shares.select("scale", "n", "share").rows() == [("1-5", 10, 0.9)]
    assert {"nps", "csat", "rating"} <= set(published["id"])
    assert fates["offsets"].sum() == 66
    assert late.select("days_late", "events").rows() == [(2, 1)]
    assert segments.select("segment", "n", "score").rows() == [("gold", 20, 100.0), ("young", 20, 100.0)]
    assert voices.rows() == [(40, pytest.approx(100 * (29 - 1) / 40))]
    assert stars.select("touchpoint", "n", "median", "mean").rows() == [("t", 12, 4, 4.0)]
    assert change.select("n1", "n2").rows() == [(20, 23)]
    assert change["change"][0] == pytest.approx(100 * 17 / 23 - 50)
    assert 0 < change["p"][0] < 1
    assert why.select("reason", "rows").rows() == [("delayed", 1)]
    assert topics.rows() == [("delivery", 12, 100.0), ("price", 10, 100.0)]
    arrived, stopped = journeys
    assert arrived.select("decided", "share").rows() == [(20, 0.6)]
    assert 0.38 < arrived["low"][0] < 0.6 < arrived["high"][0] < 0.79
    assert stopped.rows() == [("buy", "checkout", "fail", 8)]


def test_the_recipe_of_the_page_reads_sums_and_gives_the_digits_of_the_command(
    tables: ClickHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    story(tables)
    (recipe,) = re.findall(r"python - <<'END'\n(.*?)\nEND", PAGE.read_text(), re.S)
    with pl.Config(tbl_cols=-1):
        exec(compile(recipe, "docs/sql.md", "exec"), {})
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ t ")]
    whole = read_scores(tables, Question("nps", 0, int(time.time()), by=("touchpoint",))).row(0, named=True)
    assert whole["n"] == 43
    shown = [float(cell) for cell in row.strip("│ ").split(" ┆ ")[1:]]
    assert shown == pytest.approx([whole[name] for name in ("n", "score", "low", "high")], abs=1e-5)


def columns_of(client: ClickHouse, table: str) -> list[tuple[str, str]]:
    """Name and type of what `SELECT *` of a table, a view or a call of one gives."""
    return client.query(f"DESCRIBE TABLE (SELECT * FROM {table})").select("name", "type").rows()


def test_views_have_the_columns_they_promise_and_tables_those_of_the_dictionary(tables: ClickHouse) -> None:
    for name, view in meanings()["views"].items():
        call = re.search(rf"`({name}\(.*?\))`", view["about"])
        assert (call is None) == ("parameters" not in view)
        assert columns_of(tables, call[1] if call else name) == list(view["columns"].items()), name
        assert call is None or re.findall(r"(\w+) = ", call[1]) == list(view["parameters"])
    for name, columns in described().items():
        assert sorted(columns_of(tables, name)) == sorted(columns), name
