"""Enrich: what it adds, what it takes away, and the canary that must not come out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline.customers.enrich import COLUMNS, Knowledge, Origin, enrich
from pipeline.customers.profile_rows import ProfileRecord, rows_of
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.sealing import Sealer, context
from pipeline.customers.watcher import read_registry
from pipeline.slices import ACCEPTED, ENRICHED
from schemas.profile import Profile

PSEUDONYMS = Pseudonyms(4, bytes(range(32)))
SEALER = Sealer(9, bytes(range(32, 64)))
HERE = Origin("feedback", 2, 3)

ID, AGENT, EMAIL = "CUST-90017755", "EMP-4711-QX", "canary.bird@example.org"
PHONE, CARD, IBAN = "+49 171 5550199", "4539 1488 0343 6467", "DE89 3704 0044 0532 0130 00"
CANARIES = (ID, AGENT, EMAIL, PHONE, CARD, IBAN)
PLANTED = f"I am {ID}, mail {EMAIL}, call {PHONE}, card {CARD}, account {IBAN}."


@pytest.fixture
def knowledge() -> Knowledge:
    profiles = Profiles()
    history = [
        Profile(customer=ID, valid_from=datetime(2024, 1, day, tzinfo=UTC), segments=segments, unit=unit)
        for day, segments, unit in ((1, ["new"], "u1"), (10, ["premium", "loyal"], "u2"))
    ]
    records = [ProfileRecord(off, ID, profile) for off, profile in enumerate(history)]
    profiles.load(HERE.part, rows_of(HERE.part, records, PSEUDONYMS))
    return Knowledge(PSEUDONYMS, profiles, read_registry(), SEALER)


def accepted(*rows: Mapping[str, object]) -> pl.DataFrame:
    """Rows of ACCEPTED; what is not named is not given."""
    empty: dict[str, object] = {
        name: "" if kind == pl.String else None if kind == pl.Binary else 0 for name, kind in ACCEPTED.items()
    }
    full = [empty | {"off": off, "disposition": "aggregated"} | dict(row) for off, row in enumerate(rows)]
    return pl.DataFrame(full, schema=ACCEPTED, orient="row")


def day(number: int) -> int:
    return int(datetime(2024, 1, number, tzinfo=UTC).timestamp() * 1000)


def test_the_columns_are_those_of_the_contract(knowledge: Knowledge) -> None:
    rows = enrich(accepted({}), HERE, knowledge)
    assert rows.schema == pl.Schema(COLUMNS)
    assert set(rows.columns) == (set(ACCEPTED) - {"customer_id", "raw"}) | set(ENRICHED)
    assert enrich(accepted({}).clear(), HERE, knowledge).schema == rows.schema


def test_the_profile_is_the_one_of_the_events_own_time(knowledge: Knowledge) -> None:
    rows = enrich(accepted(*({"customer_id": ID, "occurred_ms": day(at)} for at in (9, 10))), HERE, knowledge)
    assert rows["segments"].to_list() == ["new", "loyal,premium"]
    assert rows["unit"].to_list() == ["u1", "u2"]
    assert rows["customer"].to_list() == PSEUDONYMS.hashes([ID, ID]).tolist()
    assert rows["key_id"].to_list() == [4, 4]


def test_what_the_event_says_of_unit_and_stage_goes_first(knowledge: Knowledge) -> None:
    given = {"customer_id": ID, "occurred_ms": day(11), "touchpoint": "checkout"}
    rows = enrich(accepted(given, given | {"unit": "u9", "stage": "own"}), HERE, knowledge)
    assert rows["unit"].to_list() == ["u2", "u9"]
    assert rows["stage"].to_list() == ["buy", "own"]
    assert rows["owner"].to_list() == ["e-commerce"] * 2


def test_an_event_without_a_customer_has_no_pseudonym_and_no_profile(knowledge: Knowledge) -> None:
    row = enrich(accepted({"occurred_ms": day(11)}), HERE, knowledge).row(0, named=True)
    assert (row["customer"], row["key_id"], row["segments"], row["unit"]) == (0, 0, "", "")


def test_an_id_that_is_a_pseudonym_already_finds_the_same_customer(knowledge: Knowledge) -> None:
    row = enrich(accepted({"customer_id": PSEUDONYMS.text(ID), "occurred_ms": day(11)}), HERE, knowledge)
    assert row["customer"].to_list() == PSEUDONYMS.hashes([ID]).tolist()
    assert row["segments"].to_list() == ["loyal,premium"]


def test_unknown_touchpoints_are_counted_by_name_and_dead_letters_are_not(knowledge: Knowledge) -> None:
    dead = {"disposition": "dead_letter", "touchpoint": "junk", "raw": b"x"}
    rows = enrich(accepted({"touchpoint": "fax"}, {"touchpoint": "fax"}, {"touchpoint": ""}, dead), HERE, knowledge)
    assert rows["stage"].to_list()[:3] == ["unknown"] * 3
    assert rows["owner"].to_list()[:3] == ["customer-experience"] * 3
    assert (knowledge.unknown.events, knowledge.unknown.names) == (2, ["fax"])


def test_a_dead_letter_is_sealed_and_opens_only_at_its_own_offset(knowledge: Knowledge) -> None:
    dead = {
        "disposition": "dead_letter",
        "customer_id": ID,
        "text": PLANTED,
        "raw": PLANTED.encode(),
        "brand": "aurora",
    }
    rows = enrich(accepted({}, dead, {"disposition": "dead_letter"}), HERE, knowledge)
    row = rows.row(1, named=True)
    assert SEALER.open(row["sealed"], context(*HERE, 1)) == PLANTED.encode()
    assert (row["customer"], row["key_id"], row["text"], row["agent"], row["brand"]) == (0, 9, "", "", "aurora")
    assert [rows["sealed"][0], rows["sealed"][2]] == [None, None]


def test_a_dead_letters_message_keeps_words_and_loses_values(knowledge: Knowledge) -> None:
    details = [
        "Invalid enum value 'wbe' - at `$.channel`",
        "Invalid enum value 'J0hn-77' - at `$.channel`",
        f"not 'x{ID}'",
    ]
    dead = ({"disposition": "dead_letter", "detail": detail, "raw": b"{"} for detail in details)
    kept = enrich(accepted(*dead), HERE, knowledge)["detail"].to_list()
    assert kept == [details[0], "Invalid enum value [value] - at `$.channel`", "not [value]"]


@pytest.mark.parametrize("disposition", ["aggregated", "late", "duplicate", "ignored", "dead_letter"])
def test_no_cell_holds_a_planted_value(knowledge: Knowledge, disposition: str) -> None:
    row: dict[str, object] = {
        "disposition": disposition,
        "customer_id": ID,
        "agent": AGENT,
        "text": PLANTED,
        "campaign": f"to {EMAIL}",
    }
    row |= {"product": f"gift of {ID}", "device": ID, "touchpoint": EMAIL}
    if disposition == "dead_letter":
        row |= {"raw": PLANTED.encode(), "detail": f"Expected `str`, got {PLANTED}", "path": f"$.{ID}"}
        row |= {"unit": PHONE, "channel": AGENT, "scale": CARD, "currency": IBAN, "metric": EMAIL}
    rows = enrich(accepted({"text": "fine"}, row), HERE, knowledge)
    found = f"{rows.rows()!r} {knowledge.unknown!r} {knowledge!r}"
    for canary in CANARIES:
        assert canary not in found
        assert canary.replace(" ", "") not in found
    for column in rows["sealed"].drop_nulls().to_list():
        assert not any(canary.encode() in column for canary in CANARIES)


def test_the_canary_search_finds_a_value_that_is_let_through(knowledge: Knowledge) -> None:
    kept = Knowledge(PSEUDONYMS, knowledge.profiles, knowledge.registry, SEALER, plain_agents=True)
    assert AGENT in repr(enrich(accepted({"agent": AGENT}), HERE, kept).rows())


def test_the_text_says_the_same_without_the_values(knowledge: Knowledge) -> None:
    row = enrich(accepted({"customer_id": ID, "text": PLANTED}), HERE, knowledge).row(0, named=True)
    assert row["text"] == "I am [id], mail [email], call [phone], card [card], account [iban]."


def test_a_short_id_does_not_tear_texts_apart(knowledge: Knowledge) -> None:
    row = enrich(accepted({"customer_id": "9", "text": "9 of 10"}), HERE, knowledge).row(0, named=True)
    assert row["text"] == "9 of 10"


def test_rows_keep_their_order_and_all_other_columns(knowledge: Knowledge) -> None:
    before = accepted(*({"off": off, "answer": off % 10, "text": EMAIL if off % 3 else ""} for off in range(50)))
    after = enrich(before, HERE, knowledge)
    same = [name for name in ACCEPTED if name not in ("customer_id", "raw", "text", "stage")]
    assert after.select(same).equals(before.select(same))
