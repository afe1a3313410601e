"""What the state of a partition is in terms of ledger rows."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipeline.arrival.recall import of_rows
from pipeline.slices import ACCEPTED

BLANK: dict[str, Any] = {
    name: "" if dtype == pl.String() else b"" if dtype == pl.Binary() else 0 for name, dtype in ACCEPTED.items()
}


def ledger(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [{**BLANK, "off": 5 + at, "ingest_ms": 1_000 + at, **row} for at, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=ACCEPTED)


def test_an_empty_ledger_is_a_new_partition() -> None:
    recalled, firsts, _ = of_rows(ledger())
    assert (recalled.moved_ms, recalled.ingest_ms, len(firsts.hashes)) == (0, 0, 0)


def test_dead_letters_move_no_clock_and_are_no_first_events() -> None:
    recalled, firsts, _ = of_rows(
        ledger(
            {"disposition": "aggregated", "event_hash": 1, "occurred_ms": 500},
            {"disposition": "dead_letter", "event_hash": 2, "occurred_ms": 900},
            {"disposition": "duplicate", "event_hash": 1, "occurred_ms": 700},
            {"disposition": "late", "event_hash": 3, "occurred_ms": 100},
        )
    )
    assert recalled.moved_ms == 700
    assert recalled.ingest_ms == 1_003
    assert firsts.hashes.tolist() == [1, 3]
    assert firsts.offsets.tolist() == [5, 8]
    assert list(recalled.invalid) == [False, True, False, False]


def test_event_times_are_capped_at_ingest() -> None:
    assert of_rows(ledger({"disposition": "aggregated", "occurred_ms": 99_000}))[0].moved_ms == 1_000


def test_what_stands_is_the_greatest_revision_and_the_last_row_that_counts() -> None:
    _, _, standing = of_rows(
        ledger(
            {"disposition": "aggregated", "answer_hash": 1, "revision": 0},
            {"disposition": "late", "answer_hash": 1, "revision": 4},
            {"disposition": "ignored", "reason": "superseded", "answer_hash": 1, "revision": 2},
            {"disposition": "duplicate", "answer_hash": 1, "revision": 9},
            {"disposition": "late", "answer_hash": 2, "revision": 0},
        )
    )
    assert standing.hashes.tolist() == [1, 2]
    assert standing.revisions.tolist() == [4, 0]
    assert standing.offsets.tolist() == [5, -1]
