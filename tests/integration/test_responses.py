"""Waits by cohort: reminders, open cases, answers that belong to a later case; and the delivery gap."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.responses import app
from pipeline.errors import UsageError
from pipeline.journeys.responses import GapQuestion, WaitQuestion, read_gap, read_waits
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from tests.integration.lives import DAY, HOUR, START, Lives
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def tables(stack: Stack, database: str, monkeypatch: pytest.MonkeyPatch) -> ClickHouse:
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_URL", stack.clickhouse_url)
    monkeypatch.setenv("TOUCHLINE_CLICKHOUSE_DATABASE", database)
    settings = load_settings()
    client = ClickHouse(settings)
    make_tables(client, settings)
    return client


def read(client: ClickHouse, **more: Any) -> list[dict[str, Any]]:
    known: dict[str, Any] = {"begin": "survey_sent", "finish": "feedback", "start": START, "end": START + 10 * DAY}
    return read_waits(client, WaitQuestion(**{**known, "now": START + 10 * DAY, **more})).cohorts


def test_the_response_rate_is_that_of_the_invitations_own_cohort(tables: ClickHouse) -> None:
    """100 invitations on day 0, 40 answered; 200 on day 8, 20 of them answered so far: 40 % and more than 10 %."""
    lives = Lives()
    for customer in range(1, 101):
        lives.did(customer, START, "survey_sent")
        if customer <= 40:
            lives.said(customer, START + DAY, 9)
    for customer in range(101, 301):
        lives.did(customer, START + 8 * DAY + 12 * HOUR, "survey_sent")
        if customer <= 120:
            lives.said(customer, START + 9 * DAY, 9)
    lives.write(tables)
    first, second = read(tables, cohort="day")
    assert (first["from"], first["n"], first["open"], first["within"]["value"]) == (START, 100, 60, 0.4)
    assert (second["from"], second["n"], second["open"]) == (START + 8 * DAY, 200, 180)
    assert (first["decided"]["value"], first["decided"]["n"]) == (0.4, 100)
    assert (second["decided"]["value"], second["decided"]["n"]) == (1.0, 20)  # why it is not the one that is shown
    assert second["within"]["value"] == pytest.approx(0.1)
    (whole,) = read(tables)
    # Kaplan-Meier: half a day after it 20 of 300 have come, after a day 40 of the 100 that were watched so long.
    assert whole["within"]["value"] == pytest.approx(1 - (1 - 20 / 300) * (1 - 40 / 280))
    assert (whole["n"], whole["median_of_closed"]) == (300, DAY)


def test_first_responses_are_the_worked_numbers(tables: ClickHouse) -> None:
    """scores.md 1.2 ten times over: replies after 1, 2, 2 and 5 hours, open for 3, 6 and 30: the median is 5 hours."""
    now, lives = START + 10 * DAY, Lives()
    for copy in range(10):
        for number, (hours, came) in enumerate([(1, 1), (2, 1), (2, 1), (5, 1), (3, 0), (6, 0), (30, 0)]):
            customer = 10 * copy + number + 1
            begun = now - (40 if came else hours) * HOUR
            lives.did(customer, begun, "question")
            if came:
                lives.did(customer, begun + hours * HOUR, "reply")
    lives.write(tables)
    (found,) = read(tables, begin="question", finish="reply", now=now)
    assert (found["n"], found["open"], found["median_seconds"]) == (70, 30, 5 * HOUR)
    assert found["median_of_closed"] == 2 * HOUR
    assert f"{1 - found['within']['value']:.6f}" == "0.380952"


def test_a_reminder_is_no_case_of_its_own_and_an_answer_belongs_to_the_last_case(tables: ClickHouse) -> None:
    lives = Lives()
    for customer in range(1, 11):
        lives.did(customer, START, "survey_sent")
        lives.did(customer, START + 2 * DAY, "survey_sent")  # a reminder
        lives.did(customer, START + 9 * DAY, "survey_sent")  # another case, the first was not answered
        lives.said(customer, START + 9 * DAY + HOUR, 8)
        lives.did(customer, START + 9 * DAY + 2 * HOUR, "survey_sent")  # answered before: another case
    lives.write(tables)
    days = read(tables, cohort="day")
    assert [(row["from"], row["n"], row["open"]) for row in days] == [(START, 10, 10), (START + 9 * DAY, 20, 10)]
    assert days[1]["median_of_closed"] == HOUR


def test_few_cases_say_nothing_and_nonsense_is_named(tables: ClickHouse) -> None:
    lives = Lives()
    lives.did(1, START, "survey_sent")
    lives.write(tables)
    assert read(tables)[0]["within"]["status"] == "insufficient"
    assert read(tables, begin="nothing") == []
    with pytest.raises(UsageError, match="another thing"):
        WaitQuestion("a", "a", START, START + 1, START)
    with pytest.raises(UsageError, match="no cohort"):
        WaitQuestion("a", "b", START, START + 1, START, cohort="moon")


def test_the_delivery_gap_and_the_commands(tables: ClickHouse) -> None:
    lives = Lives()
    for customer in range(1, 1_001):
        at = START + customer
        lives.said(customer, at, 5 if customer <= 80 else 2, "delivery", metric="csat", scale="1-5",
                   bin=4 if customer <= 80 else 1)  # fmt: skip
        lives.did(customer, at - HOUR, "survey_sent")
    lives.write(tables)
    found = read_gap(tables, GapQuestion(290, 362, START, START + DAY))
    assert [f"{found[name]:.6f}" for name in ("value", "low", "high")] == ["0.721105", "0.673214", "0.761925"]
    span = ["--from", "2026-04-30", "--to", "2026-05-02"]
    told = CliRunner().invoke(app, ["gap", "290/362", *span]).stdout
    assert told.startswith("gap +72.1 percentage points (+67.3 .. +76.2): 80.1 % of 362 believe it, 8.0 % of 1,000")
    assert CliRunner().invoke(app, ["gap", "most"]).exit_code == 2
    assert (
        "no csat answer"
        in CliRunner().invoke(app, ["gap", "290/362", "--from", "2020-01-01", "--to", "2020-01-02"]).stderr
    )
    table = CliRunner().invoke(app, ["waits", "survey_sent", "feedback", *span])
    assert table.exit_code == 0, table.output
    assert table.stdout.splitlines()[1].split()[2:5] == ["1,000", "0", "100.0"]
    document = orjson.loads(CliRunner().invoke(app, ["waits", "survey_sent", "feedback", *span, "--json"]).stdout)
    assert document["cohorts"][0]["median_seconds"] == HOUR
