"""1,000 scripted journeys come back with the numbers that they were written with."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.journeys import app
from pipeline.customers.watcher import read_registry
from pipeline.journeys.flows import Journeys
from pipeline.journeys.ways import MOST_EVENTS, JourneyQuestion, read_journeys
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from tests.integration.lives import DAY, HOUR, START, Lives
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

REGISTRY = read_registry()
END = START + 30 * DAY


@pytest.fixture
def settings(stack: Stack, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_URL", stack.clickhouse_url)
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_DATABASE", database)
    monkeypatch.setenv("TOUCHLINE_INSECURE_KEYS", "true")
    return load_settings()


@pytest.fixture
def tables(settings: Settings) -> ClickHouse:
    client = ClickHouse(settings)
    make_tables(client, settings)
    return client


def scripted() -> Lives:
    """1,000 journeys: 400 buy, 100 buy and need help, 100 renew, 350 give up, 50 are on their way."""
    lives = Lives()
    for customer in range(1, 1_001):
        at = START + DAY + customer * 60
        if customer <= 500:
            bought(lives, customer, at)
        elif customer <= 700:
            lives.did(customer, at, "page_viewed")
            lives.did(customer, at + 5, "product_searched")
            lives.did(customer, at + HOUR / 2, "checkout", "fail")
        elif customer <= 850:
            lives.did(customer, at, "page_viewed")
        elif customer <= 950:
            lives.did(customer, at, "app_session")
            lives.did(customer, at + 3 * DAY, "contract_renewal")
        else:
            lives.did(customer, END - DAY, "page_viewed")
    return lives


def bought(lives: Lives, customer: int, at: float) -> None:
    lives.did(customer, at, "page_viewed")
    lives.did(customer, at + 60, "page_viewed")
    lives.did(customer, at + HOUR, "checkout")
    lives.did(customer, at + HOUR + 30, "payment")
    late = customer > 400
    lives.did(customer, at + 2 * DAY, "delivery", "fail" if late else "ok")
    if late:
        lives.did(customer, at + 2 * DAY + 2 * HOUR, "support_call", channel="call")
    if customer % 4 == 0:
        lives.said(customer, at + 3 * DAY, 3 if late else 10, "delivery")


def read(client: ClickHouse, **more: Any) -> Journeys:
    asked: dict[str, Any] = {"start": START, "end": END, "arrived": REGISTRY.journey.arrived, "silence_days": 14}
    return read_journeys(client, JourneyQuestion(**asked | more), REGISTRY)


def test_scripted_journeys_give_their_drop_off_times_scores_and_removal_effects(tables: ClickHouse) -> None:
    scripted().write(tables)
    found = read(tables)
    totals = found.totals
    assert {name: totals[name] for name in ("journeys", "arrived", "lost", "open", "cut")} == {
        "journeys": 1_000, "arrived": 600, "lost": 350, "open": 50, "cut": 0,
    }  # fmt: skip
    steps = {step["step"]: step for step in found.steps}
    assert list(steps) == ["discover", "buy", "receive", "use", "support", "renew"]
    assert {name: (step["journeys"], step["dropped"], step["drop_off"]["n"]) for name, step in steps.items()} == {
        "discover": (900, 150, 850), "buy": (700, 200, 700), "receive": (500, 0, 500),
        "use": (100, 0, 100), "support": (100, 0, 100), "renew": (100, 0, 100),
    }  # fmt: skip
    assert steps["buy"]["drop_off"]["value"] == 200 / 700
    (score,) = steps["receive"]["scores"]
    assert (score["n"], score["score"], score["status"]) == (125, 100 * (100 - 25) / 125, "ok")
    assert score["low"] < 60 < score["high"]
    assert steps["use"]["scores"] == []
    # discover > buy: 700 of 850 closed go on, 500 of them pay; everything but the renewals comes through buy.
    effects = {name: step["removal_effect"]["value"] for name, step in steps.items()}
    assert effects["buy"] == pytest.approx(500 / 600)
    assert effects["use"] == pytest.approx(100 / 600)
    assert effects["receive"] is None
    ways = {(way["from"], way["to"]): way for way in found.ways}
    assert (ways["discover", "buy"]["n"], ways["discover", "buy"]["share"]["value"]) == (700, 700 / 900)
    assert (ways["discover", "buy"]["median_seconds"], ways["discover", "buy"]["p90_seconds"]) == (3600, 3600)
    assert ways["receive", "support"]["median_seconds"] == 2 * HOUR
    assert ways["use", "renew"]["median_seconds"] == 3 * DAY
    assert (ways["discover", "(end)"]["n"], ways["discover", "(open)"]["n"]) == (150, 50)
    assert {way: row["map"] for way, row in ways.items() if row["map"] in ("undeclared", "unseen")} == {
        ("receive", "support"): "undeclared",
        **dict.fromkeys(
            [("buy", "use"), ("receive", "use"), ("renew", "buy"), ("renew", "use"), ("support", "renew"),
             ("support", "use"), ("use", "support")], "unseen"),
    }  # fmt: skip
    by_channel = {(way["from"], way["to"]): way["n"] for way in read(tables, of="channel").ways}
    assert by_channel["web", "call"] == 100


def test_a_silence_ends_a_journey_and_one_that_began_before_the_window_does_not_count(tables: ClickHouse) -> None:
    lives = Lives()
    for customer in range(1, 21):
        # Two journeys, fifteen days apart.
        lives.did(customer, START + HOUR, "page_viewed")
        lives.did(customer, START + HOUR + 15 * DAY, "app_session")
        # On its way at the begin of the window, and still there in it.
        lives.did(100 + customer, START - 3 * DAY, "page_viewed")
        lives.did(100 + customer, START + 3 * DAY, "checkout", "abandon")
    lives.write(tables)
    found = read(tables)
    assert (found.totals["journeys"], found.totals["lost"], found.totals["open"]) == (40, 40, 0)
    assert {(way["from"], way["to"]) for way in found.ways if way["n"]} == {
        ("(begin)", "discover"), ("discover", "(end)"), ("(begin)", "use"), ("use", "(end)"),
    }  # fmt: skip
    wider = read(tables, silence_days=16)
    assert {(way["from"], way["to"]): way["n"] for way in wider.ways if way["n"]}["discover", "use"] == 20
    earlier = read(tables, start=START - 4 * DAY)
    assert {(way["from"], way["to"]): way["n"] for way in earlier.ways if way["n"]}["discover", "buy"] == 20


def test_a_session_that_never_ends_is_cut_and_named(tables: ClickHouse) -> None:
    lives = Lives()
    for number in range(MOST_EVENTS + 500):
        lives.did(7, START + 60 * number, ("page_viewed", "checkout")[number % 2])
    lives.did(8, START, "page_viewed")
    lives.write(tables)
    found = read(tables)
    assert (found.totals["journeys"], found.totals["cut"]) == (2, 1)
    assert sum(way["n"] for way in found.ways if way["to"] == "buy") == MOST_EVENTS // 2


def test_late_and_duplicate_rows_nameless_customers_and_other_brands_stay_out(tables: ClickHouse) -> None:
    lives = Lives()
    lives.did(1, START, "page_viewed")
    lives.did(1, START + 1, "checkout", disposition="late")
    lives.did(1, START + 2, "checkout", disposition="duplicate")
    lives.did(0, START + 3, "checkout")
    lives.did(1, START + 4, "app_session", brand="bolt")
    lives.write(tables)
    assert [step["step"] for step in read(tables).steps] == ["discover", "use"]
    assert read(tables).totals["journeys"] == 2  # the same customer, once with each brand
    assert read(tables, filters={"brand": ("bolt",)}).totals["journeys"] == 1
    assert read(tables, filters={"brand": ("none",)}).steps == []


def test_the_view_for_analysts_holds_the_same_journeys(tables: ClickHouse) -> None:
    scripted().write(tables)
    call = (
        "journeys(first = '2026-05-01 00:00:00', last = '2026-05-31 00:00:00', silence_days = 14, "
        "arrived = ['payment', 'contract_renewal'])"
    )
    totals = tables.query(
        f"""SELECT countIf(has_arrived) AS arrived, countIf(NOT has_arrived AND NOT is_open) AS lost,
            countIf(NOT has_arrived AND is_open) AS open FROM {call}"""
    ).to_dicts()
    assert totals == [{"arrived": 600, "lost": 350, "open": 50}]
    ways = tables.query(
        f"""SELECT path[step] AS one, path[step + 1] AS other, count() AS n
        FROM (SELECT arrayCompact(stages) AS path, arrayJoin(range(1, length(path))) AS step FROM {call})
        GROUP BY one, other ORDER BY one, other"""
    ).rows()
    assert ways == sorted(
        (w["from"], w["to"], w["n"]) for w in read(tables).ways if w["n"] and "(" not in w["from"] + w["to"]
    )
    (one,) = tables.query(f"SELECT * FROM {call} WHERE customer = 401").to_dicts()
    assert one["touchpoints"][-2:] == ["delivery", "support_call"]
    assert one["outcomes"][-2:] == ["fail", "ok"]
    assert one["arrived_at"] == 4


def test_the_command_draws_the_flow_and_gives_it_as_json_and_csv(tables: ClickHouse, settings: Settings) -> None:
    scripted().write(tables)
    span = ["--from", "2026-05-01", "--to", "2026-05-31"]
    text = CliRunner().invoke(app, span)
    assert text.exit_code == 0, text.output
    lines = text.stdout.splitlines()
    assert lines[0].startswith(
        "1,000 journeys: 600 arrived (63.2 % (60.0 .. 66.2) of 950 decided), 350 ended without, 50"
    )
    assert "receive: 500 journeys  |  score +60.0 (n 125, +44.7 .. +72.5)  |  0.0 % (0.0 .. 0.8) stop here" in lines
    (undeclared,) = [line for line in lines if line.endswith("undeclared")]
    assert undeclared.split() == ["████", "20.0", "%", "100", ">", "support", "2", "h", "undeclared"]
    assert lines[-1].startswith("declared but never taken: buy > use,")
    found = orjson.loads(CliRunner().invoke(app, [*span, "--json"]).stdout)
    assert (found["totals"]["arrived"], found["silence_days"]) == (600, 14)
    table = CliRunner().invoke(app, [*span, "--csv", "--of", "touchpoint"]).stdout.splitlines()
    assert table[0] == "from,to,n,share,low,high,median_seconds,p90_seconds,map"
    assert any(line.startswith("checkout,payment,500,") and line.endswith(",30.0,30.0,declared") for line in table)
    nothing = CliRunner().invoke(app, ["--from", "2020-01-01", "--to", "2020-02-01"])
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no journey" in nothing.stderr


#: The queries of docs/journeys.md, in order: columns, and the first row over the scripted journeys.
_QUERIES = [
    (["first_touchpoint", "n", "arrived"], ("page_viewed", 850, 500)),
    (["path", "n"], ("page_viewed > checkout > payment > delivery", 400)),
    (["last_touchpoint", "outcome", "n"], ("checkout", "fail", 200)),
    (["failed_in", "went_on_in", "n"], ("web", "call", 100)),
    (["week", "n", "median_seconds"], (date(2026, 4, 26), 500, HOUR + 30)),
]


def test_every_query_of_the_page_runs_and_says_what_was_scripted(tables: ClickHouse) -> None:
    scripted().write(tables)
    page = (Path(__file__).resolve().parents[2] / "docs" / "journeys.md").read_text()
    queries = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(queries) == len(_QUERIES)
    for query, (names, first) in zip(queries, _QUERIES, strict=True):
        found = tables.query(query)
        assert (found.columns, found.row(0)) == (names, first), query


def test_random_lives_give_what_a_plain_walk_in_python_gives(tables: ClickHouse) -> None:
    """The same rules once more, customer by customer and event by event, without a line of SQL."""
    random = Random(36)
    names = [*REGISTRY.touchpoints, "fax"]
    lives = Lives()
    for customer in range(1, 301):
        for _ in range(random.randint(1, 12)):
            at = START - 20 * DAY + random.randrange(50 * DAY * 1000) / 1000
            lives.did(customer, at, random.choice(names), random.choice(["", "ok", "fail", "abandon"]))
    lives.write(tables)
    ways: Counter[tuple[str, str]] = Counter()
    fates: Counter[str] = Counter()
    for journey in walked(lives):
        steps = [stage for stage, before in zip(journey.stages, ["", *journey.stages], strict=False) if stage != before]
        open_ = journey.ended > END - 14 * DAY
        ways.update(zip(["(begin)", *steps], [*steps, "(open)" if open_ else "(end)"], strict=True))
        fates["arrived" if journey.arrived else "open" if open_ else "lost"] += 1
    found = read(tables)
    assert {(way["from"], way["to"]): way["n"] for way in found.ways if way["n"]} == dict(ways)
    assert {fate: found.totals[fate] for fate in ("lost", "arrived", "open")} == dict(fates)
    assert min(fates.values()) > 20
    view = tables.query(
        "SELECT toFloat64(began) AS began, toFloat64(ended) AS ended, stages, has_arrived, is_open FROM "
        "journeys(first = '2026-05-01 00:00:00', last = '2026-05-31 00:00:00', silence_days = 14, "
        "arrived = {arrived:Array(String)})",
        {"arrived": list(REGISTRY.journey.arrived)},
    )
    assert sorted(view.rows()) == sorted(
        (walk.began, walk.ended, walk.stages, int(walk.arrived), int(walk.ended > END - 14 * DAY))
        for walk in walked(lives)
    )


@dataclass
class Walk:
    """One journey as a plain walk finds it."""

    began: float
    ended: float
    stages: list[str]
    arrived: bool


def walked(lives: Lives) -> list[Walk]:
    found: list[Walk] = []
    by_customer: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(lives.rows, key=lambda row: row["occurred_ms"]):
        if row["occurred_ms"] >= (START - 14 * DAY) * 1000:
            by_customer.setdefault(row["customer"], []).append(row)
    for rows in by_customer.values():
        walk: Walk | None = None
        for row in rows:
            at = row["occurred_ms"] / 1000
            if walk is None or at - walk.ended > 14 * DAY:
                walk = Walk(at, at, [], False)
                found.append(walk)
            walk.ended = at
            walk.stages.append(row["stage"])
            walk.arrived |= row["touchpoint"] in REGISTRY.journey.arrived and row["bin"] not in (2, 3)
    return [walk for walk in found if walk.began >= START]
