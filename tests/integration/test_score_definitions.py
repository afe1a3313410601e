"""Definitions, voices, larger windows and "as known then" in SQL: equal to Python, and with worked numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.scores import app
from pipeline.scores.defined import read_definitions, write_definitions
from pipeline.scores.definitions import Definitions
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part, recompute
from tests.integration.test_score_view import (
    HOUR,
    MEASURES,
    START,
    answered,
    differences,
    histograms,
    recorded,
    settings,
    tables,
    window,
    written,
)
from tests.unit.scores.test_definitions import STRICT, two_versions

pytestmark = pytest.mark.clickhouse

__all__ = ["settings", "tables"]  # fixtures


def test_the_view_and_python_agree_on_a_thousand_random_histograms_of_every_definition(tables: ClickHouse) -> None:
    known = two_versions()
    assert write_definitions(tables, known)
    assert not write_definitions(tables, known), "the same definitions again are no news"
    given = {(metric, scale): histograms(bins, seed=bins) for metric, scale, bins in MEASURES}
    for (metric, scale), counts in given.items():
        rows = [dict(enumerate(row)) for row in counts.tolist()]
        written(tables, [window(START + 60 * i, row, metric=metric, scale=scale) for i, row in enumerate(rows)])
    read = 0
    for definition in known.every:
        for (metric, scale), counts in given.items():
            frame = tables.query(
                "SELECT * FROM scores WHERE id = {id:String} AND version = {v:UInt16} AND scale = {s:String} "
                "AND metric = {m:String} ORDER BY minute",
                {"id": definition.id, "v": definition.version, "s": scale, "m": metric},
            )
            if metric != definition.metric or definition.boxes(scale) is None:
                assert frame.is_empty()
                continue
            read += 1
            python = definition.read(scale, counts[counts.sum(axis=1) > 0])
            assert differences(frame, python) == [], (definition.name, scale)
            assert differences(frame, replace(python, score=python.score + 1e-9)) == ["score"]
    assert read == len(MEASURES) + 3  # nps@2, and both further readings of CES 2.0


def test_the_newest_definitions_replace_those_before(tables: ClickHouse) -> None:
    write_definitions(tables, two_versions())
    written(tables, [window(START, {10: 20, 8: 20})])
    both = tables.query("SELECT version, in_force, score FROM scores ORDER BY version").rows()
    assert both == [(1, 1, 50.0), (2, 0, 100.0)]
    write_definitions(tables, read_definitions())
    assert tables.query("SELECT version, score FROM scores").rows() == [(1, 50.0)]


def test_two_versions_are_shown_with_their_difference(
    tables: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "pipeline/scores/scores.toml").read_text()
    own = tmp_path / "scores.toml"
    weighted = text.replace('metric = "nps"', 'metric = "nps"\nweighting = "one_voice"', 1)
    second = STRICT.replace("minimum_n = 30\n", "minimum_n = 20\n")
    weighted = weighted.replace("version = 1", "version = 1\nin_force = true", 1) + second
    own.write_text(weighted.replace("top = [9, 10]", "top = [10]", 1))
    monkeypatch.setenv("TOUCHLINE_SCORES", str(own))
    assert Definitions.parse(own.read_text()).find("nps").boxes("0-10") is not None
    written(tables, [window(START, {10: 10, 9: 10}), window(START, {7: 30, 3: 10}, metric="ces", scale="1-7")])
    span = ["--from", "2026-05-01T08:00", "--to", "2026-05-01T09:00", "--json"]
    (score,) = shown("--metric", "nps", *span)["scores"]
    assert score["score"] == 50.0, "a file of one's own says what a score means"
    assert "voice_score" in score, "and that customers weigh the same"
    (both,) = shown("--metric", "nps", "--beside", "nps@2", *span)["scores"]
    assert (both["score"], both["other"], both["other_score"], both["other_difference"]) == (50.0, "nps@2", 100.0, 50.0)
    head, line = CliRunner().invoke(app, ["--metric", "nps", "--beside", "nps@2", *span[:-1]]).stdout.splitlines()
    assert "nps@2  difference" in head
    assert "+100.0       +50.0" in line
    (ces,) = shown("--metric", "ces_net", "--beside", "ces_agree", *span)["scores"]
    assert (ces["score"], ces["other_score"], ces["other_difference"]) == (0.0, 0.0, None)
    wrong = CliRunner().invoke(app, ["--metric", "nps", "--beside", "csat", *span])
    assert wrong.exit_code == 2
    assert "csat@1 reads answers of csat, not of nps" in wrong.stderr


def shown(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = orjson.loads(result.stdout)
    return found


# One voice per customer and window.


def test_a_customer_who_answers_a_hundred_times_weighs_one(tables: ClickHouse) -> None:
    hundred = [answered(off, bin=0, customer=7) for off in range(100)]
    others = [answered(100 + i, bin=10, customer=100 + i) for i in range(10)]
    recorded(tables, hundred + others)
    fresh = recompute(tables, Part("feedback", 1, 0, 1_000))
    tables.insert("windows", fresh.with_columns(pl.lit(1, pl.UInt64).alias(name) for name in ("ver", "seq")))
    span = ["--from", "2026-05-01T08:00", "--to", "2026-05-01T09:00"]
    (score,) = shown("--metric", "nps", "--voices", "--json", *span)["scores"]
    assert (score["n"], round(score["score"], 4)) == (110, -81.8182)
    assert (score["voice_n"], round(score["voice_score"], 4)) == (11, 81.8182)


def test_a_definition_that_weighs_customers_leads_in_closed_windows_only(
    tables: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours of the hundred answers and the ten others; the first hour has been closed."""
    own = tmp_path / "scores.toml"
    text = (Path(__file__).parents[2] / "pipeline/scores/scores.toml").read_text()
    own.write_text(text.replace('metric = "nps"', 'metric = "nps"\nweighting = "one_voice"', 1))
    monkeypatch.setenv("TOUCHLINE_SCORES", str(own))
    hours = [(hour, (START + hour * HOUR) * 1000, 200 * hour) for hour in range(2)]
    recorded(
        tables,
        [
            answered(first + i, bin=0 if i < 100 else 10, customer=7 if i < 100 else i, occurred_ms=at)
            for hour, at, first in hours
            for i in range(110)
        ],
    )
    fresh = recompute(tables, Part("feedback", 1, 0, 1_000))
    tables.insert("windows", fresh.with_columns(pl.lit(1, pl.UInt64).alias(name) for name in ("ver", "seq")))
    span = ["--metric", "nps", "--from", "2026-05-01T08:00", "--to", "2026-05-01T10:00"]
    assert [row["leads"] for row in shown(*span, "--json")["scores"]] == ["raw", "raw"], "nothing is closed"
    closings(tables, [(START + HOUR - 300, 109, 1), (START + HOUR, 109, 2), (START + HOUR + 300, 309, 3)])
    for row, leads in zip(shown(*span, "--json")["scores"], ["one_voice", "raw"], strict=True):
        assert (row["leads"], row["n"], row["voice_n"]) == (leads, 110, 11)
        assert (round(row["score"], 4), round(row["voice_score"], 4)) == (-81.8182, 81.8182)
    assert [row["leads"] for row in shown(*span, "--as-of", "1970-01-01T00:00:00Z", "--json")["scores"]] == []
    head, first, second = CliRunner().invoke(app, span).stdout.splitlines()
    assert head.endswith("one voice  customers         leads")
    assert (first.split()[-2:], second.split()[-2:]) == (["one", "voice"], ["every", "answer"])
    assert "leads" not in shown(*span, "--session", "30m", "--json")["scores"][0], "a session has no voices"


def test_a_voice_is_the_newest_answer_of_the_window_and_group(tables: ClickHouse) -> None:
    recorded(
        tables,
        [
            answered(0, bin=0, customer=1),
            answered(1, bin=10, customer=1),
            answered(2, bin=3, customer=1, channel="app"),
            answered(3, bin=5, customer=0, key_id=0),
            answered(4, bin=5, customer=0, key_id=0),
            answered(5, bin=0, customer=1, occurred_ms=(START + HOUR) * 1000),
        ],
    )
    span = Question("nps", START, START + 2 * HOUR, HOUR, one_voice=True)
    rows = read_scores(tables, span).to_dicts()
    assert [(r["start"], bins(r)) for r in rows] == [(START, {3: 1, 5: 2}), (START + HOUR, {0: 1})]
    by_channel = read_scores(tables, replace(span, by=("channel",))).to_dicts()
    assert [(r["channel"], bins(r)) for r in by_channel] == [("app", {3: 1}), ("web", {5: 2, 10: 1}), ("web", {0: 1})]


def bins(row: dict[str, Any]) -> dict[int, int]:
    return {i: count for i, count in enumerate(row["histogram"]) if count}


def test_a_revised_answer_is_one_voice_and_the_former_none(tables: ClickHouse) -> None:
    old = {"old_off": 0, "old_occurred_ms": START * 1000, "old_metric": "nps", "old_scale": "0-10", "old_bin": 2}
    later = (START + HOUR) * 1000
    recorded(tables, [answered(0, bin=2, customer=1), answered(1, bin=9, customer=1, occurred_ms=later, **old)])
    rows = read_scores(tables, Question("nps", START, START + 2 * HOUR, HOUR, one_voice=True)).to_dicts()
    assert [(r["start"], bins(r)) for r in rows] == [(START + HOUR, {9: 1})]


def test_voices_and_answers_are_the_same_where_everybody_answers_once(tables: ClickHouse) -> None:
    rng = np.random.default_rng(5)
    rows = [
        answered(i, bin=int(rng.integers(11)), customer=i + 1, channel=str(rng.choice(["web", "app"])))
        for i in range(500)
    ]
    recorded(tables, rows)
    question = Question("nps", START, START + HOUR, HOUR, ("channel", "unit"), {"brand": ("b",)})
    voices = read_scores(tables, replace(question, one_voice=True))
    crossed = read_scores(tables, replace(question, as_of_ms=(START + HOUR) * 1000))
    assert voices.height == 2
    assert voices.equals(crossed)


# Larger windows.


def test_hopping_windows_are_sums_of_minutes_and_lie_wholly_in_the_span(tables: ClickHouse) -> None:
    written(tables, [window(START + 60 * i, {10: 1}) for i in range(-60, 180)])
    rows = read_scores(tables, Question("nps", START, START + 2 * HOUR, HOUR, step_s=900)).to_dicts()
    assert [(r["start"] - START, r["n"]) for r in rows] == [(900 * i, 60) for i in range(5)]
    assert {r["seconds"] for r in rows} == {HOUR}


def test_the_day_of_a_clock_change_is_one_window(tables: ClickHouse) -> None:
    """2026-03-29 in Berlin begins at 23:00 UTC and has 23 hours."""
    begin = 1_774_738_800
    written(tables, [window(begin + HOUR * i, {10: 1}) for i in range(-30, 60)])
    arguments = ["--metric", "nps", "--grain", "1d", "--tz", "Europe/Berlin", "--json"]
    days = shown(*arguments, "--from", "2026-03-29", "--to", "2026-03-31")["scores"]
    assert [(day["start"], day["seconds"], day["n"]) for day in days] == [
        ("2026-03-28T23:00:00Z", 23 * HOUR, 23),
        ("2026-03-29T22:00:00Z", 24 * HOUR, 24),
    ]


def test_sessions_are_found_in_the_ledger_by_group(tables: ClickHouse) -> None:
    seconds = [0, 10, 25, 70, 80]
    recorded(tables, [answered(i, bin=10, occurred_ms=(START + s) * 1000) for i, s in enumerate(seconds)])
    question = Question("nps", START, START + HOUR, gap_s=30, by=("channel",))
    found = [(r["start"] - START, r["seconds"], r["n"]) for r in read_scores(tables, question).to_dicts()]
    assert found == [(0, 55, 3), (70, 40, 2)]
    recorded(tables, [answered(9, bin=10, occurred_ms=(START + 50) * 1000)])
    assert [(r["start"] - START, r["seconds"], r["n"]) for r in read_scores(tables, question).to_dicts()] == [
        (0, 110, 6)
    ]


# As known then.


def test_as_known_then_is_what_the_last_closing_had_counted(tables: ClickHouse) -> None:
    """Ten answers counted when the window closed at 08:06; three delayed ones later, one late one restated at 10:00."""
    closed = (START + 360) * 1000
    recorded(
        tables,
        [
            *(answered(off, bin=10) for off in range(10)),
            *(answered(off, bin=0, reason="delayed", ingest_ms=closed + 60_000) for off in range(10, 13)),
            answered(13, bin=0, reason="restated", ingest_ms=closed + 60_000),
        ],
    )
    closings(tables, [(START + 300, 9, closed), (START + 600, 13, closed + 300_000)])
    restated = (START + 2 * HOUR) * 1000
    noted(tables, [(13, "restated", restated, "late")])

    def then(at_ms: int) -> int:
        rows = read_scores(tables, Question("nps", START, START + HOUR, HOUR, as_of_ms=at_ms)).to_dicts()
        return sum(row["n"] for row in rows)

    assert [then(closed + ms) for ms in (0, 299_999, 300_000)] == [10, 10, 13]
    assert then(closed - 1) == 10, "before any window was closed the time of arrival decides"
    assert (then(restated - 1), then(restated), then(restated + 10**9)) == (13, 14, 14)


def test_why_a_number_changed_is_told_closing_by_closing(tables: ClickHouse) -> None:
    """The story above: ten on time, three delayed at the next closing, one restated two hours later, one taken out."""
    closed, restated = (START + 360) * 1000, (START + 2 * HOUR) * 1000
    recorded(
        tables,
        [
            *(answered(off, bin=10) for off in range(10)),
            *(answered(off, bin=0, reason="delayed", ingest_ms=closed + 60_000) for off in range(10, 13)),
            answered(13, bin=0, reason="restated", ingest_ms=closed + 60_000),
            answered(14, bin=10, disposition="duplicate", reason="same_event", ingest_ms=closed + 60_000),
            answered(15, bin=1, disposition="late", reason="beyond_lateness", ingest_ms=closed + 60_000),
        ],
    )
    closings(tables, [(START + 300, 9, closed), (START + 600, 15, closed + 300_000)])
    noted(tables, [(13, "restated", restated, "late"), (14, "same_event", restated + 60_000, "aggregated")])
    arguments = ["--metric", "nps", "--grain", "5m", "--from", "2026-05-01T08:00", "--to", "2026-05-01T08:05", "--why"]
    found = shown(*arguments, "--json")
    assert found["too_late"] == 1
    (told,) = found["windows"]
    assert [(r["n"], r["reasons"]) for r in told["revisions"]] == [
        (10, {}),
        (14, {"delayed": 4}),
        (15, {"restated": 1}),
        (14, {"same_event": 1}),
    ]
    result = CliRunner().invoke(app, arguments)
    lines = result.stdout.splitlines()
    assert [line.split("  ")[-1] for line in lines[1:5]] == [
        "when the window was closed",
        "4 delayed: came after the window was closed",
        "1 restated: had come too late, counted when somebody asked",
        "1 taken out: the same event twice",
    ]
    assert "1 event of this time came too late and is not counted" in lines[5]


def closings(client: ClickHouse, rows: list[tuple[int, int, int]]) -> None:
    """Frontiers of one partition: window end, offset, moment of the closing."""
    schema = {"window_end": pl.UInt32, "topic": pl.String, "epoch": pl.UInt16, "part": pl.UInt16}
    schema |= {"off": pl.Int64, "ver": pl.UInt64, "closed_ms": pl.Int64}
    client.insert(
        "frontiers",
        pl.DataFrame([(end, "feedback", 1, 0, off, 1, at) for end, off, at in rows], schema=schema, orient="row"),
    )


def noted(client: ClickHouse, rows: list[tuple[int, str, int, str]]) -> None:
    """Notes of one minute: offset, reason, moment, what the row was."""
    schema = {"topic": pl.String, "epoch": pl.UInt16, "part": pl.UInt16, "off": pl.Int64, "minute": pl.UInt32}
    schema |= {"reason": pl.String, "known_ms": pl.Int64, "ver": pl.UInt64, "was": pl.String}
    found = [("feedback", 1, 0, off, START, reason, at, 1, was) for off, reason, at, was in rows]
    client.insert("changes", pl.DataFrame(found, schema=schema, orient="row"))
