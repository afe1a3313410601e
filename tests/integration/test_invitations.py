"""The contact policy on the real tables: asked twice, at once, bounced; and how many answered (C14)."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.invitations import app
from pipeline.customers.contact import Choice, Decision, Policy
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.intake.inviting import Asked, Invitations, rates
from tests.chaos.harness import Case

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000


def command(case: Case, *arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["invitations", *arguments], env=case.environment())
    return result.exit_code, result.stdout


def test_who_was_asked_within_the_quiet_period_is_not_asked_again_whatever_the_survey(case: Case) -> None:
    check = ("check", "c-1", "--survey", "nps", "--invitation", "i-1", "--json")
    assert json.loads(command(case, *check, "--dry-run")[1])["allowed"]
    code, out = command(case, *check)
    assert (code, json.loads(out)["allowed"]) == (0, True)
    assert command(case, *check)[0] == 0, "the same invitation gets the same answer"
    code, out = command(case, "check", "c-1", "--survey", "csat", "--json")
    assert (code, json.loads(out)["reason"]) == (3, "quiet_period")
    assert command(case, "bounced", "c-1", "i-1")[0] == 0
    assert command(case, "check", "c-1", "--survey", "csat")[0] == 0
    assert command(case, "choose", "c-2", "opt_out")[0] == 0
    assert "opted_out" in command(case, "check", "c-2", "--survey", "nps")[1]
    rows = case.rows("SELECT count() AS n FROM invitations WHERE toString(customer) = 'c-1'")
    assert rows[0]["n"] == 0, "customers stand under their pseudonym"


def test_of_many_who_ask_at_once_one_is_told_yes(case: Case) -> None:
    def ask(number: int) -> bool:
        client = ClickHouse(case.settings)
        book = Invitations(client, case.settings, Policy())
        allowed = book.ask(Asked("c-3", "nps", f"i-{number:02d}"), NOW).allowed
        client.close()
        return allowed

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(ask, range(8)))
    assert sum(told) <= 1
    # All may have stood back for each other: then the next one is told yes, and after that nobody.
    told += [ask(8), ask(9)]
    assert sum(told) == 1
    rows = case.rows("SELECT toInt64(countIf(allowed)) AS n, toInt64(count()) AS every FROM invitations FINAL")
    assert (rows[0]["n"], rows[0]["every"]) == (1, 10)


def test_a_stored_answer_holds_as_long_as_its_reason(case: Case) -> None:
    client = ClickHouse(case.settings)
    book = Invitations(client, case.settings, Policy())

    def ask(name: str, days: int = 0) -> Decision:
        return book.ask(Asked("c-4", "nps", name), NOW + days * DAY)

    assert ask("first") == Decision(True)
    again = NOW + 30 * DAY
    for days in (1, 29):  # the same invitation, the same answer, and from when on to ask it again
        assert ask("second", days) == Decision(False, "quiet_period", again)
    assert ask("second", 30) == Decision(True)
    assert ask("third", 31) == Decision(False, "quiet_period", again + 30 * DAY), "the second is written down"
    assert ask("second", 31) == Decision(True)
    book.choose("c-4", Choice.OPT_OUT, NOW)
    assert [ask(name, 31) for name in ("second", "third")] == [Decision(False, "opted_out")] * 2
    book.choose("c-4", Choice.CONSENT, NOW + 1)
    assert ask("second", 31) == Decision(True)
    assert ask("third", 61) == Decision(True), "its reason is gone, whatever it was meanwhile"
    client.close()


def test_the_response_rate_is_that_of_the_cohort_and_waits_for_the_horizon(case: Case) -> None:
    client = ClickHouse(case.settings)
    book = Invitations(client, case.settings, Policy())
    pseudonyms = Pseudonyms(case.settings.pseudonym_key_id, case.settings.pseudonym_bytes)
    names = [f"p-{number}" for number in range(20)]
    for number, name in enumerate(names):
        days = 20 if number < 12 else 2
        assert book.ask(Asked(name, "nps" if number % 2 else "csat", f"i-{number}"), NOW - days * DAY).allowed
    book.bounced("p-0", "i-0")
    # p-1 and p-2 answer in time, p-3 too late, p-4 before it was asked, p-13 in time but its horizon is not over.
    answers = {1: -19, 2: -14, 3: -12, 4: -21, 13: -1}
    customers = pseudonyms.hashes(names).tolist()
    facts = [(off, customers[number], NOW + days * DAY) for off, (number, days) in enumerate(answers.items())]
    rows = pl.DataFrame(facts, schema={"off": pl.Int64, "customer": pl.UInt64, "occurred_ms": pl.Int64}, orient="row")
    same = {"topic": "feedback", "epoch": 1, "part": 0, "ver": 1, "ingest_ms": NOW, "disposition": "aggregated"}
    same |= {"reason": "", "event_hash": 1, "payload_hash": 1, "source": "survey", "metric": "nps", "scale": "0-10"}
    same |= {"answer": 9, "bin": 9, "brand": "default", "unit": "", "channel": "web", "touchpoint": ""}
    key = {"key_id": case.settings.pseudonym_key_id}
    client.insert("ledger", rows.with_columns(pl.lit(value).alias(name) for name, value in (same | key).items()))
    found = rates(client, ["survey"], NOW - 90 * DAY, 7, NOW)
    assert sorted((row["survey"], row["invited"], row["answered"]) for row in found) == [("csat", 5, 1), ("nps", 6, 1)]
    assert rates(client, [], NOW - 90 * DAY, 7, NOW) == [{"invited": 11, "answered": 2}]
    client.close()
    _, out = command(case, "rates", "--by", "brand", "--json")
    (row,) = json.loads(out)
    assert (row["invited"], round(row["rate"], 6), row["status"]) == (11, 0.181818, "ok")
    _, out = command(case, "rates", "--by", "survey")
    assert out.count("insufficient") == 2
