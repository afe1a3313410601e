"""One partition's records in, judged rows out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipeline.arrival.accept import Arrival, Memory
from pipeline.arrival.breaker import NEW
from pipeline.arrival.recall import kept_of, of_rows
from pipeline.arrival.rules import ArrivalRules
from pipeline.slices import ACCEPTED, Partition, Record
from schemas.codec import Rejection
from schemas.vocabulary import Reason, Stage

RULES = ArrivalRules(ids_limit=1_000, answers_limit=1_000)
NOW = 1_795_176_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def arrival(topic: str = "feedback", rules: ArrivalRules = RULES) -> Arrival:
    recalled, firsts, standing = of_rows(pl.DataFrame(schema=ACCEPTED))
    partition, memory = Partition(topic, 0), Memory.within(rules)
    memory.restore(kept_of(partition, firsts, standing))
    return Arrival.restore(partition, memory, recalled, rules)


def record(offset: int, event: dict[str, Any] | bytes | None = None, *, shift_ms: int = 0, **fields: Any) -> Record:
    """Feedback that occurred `shift_ms` from its arrival, unless the value is given."""
    if event is None:
        moment = EPOCH + timedelta(milliseconds=NOW + shift_ms)
        given = {"event_id": f"e{offset}", "occurred_at": moment.isoformat(), "channel": "web", "metric": "nps"}
        event = {**given, "score": 9, **fields}
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Record(offset, NOW, b"k", value, ())


def tombstone(offset: int) -> Record:
    return Record(offset, NOW, b"k", None, ())


def verdicts(rows: pl.DataFrame) -> list[tuple[str, str]]:
    return rows.select("disposition", "reason").rows()


def test_every_record_gets_one_row_with_the_columns_of_a_slice() -> None:
    records = [record(5), record(6, b"{"), tombstone(7), record(8, score=11), record(9)]
    rows = arrival().take(records, RULES).rows
    assert rows.schema == ACCEPTED
    assert rows["off"].to_list() == [5, 6, 7, 8, 9]
    assert verdicts(rows) == [
        ("aggregated", ""),
        ("dead_letter", "not_json"),
        ("ignored", "tombstone"),
        ("dead_letter", "out_of_range"),
        ("aggregated", ""),
    ]


def test_a_dead_letter_keeps_its_bytes_and_the_place_of_its_fault_and_nothing_else() -> None:
    bad = record(5, score=11, customer_id="ann", text="call me", unit="u1")
    row = arrival().take([bad], RULES).rows.row(0, named=True)
    assert (row["failed_at"], row["path"], row["raw"]) == ("validate", "$.score", bad.value)
    assert (row["customer_id"], row["text"], row["unit"], row["bin"]) == ("", "", "", -1)


def test_other_rows_keep_no_bytes() -> None:
    rows = arrival().take([record(5, customer_id="ann"), record(6, b"{")], RULES).rows
    assert rows["raw"].to_list() == [None, b"{"]
    assert rows["customer_id"].to_list() == ["ann", ""]


def test_the_same_event_with_another_payload_is_a_conflict_and_the_first_wins() -> None:
    records = [record(5, event_id="a"), record(6, event_id="a"), record(7, event_id="a", score=3)]
    rows = arrival().take(records, RULES).rows
    assert verdicts(rows) == [("aggregated", ""), ("duplicate", "same_event"), ("duplicate", "conflict")]


def test_duplicates_are_found_in_a_later_slice() -> None:
    partition = arrival()
    partition.take([record(5, event_id="a")], RULES)
    assert verdicts(partition.take([record(6, event_id="a", score=3)], RULES).rows) == [("duplicate", "conflict")]


def test_a_third_event_is_compared_with_the_first_not_with_the_second() -> None:
    partition = arrival()
    partition.take([record(5, event_id="a"), record(6, event_id="a", score=3)], RULES)
    third = partition.take([record(7, event_id="a", score=3)], RULES).rows
    assert verdicts(third) == [("duplicate", "conflict")]
    assert partition.memory.ids.held(partition.partition) == 1


def test_an_event_that_was_rejected_may_come_again() -> None:
    records = [record(5, event_id="a", score=11), record(6, event_id="a", score=10)]
    assert verdicts(arrival().take(records, RULES).rows)[1] == ("aggregated", "")


def test_a_slice_that_is_taken_again_is_no_duplicate_of_itself() -> None:
    partition = arrival()
    records = [record(5, event_id="a"), record(6, event_id="a")]
    first = partition.take(records, RULES).rows
    assert verdicts(partition.take(records, RULES).rows) == verdicts(first)


def test_a_late_event_is_not_a_dead_letter() -> None:
    rows = arrival().take([record(5), record(6, shift_ms=-86_400_000 - 60_001)], RULES).rows
    assert verdicts(rows)[1] == ("late", "beyond_lateness")
    assert rows["raw"].null_count() == 2


def test_a_late_duplicate_is_a_duplicate() -> None:
    records = [record(5), record(6, event_id="e5", shift_ms=-86_400_000 - 60_001)]
    assert verdicts(arrival().take(records, RULES).rows)[1] == ("duplicate", "conflict")


def test_a_revision_names_the_row_that_it_takes_back() -> None:
    records = [record(offset, submission_id="s", revision=offset) for offset in (5, 6)]
    rows = arrival().take([*records, record(7, submission_id="s", revision=2)], RULES).rows
    assert verdicts(rows) == [("aggregated", ""), ("aggregated", "revised"), ("ignored", "superseded")]
    assert rows["old_off"].to_list() == [-1, 5, -1]


@pytest.mark.parametrize(("form", "customer"), [("plain", "k1:0123456789abcdef"), ("pseudonym", "ann")])
def test_a_customer_in_the_other_form_is_rejected_unnamed(form: Any, customer: str) -> None:
    rules = ArrivalRules(form=form, ids_limit=10, answers_limit=10)
    row = arrival(rules=rules).take([record(5, customer_id=customer)], rules).rows.row(0, named=True)
    assert (row["reason"], row["path"], row["failed_at"]) == ("wrong_key_form", "$.customer_id", "accept")
    assert row["customer_id"] == ""
    assert customer not in row["detail"]


def test_history_carries_both_kinds_in_order_of_offset() -> None:
    touchpoint = {"event_id": "t", "occurred_at": "2020-01-01T00:00:00Z", "channel": "app", "touchpoint": "cart"}
    records = [record(5), record(6, touchpoint), tombstone(7), record(8, b"["), record(9)]
    accepted = arrival("history").take(records, RULES)
    assert accepted.rows["metric"].to_list() == ["nps", "volume", "", "", "nps"]
    assert accepted.rows["disposition"].to_list() == [
        "aggregated",
        "aggregated",
        "ignored",
        "dead_letter",
        "aggregated",
    ]
    assert accepted.clock_ms == 0


def test_nothing_past_the_breaker_is_consumed() -> None:
    partition = arrival()
    records = [record(offset, b"{") for offset in range(300)]
    accepted = partition.take(records, RULES)
    assert accepted.rows.height == 200
    assert accepted.breaker_open == "200 invalid events in a row"
    assert partition.take(records[200:], RULES).rows.height == 0
    partition.release()
    assert partition.breaker is NEW
    assert partition.take([record(200)], RULES).rows.height == 1


def test_a_refused_record_is_a_dead_letter_that_left_no_trace() -> None:
    partition = arrival()
    refused = {5: Rejection(Stage.LABEL, Reason.STEP_FAILED, "$", "the model raised")}
    records = [record(5, event_id="a", submission_id="s"), record(6, event_id="a", submission_id="s")]
    rows = partition.take(records, RULES, refused=refused).rows
    assert verdicts(rows) == [("dead_letter", "step_failed"), ("aggregated", "")]
    assert rows["failed_at"].to_list() == ["label", ""]
    assert rows["raw"][0] == records[0].value


def test_reading_changes_nothing() -> None:
    partition = arrival()
    read = partition.read([record(5), record(6, b"{")], RULES)
    assert (partition.clock_ms, partition.ingest_ms, len(partition.breaker.recent)) == (0, 0, 0)
    assert partition.memory.ids.held(partition.partition) == 0
    assert partition.settle(read, RULES).rows.height == 2


@pytest.mark.parametrize("topic", ["feedback", "history"])
def test_a_long_run_is_judged_as_several_short_ones(topic: str) -> None:
    touchpoint = {"event_id": "t", "occurred_at": "2026-11-20T12:00:00Z", "channel": "app", "touchpoint": "cart"}
    records = [record(offset, submission_id=f"s{offset % 7_000}", revision=offset // 7_000) for offset in range(9_000)]
    for offset in (1, 4_499, 4_500, 8_000):
        records[offset] = record(offset, b"[")
        records[offset + 1] = tombstone(offset + 1)
        records[offset + 2] = record(offset + 2, touchpoint)
        records[offset + 3] = record(offset + 3, score=11)
    refused = {4_600: Rejection(Stage.ENRICH, Reason.STEP_FAILED, "$", "x")}
    rules = ArrivalRules(ids_limit=10_000, answers_limit=10_000)
    long, short = arrival(topic, rules), arrival(topic, rules)
    whole = long.take(records, rules, refused=refused).rows
    firsts = range(0, len(records), 1_000)
    parts = [short.take(records[first : first + 1_000], rules, refused=refused).rows for first in firsts]
    assert whole.equals(pl.concat(parts))
    assert set(whole["disposition"].unique()) >= {"aggregated", "dead_letter", "ignored"}
    assert whole.filter(pl.col("disposition") == "dead_letter").height == (11 if topic == "feedback" else 8)
    assert (long.clock_ms, long.ingest_ms) == (short.clock_ms, short.ingest_ms)


def test_an_empty_run_is_no_trouble() -> None:
    for topic in ("feedback", "touchpoints", "history"):
        accepted = arrival(topic).take([], RULES)
        assert accepted.rows.height == 0
        assert accepted.rows.schema == ACCEPTED


def test_nothing_is_asked_while_the_memory_is_whole() -> None:
    partition = arrival("history")
    read = partition.read([record(5, submission_id="s", revision=3)], RULES)
    assert not partition.questions(read)


def test_the_ledger_is_asked_for_what_the_memory_lost() -> None:
    rules = ArrivalRules(ids_limit=1, answers_limit=1)
    partition = arrival("history", rules)
    for offset in (5, 6):
        partition.take([record(offset, submission_id=f"s{offset}")], rules)
    read = partition.read([record(7, event_id="e5", submission_id="s5", revision=1), record(8)], rules)
    questions = partition.questions(read)
    assert set(questions.ids.tolist()) == set(read.event_hash.tolist())
    assert questions.answers.tolist() == [read.answer_hash[0]]


def test_only_history_asks_for_ids() -> None:
    rules = ArrivalRules(ids_limit=1, answers_limit=1)
    partition = arrival("feedback", rules)
    partition.take([record(5), record(6)], rules)
    assert not partition.questions(partition.read([record(7)], rules))


def test_partitions_of_one_worker_do_not_see_each_others_events() -> None:
    one = arrival()
    two = Arrival(Partition("feedback", 1), one.memory)
    one.take([record(5, event_id="a")], RULES)
    assert verdicts(two.take([record(6, event_id="a")], RULES).rows) == [("aggregated", "")]
    one.memory.forget([one.partition])
    assert one.memory.ids.held(two.partition) == 1
