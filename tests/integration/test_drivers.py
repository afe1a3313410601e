"""Planted causes are found first, with their sizes; what the data cannot say is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.drivers import app
from pipeline.customers.watcher import read_registry
from pipeline.errors import UsageError
from pipeline.journeys.drivers import DriverQuestion, read_drivers
from pipeline.journeys.evenness import EvennessQuestion, read_evenness, read_trend
from pipeline.journeys.impacts import Drivers
from pipeline.journeys.outcomes import OutcomeQuestion, Outcomes, read_outcomes
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from tests.integration.lives import DAY, HOUR, START, Lives
from tests.integration.simulated import simulate
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

END = START + 30 * DAY


@pytest.fixture
def tables(stack: Stack, database: str) -> ClickHouse:
    settings = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=database)
    client = ClickHouse(settings)
    make_tables(client, settings)
    return client


def planted() -> Lives:
    """800 customers order. A delivery fails for 200 of them and costs 50 points; 400 call, which does nothing."""
    lives = Lives()
    random = np.random.default_rng(52)
    for customer in range(1, 801):
        at = START + DAY + customer
        late = customer % 4 == 0
        lives.did(customer, at, "checkout")
        lives.did(customer, at + 5, "payment", value=40.0 + customer % 7, currency="EUR")
        lives.did(customer, at + DAY, "delivery", "fail" if late else "ok")
        if customer % 2 == (customer // 8) % 2:
            lives.did(customer, at + DAY + HOUR, "support_call", channel="call")
        happy = random.random() < (0.3 if late else 0.6)
        lives.said(customer, at + 2 * DAY, 2, "checkout")
        lives.said(customer, at + 3 * DAY, 10 if happy else 5, "delivery", unit="north" if late else "south")
    return lives


def read(client: ClickHouse, **more: Any) -> Drivers:
    return read_drivers(client, DriverQuestion(**{"start": START, "end": END, **more}))


def test_the_planted_driver_ranks_first_with_its_lift_impact_and_weight(tables: ClickHouse) -> None:
    planted().write(tables)
    found = read(tables, of="moment")
    drivers = {row["driver"]: row for row in found.drivers}
    assert set(drivers) == {"checkout ok", "payment ok", "delivery ok", "delivery fail", "support_call ok"}
    assert found.whole["n"] == 800  # one voice a customer: the last answer
    first = found.drivers[0]
    assert first["driver"] in ("delivery fail", "delivery ok")
    assert {drivers["delivery fail"]["goes_along_with"], drivers["delivery ok"]["goes_along_with"]} & {
        "delivery fail", "delivery ok"}  # fmt: skip
    late = drivers["delivery fail"]
    assert (late["met"]["n"], late["others"]["n"], late["reach"]["value"]) == (200, 600, 0.25)
    assert late["lift"]["low"] < -60 < late["lift"]["high"]
    assert late["lift"]["value"] == pytest.approx(late["met"]["score"] - late["others"]["score"])
    # Leave one out: what the score of all 800 loses to the score of the 600.
    assert late["impact"]["value"] == pytest.approx(found.whole["score"] - late["others"]["score"])
    call = drivers["support_call ok"]
    assert call["weight"]["value"] < 0.02 < first["weight"]["low"]
    assert call["lift"]["low"] < 0 < call["lift"]["high"]
    assert late["pain"]
    # All met the checkout: there is nobody to compare with.
    assert (drivers["checkout ok"]["lift"]["value"], drivers["checkout ok"]["weight"]["value"]) == (None, None)
    assert first["critical"]
    assert found.weights is None


def test_a_dimension_of_the_answer_is_compared_with_all_other_answers(tables: ClickHouse) -> None:
    planted().write(tables)
    found = read(tables, of="answer.unit")
    north = next(row for row in found.drivers if row["driver"] == "north")
    assert (north["met"]["n"], north["others"]["n"]) == (200, 1_400)
    assert north["impact"]["value"] == pytest.approx(found.whole["score"] - north["others"]["score"])
    assert found.weights is not None


def test_topics_of_texts_are_drivers_with_weights_and_an_answer_counts_once_in_the_whole(tables: ClickHouse) -> None:
    """400 write, of whom those about deliveries are unhappy; 400 write nothing and are all happy: they do not count."""
    lives = Lives()
    random = np.random.default_rng(9)
    for customer in range(1, 801):
        late, dear = customer % 4 == 0, random.random() < 0.3
        wrote = customer <= 400
        lives.said(customer, START + DAY, 0, unit="west")
        lives.wrote("delivery,price,app")  # taken over by the customer's next answer
        lives.said(customer, START + 2 * DAY, 3 if wrote and late else 9, unit="north" if customer % 2 else "south")
        if wrote:
            names = [name for name, there in (("delivery", late), ("price", dear), ("rare", customer < 6)) if there]
            lives.wrote(",".join(names))
    lives.said(900, START + 2 * DAY, 0)
    lives.wrote("", taxonomy="")  # nobody has looked at it
    lives.write(tables)
    found = read(tables, of="topic")
    drivers = {row["driver"]: row for row in found.drivers}
    assert list(drivers) == ["delivery", "price", "rare"]
    assert (found.whole["n"], found.whole["score"]) == (400, 50.0)
    first = drivers["delivery"]
    assert (first["met"]["n"], first["others"]["n"], first["lift"]["value"]) == (100, 300, -200.0)
    # Leave one out: the whole less the score of the 300 others.
    assert first["impact"]["value"] == -50.0
    assert first["impact"]["low"] < -50.0 < first["impact"]["high"] < 0
    assert first["weight"]["value"] == pytest.approx(1.0, abs=0.02)
    assert (first["quadrant"], first["pain"], first["critical"]) == ("fix first", True, True)
    assert drivers["price"]["weight"]["value"] < 0.02
    assert (drivers["rare"]["impact"]["value"], drivers["rare"]["impact"]["status"]) == (None, "insufficient")
    north = read(tables, of="topic", filters={"unit": ("north",)})
    assert (north.whole["n"], [row["driver"] for row in north.drivers]) == (200, ["price", "rare"])
    assert read(tables, of="topic", start=START + 20 * DAY).drivers == []


def test_few_answers_and_no_answers_are_refused_and_nonsense_is_named(tables: ClickHouse) -> None:
    lives = Lives()
    for customer in range(1, 21):
        lives.did(customer, START, "checkout" if customer % 2 else "delivery")
        lives.said(customer, START + HOUR, 9)
    lives.write(tables)
    found = read(tables)
    assert found.weights is not None
    assert found.weights.needed == 50
    assert found.drivers[0]["lift"]["value"] == 0.0
    assert read(tables, within_days=1, start=START + 20 * DAY).drivers == []
    with pytest.raises(UsageError, match="drives nothing"):
        DriverQuestion(START, END, of="mood")
    with pytest.raises(UsageError, match="no answers of 'volume'"):
        DriverQuestion(START, END, metric="volume")


def outcomes(client: ClickHouse, **more: Any) -> Outcomes:
    known: dict[str, Any] = {"start": START, "end": START + 10 * DAY, "now": START + 60 * DAY, "horizon_days": 30}
    return read_outcomes(client, OutcomeQuestion(**{**known, "purchases": ("payment",), **more}))


def test_who_left_and_what_was_spent_by_answer_are_the_planted_numbers(tables: ClickHouse) -> None:
    """The worked example of scores.md 5: 40 of 160 detractors leave, 6 of 200 promoters."""
    lives = Lives()
    for customer in range(1, 361):
        promoter = customer > 160
        leaves = customer <= 40 or 160 < customer <= 166
        lives.said(customer, START + HOUR, 3)
        lives.said(customer, START + 2 * DAY, 10 if promoter else 2)
        lives.did(customer, START + 9 * DAY, "payment", value=999.0, currency="EUR")
        if not leaves:
            lives.did(customer, START + 20 * DAY, "payment", value=80.0 if promoter else 20.0, currency="EUR")
        lives.did(customer, START + 45 * DAY, "app_session")
    lives.write(tables)
    found = outcomes(tables)
    classes = {row["class"]: row for row in found.classes}
    assert (classes["detractors"]["left"]["hits"], classes["detractors"]["n"]) == (40, 160)
    assert (classes["promoters"]["left"]["hits"], classes["promoters"]["n"]) == (6, 200)
    assert classes["passives"]["left"]["status"] == "insufficient"
    assert classes["promoters"]["spent"]["value"] == 80.0 * 194 / 200
    odds = found.measures["odds_ratio"]
    assert [f"{odds[name]:.4f}" for name in ("value", "low", "high")] == ["10.7778", "4.4359", "26.1862"]
    assert f"{found.measures['risk_ratio']['value']:.4f}" == "8.3333"
    # All spent the same before and have been known as long: nothing to hold equal.
    assert f"{found.measures['adjusted_odds_ratio']['value']:.4f}" == "10.7778"
    assert found.measures["leaving"]["high"] < 0 < found.measures["spending"]["low"]
    assert (found.currency, found.n) == ("EUR", 360)


def test_an_outcome_that_is_not_known_yet_and_two_currencies_are_refused(tables: ClickHouse) -> None:
    lives = Lives()
    lives.said(1, START, 9)
    for number, currency in enumerate(("EUR", "USD")):
        lives.did(1, START + 11 * DAY + number, "payment", value=1.0, currency=currency)
    lives.write(tables)
    with pytest.raises(UsageError, match="not known yet"):
        outcomes(tables, now=START + 39 * DAY)
    with pytest.raises(UsageError, match="EUR, USD: choose one"):
        outcomes(tables)
    found = outcomes(tables, currency="USD")
    assert found.measures["risk_ratio"]["needed"] == 10
    assert outcomes(tables, start=START - 9 * DAY, end=START - DAY, currency="USD").classes == []


def stores() -> Lives:
    """Twenty stores of 60 answers with one mean; in the last one hardly anybody is happy."""
    lives = Lives()
    for store in range(20):
        promoters = 42 if store < 19 else 6
        for number in range(60):
            answer = 10 if number < promoters else 3
            lives.said(1_000 * store + number + 1, START + number, answer, unit=f"s{store:02d}", channel="store")
    return lives


def test_one_bad_store_among_even_ones_is_found_and_named(tables: ClickHouse) -> None:
    stores().write(tables)
    found = read_evenness(tables, EvennessQuestion(START, END, "unit"))
    assert found.index["uneven"]
    assert found.index["worst_pair"]["low"] == "s19"
    assert found.index["high"] < 95
    assert found.groups[0]["group"] == "s19"
    assert found.groups[0]["score"] < found.groups[0]["shrunk"] < found.index["mean"]
    without = tuple(f"s{store:02d}" for store in range(19))
    even = read_evenness(tables, EvennessQuestion(START, END, "unit", filters={"unit": without}))
    assert (even.index["value"], even.index["uneven"]) == (100.0, False)
    daily = read_trend(tables, EvennessQuestion(START, END, "unit"), DAY)
    day = daily[0]["start"]
    assert daily[0] == {
        "start": day,
        "seconds": DAY,
        **read_evenness(tables, EvennessQuestion(day, day + DAY, "unit")).index,
    }
    assert [window["start"] for window in daily] == sorted({window["start"] for window in daily})
    with pytest.raises(UsageError, match="more than 60 windows"):
        read_trend(tables, EvennessQuestion(START, START + 61 * DAY, "unit"), DAY)
    alone = read_evenness(tables, EvennessQuestion(START, END, "channel"))
    assert alone.index["needed"] == 2
    assert read_evenness(tables, EvennessQuestion(END, END + DAY, "unit")).groups == []


def test_the_commands_show_what_the_readers_give(
    tables: ClickHouse, stack: Stack, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_URL", stack.clickhouse_url)
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_DATABASE", database)
    planted().write(tables)
    span = ["--from", "2026-05-01", "--to", "2026-05-31"]
    text = CliRunner().invoke(app, ["drivers", *span, "--of", "moment"])
    assert text.exit_code == 0, text.output
    lines = text.stdout.splitlines()
    assert lines[0].startswith("nps ")
    assert lines[0].endswith(", n 800")
    assert lines[1].split() == ["driver", "met", "by", "score", "lift", "impact", "weight", "what"]
    assert any("goes along with delivery" in line for line in lines)
    document = orjson.loads(CliRunner().invoke(app, ["drivers", *span, "--of", "moment", "--json"]).stdout)
    assert document["drivers"] == read(tables, of="moment").drivers
    table = CliRunner().invoke(app, ["drivers", *span, "--csv"]).stdout.splitlines()
    assert table[0].startswith("driver,reach,n,score,lift,lift_low,lift_high,impact")
    left = CliRunner().invoke(app, ["drivers", *span, "--to", "2026-05-08", "--outcomes", "--horizon", "1d"])
    assert left.exit_code == 0, left.output
    assert left.stdout.splitlines()[1].startswith("detractors")
    even = CliRunner().invoke(app, ["consistency", *span])
    assert even.stdout.startswith("consistency ")
    trend = CliRunner().invoke(app, ["consistency", *span, "--grain", "7d"])
    assert (trend.exit_code, trend.stdout.startswith("from (UTC)")) == (0, True)
    assert "farthest apart: north and south" in even.stdout
    future = CliRunner().invoke(app, ["drivers", "--to", "now", "--outcomes"])
    assert (future.exit_code, "not known yet" in future.stderr) == (2, True)


def test_random_lives_give_what_a_plain_loop_in_python_gives(tables: ClickHouse) -> None:
    """Reach and lift of every moment, customer by customer, without a line of SQL."""
    random = np.random.default_rng(7)
    lives = Lives()
    for customer in range(1, 501):
        for _ in range(random.integers(0, 8)):
            name = ("checkout", "delivery", "support_call")[random.integers(3)]
            lives.did(customer, START + random.uniform(-10, 20) * DAY, name, ("", "ok", "fail")[random.integers(3)])
        for _ in range(random.integers(0, 4)):
            lives.said(customer, START + random.uniform(0, 20) * DAY, int(random.integers(0, 11)))
    lives.write(tables)
    outcome = {0: "", 1: " ok", 2: " fail"}
    in_order = sorted(lives.rows, key=lambda row: row["occurred_ms"])
    last = {row["customer"]: row for row in in_order if row["metric"] == "nps"}
    met: dict[str, list[float]] = {}
    for customer, said in last.items():
        worth = 100.0 if said["answer"] >= 9 else 0.0 if said["answer"] >= 7 else -100.0
        before = {
            row["touchpoint"] + outcome[row["bin"]]
            for row in lives.rows
            if row["customer"] == customer and row["metric"] == "volume"
            and 0 <= said["occurred_ms"] - row["occurred_ms"] < 7 * DAY * 1000
        }  # fmt: skip
        for name in before:
            met.setdefault(name, []).append(worth)
    found = {row["driver"]: row for row in read(tables, of="moment", within_days=7).drivers}
    assert {name: row["met"]["n"] for name, row in found.items()} == {name: len(values) for name, values in met.items()}
    for name, values in met.items():
        assert found[name]["met"]["score"] == pytest.approx(sum(values) / len(values)), name


def test_the_troubles_that_the_simulator_plants_are_the_first_to_be_fixed(tables: ClickHouse) -> None:
    assert simulate(tables, read_registry(), 8_000, START, 28) > 30_000
    found = read(tables, of="moment")
    drivers = {row["driver"]: row for row in found.drivers}
    assert found.drivers[0]["driver"] == "delivery fail"
    for trouble in ("delivery fail", "checkout fail", "contract_renewal abandon"):
        assert drivers[trouble]["lift"]["high"] < -10, trouble
        assert drivers[trouble]["quadrant"] == "fix first", trouble
        assert drivers[trouble]["pain"], trouble
    assert drivers["product_searched ok"]["quadrant"] == "unclear"
    assert found.r_squared is not None
    weights = [row["weight"] for row in found.drivers if row["weight"]["value"] is not None]
    assert sum(weight["value"] for weight in weights) == pytest.approx(found.r_squared)
