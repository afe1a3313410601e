"""Late answers that are restated, in any portions, count as if they had come in time; doubles as if not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from itertools import pairwise, permutations
from random import Random
from typing import NamedTuple

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.arrival.fingerprints import Hashes
from pipeline.arrival.recall import of_rows
from pipeline.arrival.revisions import Answers, Standing, looked_up, replaced
from pipeline.ledger.corrections import counted_late, without_doubles
from pipeline.ledger.retractions import retract
from pipeline.scores.windows import contributions
from pipeline.slices import LEDGER, OLD
from tests.rows import START_MS, ledger_like

_ROWS = ledger_like(40, seed=5)


class Said(NamedTuple):
    """One answer: which (0 = without a key), revision, bin, minute, whether it came too late."""

    answer: int
    revision: int
    bin: int
    minute: int
    late: bool


said = st.builds(Said, st.integers(0, 4), st.integers(0, 4), st.integers(0, 10), st.integers(0, 3), st.booleans())
stories = st.lists(said, min_size=1, max_size=25)


def recorded(story: list[Said], restarts: Set[int] = frozenset()) -> pl.DataFrame:
    """The ledger rows of a story, in order of arrival, as accept and record make them; at a restart the memory of
    answers is made anew from the ledger."""
    edges = [0, *sorted(at for at in restarts if 0 < at < len(story)), len(story)]
    rows = _ROWS.clear().select(LEDGER)
    for first, last in pairwise(edges):
        rows = pl.concat([rows, _piece(story[first:last], first, rows)])
    return rows


def _piece(story: list[Said], first: int, before: pl.DataFrame) -> pl.DataFrame:
    """What is recorded without a restart in between."""
    count = len(story)
    offsets = np.arange(first, first + count, dtype=np.int64)
    hashes = np.array([each.answer for each in story], dtype=np.uint64)
    revisions = np.array([each.revision for each in story], dtype=np.int64)
    late = np.array([each.late for each in story])
    keyed = np.flatnonzero(hashes != 0)
    answers = Answers(hashes[keyed], revisions[keyed], offsets[keyed], ~late[keyed])
    known = looked_up(answers.hashes, of_rows(before)[2]) if before.height else _nothing(answers.hashes)
    judged, _ = replaced(answers, known)
    superseded, old = np.zeros(count, dtype=bool), np.full(count, -1, dtype=np.int64)
    superseded[keyed], old[keyed] = judged.superseded, judged.old
    rows = _ROWS[:count].with_columns(
        pl.Series("off", offsets),
        pl.Series("event_hash", (offsets + 1).astype(np.uint64)),
        pl.Series("answer_hash", hashes),
        pl.Series("revision", revisions),
        pl.Series("bin", [each.bin for each in story], dtype=pl.Int8),
        pl.Series("occurred_ms", [START_MS + 60_000 * each.minute for each in story]),
        pl.lit("nps").alias("metric"),
        pl.lit("0-10").alias("scale"),
        pl.lit("").alias("label"),
        pl.Series("disposition", np.where(superseded, "ignored", np.where(late, "late", "aggregated")).tolist()),
        pl.Series("reason", np.where(superseded, "superseded", np.where(late, "beyond_lateness", "")).tolist()),
    )
    return retract(rows.drop(*OLD).with_columns(pl.Series("old_off", old)), [before]).select(LEDGER)


def _nothing(hashes: Hashes) -> Standing:
    unknown = np.full(len(hashes), -1, dtype=np.int64)
    return Standing(hashes, unknown, unknown.copy())


def corrected(rows: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """The ledger after some of its late rows were restated."""
    standing = rows.filter(
        (pl.col("disposition") == "aggregated") & pl.col("answer_hash").is_in(late["answer_hash"].implode())
    )
    return replaced_by(rows, counted_late(late, standing.filter(pl.col("answer_hash") != 0)).rows)


def replaced_by(rows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    kept = rows.filter(pl.col("off").is_in(changed["off"].implode()).not_())
    return pl.concat([kept, changed.select(rows.columns)]).sort("off")


def counts(rows: pl.DataFrame) -> dict[tuple[int, int], int]:
    """What the windows hold: (minute, bin) -> answers."""
    found = contributions(rows.with_columns(pl.lit(0, pl.UInt16).alias("part")))
    summed = found.group_by("minute", "bin").agg(pl.col("w").sum()).filter(pl.col("w") != 0)
    return {(minute, bin_): w for minute, bin_, w in summed.select("minute", "bin", "w").iter_rows()}


def expected(story: list[Said]) -> dict[tuple[int, int], int]:
    """The greatest revision of each answer, the first of equal ones; and every answer without a key."""
    best: dict[int, Said] = {}
    for each in story:
        if each.answer and (each.answer not in best or each.revision > best[each.answer].revision):
            best[each.answer] = each
    counted = [*best.values(), *(each for each in story if not each.answer)]
    return dict(Counter(((START_MS + 60_000 * each.minute) // 60_000 * 60, each.bin) for each in counted))


@settings(max_examples=100, deadline=None)
@given(stories, st.sets(st.integers(1, 24), max_size=6))
def test_edits_replace_each_other_whichever_comes_first_and_wherever_a_worker_restarts(
    story: list[Said], restarts: set[int]
) -> None:
    once = [each._replace(late=False) for each in story]
    assert counts(recorded(once, restarts)) == expected(once)


def test_every_order_of_the_revisions_of_an_answer_gives_the_same_histogram() -> None:
    edits = [Said(1, revision, revision, revision % 2, False) for revision in range(4)]
    found = {tuple(sorted(counts(recorded(list(order), {1, 2, 3})).items())) for order in permutations(edits)}
    assert len(found) == 1


@settings(max_examples=50, deadline=None)
@given(stories, st.sets(st.integers(1, 24), max_size=4), st.randoms(use_true_random=False))
def test_late_answers_restated_in_any_portions_count_as_if_they_had_come_in_time(
    story: list[Said], restarts: set[int], random: Random
) -> None:
    rows = recorded(story, restarts)
    offsets = rows.filter(pl.col("disposition") == "late")["off"].to_list()
    random.shuffle(offsets)
    while offsets:
        portion = [offsets.pop() for _ in range(random.randint(1, len(offsets)))]
        rows = corrected(rows, rows.filter(pl.col("off").is_in(portion)))
    assert counts(rows) == expected(story)
    assert rows.filter(pl.col("disposition") == "late").is_empty()
    assert rows["off"].to_list() == list(range(len(story)))


@settings(max_examples=50, deadline=None)
@given(stories)
def test_every_minute_that_a_correction_changes_is_noted(story: list[Said]) -> None:
    rows = recorded(story)
    late = rows.filter(pl.col("disposition") == "late")
    standing = rows.filter((pl.col("disposition") == "aggregated") & (pl.col("answer_hash") != 0))
    found = counted_late(late, standing)
    before, after = counts(rows), counts(replaced_by(rows, found.rows))
    changed = {
        minute
        for minute, bin_ in before.keys() | after.keys()
        if before.get((minute, bin_)) != after.get((minute, bin_))
    }
    assert changed <= set(found.notes["minute"].to_list())
    assert set(found.notes["was"]) <= {"late"}


@settings(max_examples=50, deadline=None)
@given(stories, st.lists(st.integers(0, 24), max_size=6))
def test_doubles_taken_out_leave_what_was_there_without_them(story: list[Said], again: list[int]) -> None:
    once = [each._replace(late=False) for each in story]
    rows = recorded(once)
    copies = [
        rows[i % len(story)].with_columns(pl.lit(len(story) + n, pl.Int64).alias("off")) for n, i in enumerate(again)
    ]
    # A double was taken for a new event: it counts once more.
    doubles = [copy.with_columns(pl.lit(-1, pl.Int64).alias("old_off")) for copy in copies]
    ledger = pl.concat([rows, *doubles])
    twofold = ledger.filter(pl.col("event_hash").count().over("event_hash") > 1)
    found = without_doubles(twofold, ledger.clear())
    assert counts(replaced_by(ledger, found.rows)) == counts(rows) == expected(once)
    assert set(found.rows["disposition"]) <= {"duplicate"}


def test_an_edit_that_took_back_a_double_takes_back_the_first() -> None:
    rows = recorded([Said(0, 0, 3, 0, False), Said(0, 0, 3, 0, False), Said(0, 0, 9, 1, False)])
    twice = rows[:2].with_columns(pl.lit(7, pl.UInt64).alias("event_hash"))
    edit = retract(rows[2:].drop(*OLD).with_columns(pl.lit(1, pl.Int64).alias("old_off")), [rows[:2]]).select(LEDGER)
    ledger = pl.concat([twice, edit])
    assert sum(counts(ledger).values()) == 2
    found = without_doubles(twice, edit)
    after = replaced_by(ledger, found.rows)
    assert counts(after) == {(60 * (START_MS // 60_000 + 1), 9): 1}
    assert after["old_off"].to_list() == [-1, -1, 0]


def test_a_double_with_other_content_is_a_conflict() -> None:
    rows = recorded([Said(0, 0, 3, 0, False), Said(0, 0, 4, 0, False)]).with_columns(
        pl.lit(7, pl.UInt64).alias("event_hash"), pl.Series("payload_hash", [1, 2], dtype=pl.UInt64)
    )
    found = without_doubles(rows, rows.clear())
    assert found.rows.select("off", "disposition", "reason").rows() == [(1, "duplicate", "conflict")]
    assert found.notes.select("off", "was").rows() == [(1, "aggregated")]
