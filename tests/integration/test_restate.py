"""Late events counted after all while workers run: the audit holds all the time, and the past is explained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.harness import Case
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

EVENTS = 3_000


def done(case: Case, *arguments: str) -> dict[str, Any]:
    """A command's JSON; it must succeed."""
    found = case.here(*arguments, "--json")
    assert found.exit_code == 0, found.output
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


def volume(case: Case, *more: str) -> int:
    span: Sequence[str] = ("--from", "-40d", "--to", "now", "--grain", "all")
    return sum(score["n"] for score in done(case, "scores", "--metric", "nps", *span, *more)["scores"])


def test_late_events_are_counted_by_the_owners_and_the_past_stays_readable(case: Case) -> None:
    assert case.command("restate").returncode == 0, "nothing is late yet, so no worker is needed"
    case.worker("one")
    case.feed(rate=3_000, seed=11).start(EVENTS).join()
    case.settle()
    # Windows close once the back-fill has been quiet for a while: what was published then is what is revised later.
    eventually(lambda: case.rows("SELECT count() AS n FROM frontiers")[0]["n"] > 0, "windows are closed")
    assert done(case, "audit", "--deep")["holds"]
    before = volume(case)
    known = case.rows("SELECT toString(now64(3)) AS now")[0]["now"]
    looked = done(case, "restate", "--from", "-40d", "--look")
    assert (looked["rows"] > 0, looked["done"]) == (True, False)
    assert sum(looked["by_lag"].values()) == looked["rows"]
    with case.feed(rate=300, seed=12):
        case.flowing()
        restated = done(case, "restate", "--from", "-40d", "--wait", "60")
        assert restated["done"]
        assert done(case, "audit")["holds"], "while events flow"
    case.settle()
    assert done(case, "audit", "--deep")["holds"]
    assert case.rows(
        "SELECT count() AS n FROM ledger FINAL WHERE disposition = 'late' AND ingest_ms < "
        f"toUnixTimestamp64Milli(toDateTime64('{known}', 3))"
    ) == [{"n": 0}]
    assert case.rows("SELECT count() AS n FROM ledger FINAL WHERE reason = 'restated'")[0]["n"] > 0
    # As it was known before, and why it is another number now.
    assert volume(case) > before
    assert volume(case, "--as-of", known.replace(" ", "T")) <= before
    why = done(case, "scores", "--metric", "nps", "--from", "-40d", "--to", "now", "--grain", "1d", "--why")
    reasons = {
        reason for window in why["windows"] for revision in window["revisions"] for reason in revision["reasons"]
    }
    assert "restated" in reasons
    for window in why["windows"]:
        assert [revision["revision"] for revision in window["revisions"]] == list(range(len(window["revisions"])))


def test_texts_are_labelled_anew_and_customers_merged_and_erased_while_workers_run(case: Case) -> None:
    case.worker("one")
    case.feed(rate=3_000, seed=13).start(1_500).join()
    case.settle()
    known = case.rows("SELECT toUnixTimestamp64Milli(now64(3)) AS now")[0]["now"]
    labelled = done(case, "restate", "--relabel", "--tier", "static", "--from", "-40d", "--wait", "120")
    assert (labelled["rows"] > 0, labelled["done"]) == (True, True)
    counted = f"disposition = 'aggregated' AND occurred_ms < {known}"
    tiers = {row["tier"] for row in case.rows(f"SELECT DISTINCT tier FROM ledger FINAL WHERE {counted}")}
    assert "static" in tiers
    assert "minilm" not in tiers
    busiest = (
        "SELECT key_id, lower(hex(customer)) AS c, count() AS n FROM ledger FINAL WHERE customer != 0 GROUP BY ALL"
    )
    one, other = (f"k{row['key_id']}:{row['c'].zfill(16)}" for row in case.rows(f"{busiest} ORDER BY n DESC LIMIT 2"))
    before = volume(case)
    merged = done(case, "merge", one, other, "--wait", "60")
    assert (merged["rows"] > 0, merged["done"]) == (True, True)
    assert done(case, "customer", one)["events"] == 0
    assert done(case, "audit", "--deep")["holds"]
    erased = done(case, "erase", other, "--wait", "60")
    assert erased["rows"] >= merged["rows"]
    # Older versions of rows may be gone already, by ClickHouse's own merges: none is left, not how many went.
    number = int(other.partition(":")[2], 16)
    assert case.rows(f"SELECT count() AS n FROM ledger WHERE customer = {number}") == [{"n": 0}]
    assert (done(case, "customer", other)["events"], done(case, "erase", other)["rows"]) == (0, 0)
    assert done(case, "audit", "--deep")["holds"]
    assert volume(case) == before, "what was answered still counts"
    reasons = case.rows("SELECT DISTINCT reason FROM changes FINAL")
    assert {"relabelled", "merged", "erased"} <= {row["reason"] for row in reasons}
