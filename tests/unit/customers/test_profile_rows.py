"""Profile records as rows: pseudonymised, sorted, with tombstones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import polars as pl

from pipeline.customers.profile_rows import COLUMNS, ProfileRecord, rows_of
from pipeline.customers.profiles import TOMBSTONE_MS
from pipeline.customers.pseudonyms import Pseudonyms
from schemas.profile import Profile

PSEUDONYMS = Pseudonyms(4, bytes(range(32)))


def profile(**fields: object) -> Profile:
    known = {"customer": "c-1", "valid_from": datetime(2024, 1, 1, tzinfo=UTC)} | fields
    return Profile(**known)  # type: ignore[arg-type]


def test_a_profile_becomes_one_row_without_the_plain_id() -> None:
    one = profile(segments=["premium", "loyal", "premium"], unit="u1", attributes={"b": 1, "a": None})
    rows = rows_of(3, [ProfileRecord(9, "c-1", one)], PSEUDONYMS)
    assert rows.schema == pl.Schema(COLUMNS)
    row = rows.row(0, named=True)
    assert row["customer"] == int(PSEUDONYMS.hashes(["c-1"])[0])
    assert (row["part"], row["off"], row["key_id"], row["unit"]) == (3, 9, 4, "u1")
    assert row["valid_from_ms"] == 1_704_067_200_000
    assert row["segments"] == "loyal,premium"
    assert orjson.loads(row["attributes"]) == {"a": None, "b": 1}
    assert "c-1" not in str(rows.rows())


def test_personal_data_leave_the_attributes_and_other_values_stay() -> None:
    planted = {"mail": "jane.doe@example.org", "of": "CUST-90017755/2", "since": 2019, "vip": True, "note": "likes tea"}
    one = profile(customer="CUST-90017755", unit="jane.doe@example.org", attributes=planted)
    row = rows_of(0, [ProfileRecord(0, "", one)], PSEUDONYMS).row(0, named=True)
    kept = {"mail": "[email]", "of": "[id]/2", "since": 2019, "vip": True, "note": "likes tea"}
    assert orjson.loads(row["attributes"]) == kept
    assert row["unit"] == "[email]"


def test_a_moment_is_the_same_in_every_zone() -> None:
    east = profile(valid_from=datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert rows_of(0, [ProfileRecord(0, "", east)], PSEUDONYMS)["valid_from_ms"].to_list() == [1_704_067_200_000]


def test_a_tombstone_is_a_row_of_the_keys_customer() -> None:
    rows = rows_of(0, [ProfileRecord(1, "c-1", None), ProfileRecord(2, PSEUDONYMS.text("c-1"), None)], PSEUDONYMS)
    assert rows["customer"].n_unique() == 1
    assert rows["valid_from_ms"].to_list() == [TOMBSTONE_MS] * 2
    assert rows["attributes"].to_list() == ["", ""]


def test_no_records_are_no_rows() -> None:
    assert rows_of(0, [], PSEUDONYMS).schema == pl.Schema(COLUMNS)
