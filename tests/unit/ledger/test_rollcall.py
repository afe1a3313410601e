"""The roll call: arrivals by producer and reason, a bounded number of names, none of them an address."""

from __future__ import annotations

import polars as pl

from pipeline.ledger.rollcall import MOST_PRODUCERS, OTHERS, Rollcall, tallied


def rows(*given: tuple[str, str, str, str, int]) -> pl.DataFrame:
    names = ["producer", "channel", "disposition", "reason", "ingest_ms"]
    made = pl.DataFrame(list(given), schema=names, orient="row")
    return tallied([made.with_columns(pl.lit("").alias("failed_at"))])


def test_good_and_rejected_ones_are_counted_apart_in_steps_of_ten_seconds() -> None:
    roll = Rollcall()
    roll.add(
        "feedback",
        rows(
            ("", "web", "aggregated", "", 20_000),
            ("", "web", "late", "beyond_lateness", 29_999),
            ("", "web", "aggregated", "", 30_000),
            ("/channels/web", "", "dead_letter", "not_json", 25_000),
        ),
    )
    roll.add("feedback", rows(("", "web", "duplicate", "same_event", 21_000)))
    found = roll.taken().sort("bucket", "reason").select("bucket", "producer", "reason", "n", "last_ms").rows()
    assert found == [
        (20, "/channels/web", "", 3, 29_999),
        (20, "/channels/web", "not_json", 1, 25_000),
        (30, "/channels/web", "", 1, 30_000),
    ]
    assert roll.taken().is_empty()


def test_names_are_bounded_and_masked() -> None:
    roll = Rollcall()
    counts = roll.add("feedback", rows(("mailto:jane.doe@example.org", "web", "aggregated", "", 0)))
    assert counts["producer"].to_list() == ["mailto:[email]"]
    roll.add("feedback", rows(*((f"p{n}", "web", "aggregated", "", 0) for n in range(MOST_PRODUCERS + 50))))
    found = roll.taken().group_by("producer").agg(pl.col("n").sum())
    assert found.height == MOST_PRODUCERS + 1
    assert found.filter(pl.col("producer") == OTHERS)["n"].to_list() == [51]


def test_slices_are_tallied_alike_whether_a_column_holds_one_word_or_many() -> None:
    words = {
        "disposition": ["aggregated", "dead_letter"],
        "reason": ["", "not_json"],
        "failed_at": ["", "accept"],
        "producer": ["", "till-7"],
        "channel": ["web", "store"],
    }
    mixed = pl.DataFrame({**words, "ingest_ms": [20_000, 31_000]})
    found = tallied([mixed, mixed, mixed.head(1), mixed.tail(1), mixed.tail(1).extend(mixed.tail(1))])
    assert found["n"].sum() == 8
    again = found.group_by(pl.exclude("n", "last_ms")).agg(pl.col("n").sum(), pl.col("last_ms").max())
    assert sorted(again.select("disposition", "producer", "channel", "bucket", "n", "last_ms").rows()) == [
        ("aggregated", "", "web", 20, 3, 20_000),
        ("dead_letter", "till-7", "store", 30, 5, 31_000),
    ]
