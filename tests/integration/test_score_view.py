"""Scores in SQL: equal to Python to the last digit, summed and never averaged, read by any group and window."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.scores import app
from pipeline.scores import meters
from pipeline.scores.intervals import Z
from pipeline.scores.meters import Readings
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part, recompute
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from tests.integration.worked_numbers import TANGO, WORKED
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

#: 2026-05-01 08:00 UTC.
START = 1_777_622_400
HOUR = 3600
MEASURES = [
    ("nps", "0-10", 11), ("csat", "1-5", 5), ("csat", "1-7", 7), ("csat", "1-10", 10), ("csat", "0-1", 2),
    ("ces", "1-7", 7), ("ces", "1-5", 5), ("rating", "1-5", 5), ("rating", "0-10", 11), ("rating", "0-5", 6),
    ("rating", "1-3", 3), ("rating", "1-4", 4), ("rating", "1-6", 6), ("sentiment", "minilm", 3),
    ("sentiment", "static", 3), ("volume", "outcome", 4),
]  # fmt: skip


@pytest.fixture
def settings(stack: Stack, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_URL", stack.clickhouse_url)
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_DATABASE", database)
    return load_settings()


@pytest.fixture
def tables(settings: Settings) -> ClickHouse:
    client = ClickHouse(settings)
    make_tables(client, settings)
    return client


def window(minute: int, bins: dict[int, int], **other: Any) -> dict[str, Any]:
    key = {"cut": "core", "metric": "nps", "scale": "0-10", "brand": "b", "unit": "u", "channel": "web"}
    rest = {"touchpoint": "t", "dim": "", "topic": "feedback", "epoch": 1, "part": 0, "ver": 1, "seq": 1}
    counts = {f"b{i}": bins.get(i, 0) for i in range(11)}
    return {**key, **rest, "minute": minute, **counts, "s1": 0, "s2": 0, **other}


def written(client: ClickHouse, rows: list[dict[str, Any]]) -> None:
    wide: dict[str, type[pl.DataType]] = dict.fromkeys(("ver", "seq"), pl.UInt64)
    wide |= dict.fromkeys(("epoch", "part"), pl.UInt16)
    client.insert("windows", pl.DataFrame(rows, schema_overrides={**wide, "minute": pl.UInt32}))


def asked(client: ClickHouse, metric: str = "nps", **more: Any) -> list[dict[str, Any]]:
    span: dict[str, Any] = {"start": START, "end": START + HOUR, "grain_s": HOUR}
    return read_scores(client, Question(metric=metric, **{**span, **more})).to_dicts()


def histograms(bins: int, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """1,000 random histograms, from empty to a million answers, some of one answer only."""
    rng = np.random.default_rng(seed)
    sizes = np.r_[0, np.arange(20), np.exp(rng.uniform(0, np.log(1e6), 979))].astype(np.int64)
    found = np.zeros((1000, 11), dtype=np.int64)
    for row, size in enumerate(sizes):
        found[row, :bins] = rng.multinomial(size, rng.dirichlet(np.full(bins, 0.5)))
    return found


def test_sql_and_python_agree_on_a_thousand_random_histograms_of_every_measure(tables: ClickHouse) -> None:
    given = {(metric, scale): histograms(bins, seed=bins) for metric, scale, bins in MEASURES}
    for (metric, scale), counts in given.items():
        rows = [dict(enumerate(row)) for row in counts.tolist()]
        written(tables, [window(START + 60 * i, row, metric=metric, scale=scale) for i, row in enumerate(rows)])
    for (metric, scale), counts in given.items():
        frame = tables.query(
            "SELECT * FROM scores_1m WHERE metric = {metric:String} AND scale = {scale:String} ORDER BY minute",
            {"metric": metric, "scale": scale},
        )
        assert differences(frame, meters.read(metric, scale, counts[counts.sum(axis=1) > 0])) == [], (metric, scale)


def differences(frame: pl.DataFrame, python: Readings) -> list[str]:
    """Columns in which SQL and Python differ by more than the last digits of a float."""
    exact = {
        "histogram": python.histograms.tolist(),
        "n": python.n.tolist(),
        "status": ["ok" if enough else "insufficient" for enough in python.enough],
        "score_unit": [python.unit] * len(python),
        "method": [python.method] * len(python),
    }
    wrong = [name for name, expected in exact.items() if frame[name].to_list() != expected]
    for name, expected in (("score", python.score), ("low", python.low), ("high", python.high)):
        found = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if not np.allclose(found, expected, rtol=0.0, atol=1e-12, equal_nan=True):
            wrong.append(name)
    return wrong


def test_a_formula_that_differs_would_be_found(tables: ClickHouse) -> None:
    written(tables, [window(START, {10: 20, 0: 10})])
    frame = tables.query("SELECT * FROM scores_1m")
    python = meters.read("nps", "0-10", frame["histogram"].to_list())
    assert differences(frame, python) == []
    assert differences(frame, replace(python, low=python.low + 1e-9)) == ["low"]


def test_the_worked_numbers_hold_in_sql_to_their_last_digit(tables: ClickHouse) -> None:
    row = tables.query("SELECT " + ", ".join(f"toFloat64({sql}) AS c{i}" for i, (sql, _) in enumerate(WORKED))).row(0)
    found = [f"{value + 0.0:.{len(number.partition('.')[2])}f}" for value, (_, number) in zip(row, WORKED, strict=True)]
    wrong = [(sql, f, number) for f, (sql, number) in zip(found, WORKED, strict=True) if f != number]
    assert wrong == []


def test_tangos_statistic_in_sql_crosses_z_at_the_worked_ends(tables: ClickHouse) -> None:
    for (d, p, n), interval in TANGO.items():
        for end, level in zip(interval, (Z, -Z), strict=True):
            above, below = tables.query(
                "SELECT tl_tango_statistic({d:Int64}, {p:Int64}, {n:Int64}, {before:Float64}) AS above, "
                "tl_tango_statistic({d:Int64}, {p:Int64}, {n:Int64}, {after:Float64}) AS below",
                {"d": d, "p": p, "n": n, "before": (end - 5e-5) / 100, "after": (end + 5e-5) / 100},
            ).row(0)
            assert above > level > below, (d, p, n, end)


def test_the_view_sums_partitions_and_reads_the_newest_version(tables: ClickHouse) -> None:
    written(
        tables,
        [
            window(START, {10: 99}, part=0, seq=1),
            window(START, {10: 5, 0: 1}, part=0, seq=2),
            window(START, {9: 6}, part=1, seq=1),
            window(START + 60, {}, part=0),
        ],
    )
    found = tables.query("SELECT minute, n, score, status FROM scores_1m").rows()
    assert found == [(START, 12, pytest.approx(100 * 10 / 12, abs=1e-12), "ok")]


def test_the_average_of_scores_is_not_the_score_of_the_sum(tables: ClickHouse) -> None:
    """Ten happy answers in one minute, a hundred mixed ones in the next: the average says +30, the hour -19.1."""
    written(tables, [window(START, {10: 9, 7: 1}), window(START + 60, {0: 50, 7: 30, 10: 20})])
    minutes = asked(tables, grain_s=60)
    assert [row["score"] for row in minutes] == [90.0, -30.0]
    average = sum(row["score"] for row in minutes) / 2
    result = CliRunner().invoke(
        app, ["--metric", "nps", "--from", "2026-05-01T08:00", "--to", "2026-05-01T09:00Z", "--json"]
    )
    assert result.exit_code == 0, result.output
    scores = orjson.loads(result.stdout)["scores"]
    assert [round(score["score"], 4) for score in scores] == [-19.0909]
    assert scores[0]["n"] == 110
    assert average == 30.0


def test_windows_begin_at_whole_grains_and_take_their_whole_hour(tables: ClickHouse) -> None:
    written(tables, [window(START + 60 * i, {10: 10}) for i in range(-61, 62)])
    rows = asked(tables, start=START - 30 * 60, end=START + 30 * 60)
    assert [(row["start"], row["n"]) for row in rows] == [(START - HOUR, 600), (START, 600)]
    whole = asked(tables, start=START - 30, end=START + 90, grain_s=None)
    assert [(row["start"], row["seconds"], row["n"]) for row in whole] == [(START - 60, 180, 30)]


def test_groups_come_from_the_core_cut_and_modes_from_channels(tables: ClickHouse) -> None:
    written(
        tables,
        [
            window(START, {10: 10}, channel="web", touchpoint="pay"),
            window(START, {0: 20}, channel="app", touchpoint="pay"),
            window(START, {7: 30}, channel="call", touchpoint="help"),
            window(START, {10: 500}, cut="product", channel="", touchpoint="", unit="", dim="shoe"),
        ],
    )
    assert [
        (r["channel"], r["touchpoint"], r["n"], r["score"]) for r in asked(tables, by=("channel", "touchpoint"))
    ] == [
        ("app", "pay", 20, -100.0),
        ("call", "help", 30, 0.0),
        ("web", "pay", 10, 100.0),
    ]
    assert [(r["mode"], r["n"]) for r in asked(tables, by=("mode",))] == [("digital", 30), ("human", 30)]
    assert [r["n"] for r in asked(tables, filters={"channel": ("web", "call")})] == [40]
    assert [(r["product"], r["n"]) for r in asked(tables, by=("product",))] == [("shoe", 500)]


def test_a_customer_in_three_segments_counts_in_each_but_once_in_the_whole(tables: ClickHouse) -> None:
    other = {"cut": "segments", "unit": "", "channel": "", "touchpoint": ""}
    written(tables, [window(START, {10: 10}, dim="a,b,c", **other), window(START, {0: 10}, dim="b", **other)])
    assert [(r["segment"], r["n"]) for r in asked(tables, by=("segment",))] == [("a", 10), ("b", 20), ("c", 10)]
    assert [(r["segment"], r["n"]) for r in asked(tables, by=("segment",), filters={"segment": ("b",)})] == [("b", 20)]
    assert [r["n"] for r in asked(tables, filters={"segment": ("a", "c")})] == [10]


def test_scales_and_tiers_never_meet_in_one_number(tables: ClickHouse) -> None:
    """Easy is 7 of 7 and 1 of 5: a mean over both would be 4. Stars of five and of ten stay apart alike."""
    written(
        tables,
        [
            window(START, {6: 20}, metric="ces", scale="1-7"),
            window(START, {0: 20}, metric="ces", scale="1-5"),
            *(window(START, {4: 10}, metric="rating", scale=f"1-{most}") for most in (5, 10)),
        ],
    )
    for metric, expected in (
        ("ces", [("1-5", 20, 1.0), ("1-7", 20, 7.0)]),
        ("rating", [("1-10", 10, 5.0), ("1-5", 10, 5.0)]),
    ):
        assert [(r["scale"], r["n"], r["score"]) for r in asked(tables, metric, grain_s=None)] == expected
        assert [(r["scale"], r["n"], r["score"]) for r in asked(tables, metric, by=("channel",))] == expected
    written(
        tables,
        [
            window(START, {0: 2, 2: 8}, metric="sentiment", scale="minilm", s1=30_000, s2=20_000),
            window(START, {0: 9, 2: 1}, metric="sentiment", scale="static", part=1),
        ],
    )
    rows = asked(tables, "sentiment")
    assert [(r["scale"], r["score"], r["s1"], r["s2"]) for r in rows] == [
        ("minilm", 60.0, 30_000, 20_000),
        ("static", -80.0, 0, 0),
    ]


def answered(off: int, **other: Any) -> dict[str, Any]:
    """A ledger row of an aggregated NPS answer."""
    row: dict[str, Any] = {"topic": "feedback", "epoch": 1, "part": 0, "off": off, "ver": 1}
    row |= {"ingest_ms": START * 1000 + off, "occurred_ms": START * 1000 + off, "disposition": "aggregated"}
    row |= {"reason": "", "event_hash": off, "payload_hash": 0, "key_id": 1, "customer": 1, "source": "survey"}
    row |= {"metric": "nps", "scale": "0-10", "answer": 0, "bin": 0, "brand": "b", "unit": "u", "channel": "web"}
    row |= {"touchpoint": "t", "segments": "", "label": "", "p": 0, "tier": "", "product": "", "old_off": -1}
    row |= {"old_occurred_ms": 0, "old_metric": "", "old_scale": "", "old_bin": -1, "old_channel": ""}
    return row | {"old_segments": "", "old_label": "", "old_p": 0, "old_tier": "", "old_product": ""} | other


def recorded(client: ClickHouse, rows: list[dict[str, Any]]) -> None:
    types: dict[str, type[pl.DataType]] = dict.fromkeys(("bin", "old_bin"), pl.Int8)
    types |= dict.fromkeys(("answer", "p", "old_p"), pl.Int16)
    types |= dict.fromkeys(("ver", "event_hash", "payload_hash", "customer"), pl.UInt64)
    types |= {"epoch": pl.UInt16, "part": pl.UInt16, "key_id": pl.UInt8}
    client.insert("ledger", pl.DataFrame(rows, schema_overrides=types))


def test_crossings_beyond_a_cut_are_counted_from_the_ledger(tables: ClickHouse) -> None:
    rng = random.Random(7)
    rows, expected = [], Counter[tuple[str, str, int]]()
    for off in range(2_000):
        channel, bin_ = rng.choice(["web", "app", "call"]), rng.randrange(11)
        segments = rng.choice(["", "a", "b", "a,b"])
        counted = rng.random() < 0.9
        disposition = "aggregated" if counted else rng.choice(["late", "duplicate", "dead_letter"])
        rows.append(answered(off, channel=channel, bin=bin_, segments=segments, disposition=disposition))
        for segment in segments.split(",") if counted and segments else ():
            expected[channel, segment, bin_] += 1
    recorded(tables, rows)
    question = Question("nps", START, START + HOUR, HOUR, ("channel", "segment"))
    assert question.cut is None
    found = read_scores(tables, question)
    assert {
        (row["channel"], row["segment"], i): count
        for row in found.to_dicts()
        for i, count in enumerate(row["histogram"])
        if count
    } == expected
    assert found.select("channel", "segment").rows() == sorted(found.select("channel", "segment").rows())


def test_an_edited_answer_counts_once_and_where_it_now_is(tables: ClickHouse) -> None:
    old = {"old_occurred_ms": START * 1000, "old_metric": "nps", "old_scale": "0-10", "old_bin": 0}
    many = [answered(off, bin=10, segments="a", channel="app") for off in range(1, 11)]
    first = answered(0, bin=0, segments="a", channel="web")
    edited = answered(11, bin=10, segments="a", channel="app", old_off=0, old_channel="web", old_segments="a", **old)
    recorded(tables, [first, *many, edited])
    rows = asked(tables, by=("channel", "segment"))
    assert [(row["channel"], row["n"], row["score"]) for row in rows] == [("app", 11, 100.0)]


def test_windows_and_ledger_give_the_same_scores(tables: ClickHouse) -> None:
    """The cut `product` from the windows, and the same from the ledger by product and channel, summed."""
    rng = random.Random(3)
    rows: list[dict[str, Any]] = []
    for off in range(1_000):
        row = answered(
            off, bin=rng.randrange(11), channel=rng.choice(["web", "app"]), product=rng.choice(["", "x", "y"])
        )
        row["occurred_ms"] += rng.randrange(HOUR * 1000)
        if off and rng.random() < 0.1:
            former = rows[rng.randrange(off)]
            copied = ("occurred_ms", "metric", "scale", "bin", "channel", "product", "brand", "unit", "touchpoint")
            row |= {"old_off": former["off"]} | {f"old_{name}": former[name] for name in copied}
        rows.append({"old_brand": "", "old_unit": "", "old_touchpoint": ""} | row)
    recorded(tables, rows)
    windows = recompute(tables, Part("feedback", 1, 0, 10_000))
    tables.insert("windows", windows.with_columns(pl.lit(1, pl.UInt64).alias("ver"), pl.lit(1, pl.UInt64).alias("seq")))
    stored = asked(tables, by=("product",), end=START + 2 * HOUR)
    crossed = asked(tables, by=("product", "channel"), end=START + 2 * HOUR)
    summed = {
        name: np.sum([row["histogram"] for row in crossed if row["product"] == name], axis=0).tolist()
        for name in ("x", "y")
    }
    assert {row["product"]: row["histogram"] for row in stored} == summed
    assert all(row["channel"] in ("web", "app") for row in crossed)


def test_sentiment_crossings_come_with_the_sums_of_p(tables: ClickHouse) -> None:
    texts = [("positive", 7_000), ("negative", -5_001), ("unscored", 0), ("neutral", 3)]
    recorded(
        tables,
        [
            answered(off, metric="sentiment_only", bin=-1, label=label, p=p, tier="minilm", segments="a", product="x")
            for off, (label, p) in enumerate(texts)
        ],
    )
    (row,) = asked(tables, "sentiment", by=("segment", "product"))
    assert (row["histogram"][:3], row["s1"], row["s2"]) == ([1, 1, 1], 2_002, 4_900 + 2_501)
    assert (row["status"], row["score"], row["n"]) == ("insufficient", None, 3)


def test_what_a_person_typed_is_never_sql(tables: ClickHouse) -> None:
    written(tables, [window(START, {10: 10})])
    for hostile in ("web') OR 1=1 --", "'; DROP TABLE windows; --", "\\", "{cut:String}"):
        assert asked(tables, filters={"channel": (hostile,)}) == []
    assert [row["n"] for row in asked(tables)] == [10]


def test_the_command_shows_n_and_never_a_number_without(tables: ClickHouse) -> None:
    written(tables, [window(START, {10: 9}), window(START, {10: 30, 0: 10}, channel="call")])
    arguments = ["--metric", "nps", "--by", "channel", "--from", "2026-05-01T08:00", "--to", "2026-05-01T09:00"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    head, call, web = result.stdout.splitlines()
    assert " ".join(head.split()) == "from (UTC) channel scale score n 95 % interval smallest drop seen"
    assert call.split()[:-1] == ["2026-05-01", "08:00", "call", "0-10", "+50.0", "40", "+20.6", "..", "+72.4"]
    assert web.split() == ["2026-05-01", "08:00", "web", "0-10", "insufficient", "9", "-"]
    only = CliRunner().invoke(app, [*arguments, "--where", "channel=web", "--csv"])
    assert only.stdout.splitlines()[1].startswith(
        "2026-05-01T08:00:00Z,3600,nps,web,0-10,9,,,,points,adjusted_wald,ins"
    )


def test_missing_tables_are_named_with_the_command_that_makes_them(settings: Settings) -> None:
    result = CliRunner().invoke(app, ["--metric", "nps"])
    assert result.exit_code == 4
    assert "touchline migrate" in result.stderr
