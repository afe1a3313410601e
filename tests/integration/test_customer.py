"""One customer: all channels in order, each point of the index explained, the last scores, and nothing plain."""

from __future__ import annotations

import time
from typing import Any

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.customer import app
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.journeys.customer import Customer, CustomerQuestion, read_customer, read_definition
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from tests.integration.lives import DAY, START, Lives
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

NOW = START + 60 * DAY


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


def read(client: ClickHouse, customer: int = 7, **more: Any) -> Customer:
    return read_customer(client, CustomerQuestion(1, customer, **{"now_ms": NOW * 1000, **more}), read_definition())


def lived() -> Lives:
    lives = Lives()
    lives.did(7, NOW - 60 * DAY, "checkout", "fail", product="shoe")
    lives.did(8, NOW - 59 * DAY, "checkout", "ok")
    lives.said(7, NOW - 30 * DAY, 10, "delivery", channel="email", product="shoe")
    lives.did(7, NOW - 15 * DAY, "support_call", "abandon", channel="call", product="boot")
    lives.said(7, NOW - 10 * DAY, 2)  # about the brand itself
    lives.did(7, NOW, "app_session", "ok", channel="app")
    lives.did(7, NOW - 1, "page_viewed", "ok", disposition="late")
    lives.did(7, NOW - 1, "page_viewed", "ok", disposition="duplicate")
    lives.did(7, NOW + 1, "page_viewed", "ok")
    return lives


def test_a_customer_is_read_across_channels_with_every_point_explained(tables: ClickHouse) -> None:
    lived().write(tables)
    found = read(tables)
    assert [(e["channel"], e["touchpoint"], e["disposition"]) for e in found.timeline] == [
        ("app", "app_session", "aggregated"), ("web", "page_viewed", "late"), ("survey", "", "aggregated"),
        ("call", "support_call", "aggregated"), ("email", "delivery", "aggregated"), ("web", "checkout", "aggregated"),
    ]  # fmt: skip
    # -60 at 60 days, +100 at 30, -30 at 15, +10 now: worked by hand in tests/unit/journeys/test_index.py.
    transactions = found.indexes["transactions"]
    assert transactions["value"] == pytest.approx(53.786796564403573, abs=1e-9)
    assert (transactions["n"], transactions["peak"], transactions["end"]) == (4, 25.0, 5.0)
    explained = [e["points"] for e in found.timeline if e.get("index") == "transactions"]
    assert sum(explained) + transactions["peak"] + transactions["end"] == pytest.approx(transactions["value"], abs=1e-9)
    assert [e["touchpoint"] for e in found.timeline if e.get("is_peak")][-1] == "delivery"
    # The answer about the brand stands apart: 2 of 10 is -0.6, ten days ago, once more as peak and as end.
    relationship = found.indexes["relationship"]
    assert relationship["value"] == pytest.approx(-60 * 2 ** (-1 / 3) * 2, abs=1e-9)
    assert found.indexes["points_by_product"] == {"boot": pytest.approx(-21.2132034356), "shoe": pytest.approx(35.0)}
    assert [(s["kind"], s["answer"]) for s in found.last_scores] == [("relationship", 2), ("transaction", 10)]
    later = read(tables, now_ms=(NOW + 30 * DAY) * 1000)
    assert later.indexes["relationship"]["value"] == pytest.approx(relationship["value"] / 2, abs=1e-9)


def test_a_revised_answer_counts_once_and_its_former_form_is_shown_as_superseded(tables: ClickHouse) -> None:
    lives = Lives()
    lives.said(7, NOW - DAY, 0, "delivery")
    lives.said(7, NOW - DAY, 10, "delivery", revision=1, old_off=0, old_metric="nps", old_scale="0-10", old_bin=0)
    lives.write(tables)
    found = read(tables)
    assert [(e["answer"], e["disposition"]) for e in found.timeline] == [(10, "aggregated"), (0, "superseded")]
    assert (found.indexes["transactions"]["n"], found.last_scores[0]["answer"]) == (1, 10)


def test_the_newest_version_of_a_row_counts_and_a_stranger_has_nothing(tables: ClickHouse) -> None:
    lived().write(tables)
    tables.command(
        "INSERT INTO ledger (topic, epoch, part, off, ver, ingest_ms, disposition, customer, key_id, occurred_ms) "
        "SELECT topic, epoch, part, off, 2, ingest_ms, 'dead_letter', 0, 1, occurred_ms FROM ledger WHERE off = 0"
    )
    assert "checkout" not in [entry["touchpoint"] for entry in read(tables).timeline]
    stranger = read(tables, 99)
    assert (stranger.events, stranger.timeline, stranger.profile) == (0, [], None)
    assert stranger.indexes["transactions"]["value"] == 0.0
    assert (read(tables, limit=2).events, len(read(tables, limit=2).timeline)) == (5, 2)
    assert [entry["touchpoint"] for entry in read(tables, days=1).timeline] == ["app_session", "page_viewed"]


def test_segments_and_masked_texts_stand_beside_the_events(tables: ClickHouse) -> None:
    lived().write(tables)
    rows = [(1, START - DAY, "new"), (2, START, "gold,loyal"), (3, NOW + DAY, "later")]
    profiles = [
        {"part": 0, "off": off, "ver": 1, "key_id": 1, "customer": 7, "valid_from_ms": at * 1000, "segments": segments,
         "unit": "u01", "attributes": '{"tenure": 3}'} for off, at, segments in rows
    ]  # fmt: skip
    tables.insert("profiles", pl.DataFrame(profiles, schema_overrides={"customer": pl.UInt64}))
    text = {"topic": "feedback", "epoch": 1, "part": 0, "off": 2, "ver": 1, "ingest_ms": START * 1000}
    text |= {"text": "Late, [email]", "truncated": 1}
    tables.insert("texts", pl.DataFrame([text, text | {"off": 4, "topic": "history", "text": "other"}]))
    found = read(tables)
    assert found.profile is not None
    assert (found.profile["segments"], found.profile["attributes"]) == (["gold", "loyal"], {"tenure": 3})
    assert [entry["text"] for entry in found.timeline] == ["", "", "", "", "Late, [email]", ""]
    assert [entry["truncated"] for entry in found.timeline] == [False, False, False, False, True, False]


def test_the_command_takes_a_plain_id_or_a_pseudonym_and_prints_neither_plain(
    tables: ClickHouse, settings: Settings
) -> None:
    names = Pseudonyms(settings.pseudonym_key_id, settings.pseudonym_bytes)
    lives = Lives()
    number = int(names.hashes(["alice@example.org"])[0])
    lives.did(number, time.time() - 60, "checkout", "fail")
    lives.write(tables)
    plain, hidden = (CliRunner().invoke(app, [who]) for who in ("alice@example.org", names.text("alice@example.org")))
    assert (plain.exit_code, hidden.exit_code) == (0, 0), plain.output
    assert plain.stdout.splitlines()[0] == f"{names.text('alice@example.org')}: 1 events"
    assert plain.stdout == hidden.stdout
    assert "alice" not in plain.stdout
    document = orjson.loads(CliRunner().invoke(app, ["alice@example.org", "--json"]).stdout)
    assert document["timeline"][0]["outcome"] == "fail"
    assert CliRunner().invoke(app, ["alice@example.org", "--csv"]).stdout.splitlines()[1].split(",")[2:5] == [
        "touchpoint", "web", "checkout"]  # fmt: skip
    for watched in (["alice@example.org"], ["alice@example.org", "--json"]):
        seen = CliRunner().invoke(app, [*watched, "--watch", "--for", "0.1"])
        assert (seen.exit_code, "fail" in seen.stdout, "alice" in seen.stdout) == (0, True, False), seen.output
    nobody = CliRunner().invoke(app, ["nobody"])
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    assert "nothing is known" in nobody.stderr
    assert CliRunner().invoke(app, [""]).exit_code == 2
