"""The roll call: arrivals by producer and reason, a bounded number of names, none of them an address."""

from __future__ import annotations

import polars as pl

from pipeline.ledger.rollcall import MOST_PRODUCERS, OTHERS, Rollcall


def rows(*given: tuple[str, str, str, str, int]) -> pl.DataFrame:
    names = ["producer", "channel", "disposition", "reason", "ingest_ms"]
    return pl.DataFrame(list(given), schema=names, orient="row")


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
