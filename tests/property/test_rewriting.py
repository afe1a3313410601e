"""Texts labelled anew and customers merged, in any portions, leave the ledger as if it had always been so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipeline.ledger.retractions import retract
from pipeline.ledger.rewriting import FACTS, erased, merged, relabelled, rewritten
from pipeline.scores.windows import contributions
from pipeline.slices import LEDGER, OLD
from schemas.vocabulary import Reason
from tests.rows import START_MS, ledger_like

_COUNT = 24
_ROWS = ledger_like(_COUNT, seed=8).with_columns(
    pl.lit("aggregated").alias("disposition"), pl.lit("nps").alias("metric"), pl.lit("minilm").alias("tier")
)

labels = st.lists(st.sampled_from(["negative", "neutral", "positive"]), min_size=_COUNT, max_size=_COUNT)
#: For each row the row that it takes back, if any: an earlier one, each taken back once at most.
chains = st.lists(st.integers(-8, _COUNT - 1), min_size=_COUNT, max_size=_COUNT)
cuts = st.lists(st.integers(1, _COUNT - 1), max_size=5)


def ledger(said: Sequence[str], before: Sequence[int]) -> pl.DataFrame:
    """Rows in which some take back an earlier one; `said` is the label of each."""
    taken: set[int] = set()
    old = []
    for at, other in enumerate(before):
        fits = 0 <= other < at and other not in taken
        taken |= {other} if fits else set()
        old.append(other if fits else -1)
    rows = _ROWS.with_columns(
        pl.Series("label", list(said)),
        pl.Series("p", [{"negative": -9, "neutral": 0, "positive": 7}[each] for each in said], dtype=pl.Int16),
        pl.Series("old_off", old, dtype=pl.Int64),
    )
    return retract(rows.drop(*OLD), []).select(LEDGER)


def replaced(rows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    kept = rows.filter(pl.col("off").is_in(changed["off"].implode()).not_())
    return pl.concat([kept, changed.select(rows.columns)]).sort("off")


def later(rows: pl.DataFrame, portion: pl.DataFrame) -> pl.DataFrame:
    """The rows that take one of a portion back, as the owner reads them."""
    return rows.filter(pl.col("old_off").is_in(portion["off"].implode()))


@settings(max_examples=100, deadline=None)
@given(labels, labels, chains, cuts)
def test_labels_of_a_new_model_in_any_portions_count_as_if_they_had_always_been(
    said: list[str], fresh: list[str], before: list[int], edges: list[int]
) -> None:
    rows, wanted = ledger(said, before), ledger(fresh, before)
    for low, high in pairwise(sorted({0, *edges, _COUNT})):
        portion = rows[low:high]
        found = rewritten(portion, relabelled(portion, wanted[low:high]), later(rows, portion), Reason.RELABELLED)
        assert found.rows["off"].is_unique().all()
        assert set(found.former["off"]) == set(found.rows["off"]), "whatever changes can be put back"
        rows = replaced(rows, found.rows)
    assert_frame_equal(rows, wanted)
    assert contributions(rows.with_columns(pl.lit(0, pl.UInt16).alias("part"))).height


@settings(max_examples=50, deadline=None)
@given(labels, chains, st.sets(st.integers(0, _COUNT - 1), max_size=8))
def test_a_merge_moves_rows_and_what_takes_them_back_and_says_what_they_were(
    said: list[str], before: list[int], theirs: set[int]
) -> None:
    rows = ledger(said, before)
    portion = rows.filter(pl.col("off").is_in(sorted(theirs)))
    profile = pl.DataFrame({"valid_from_ms": [START_MS - 1], "segments": ["vip"]})
    found = rewritten(portion, merged(portion, (3, 77), profile), later(rows, portion), Reason.MERGED)
    after = replaced(rows, found.rows)
    assert after.filter(pl.col("customer") == 77)["off"].to_list() == sorted(theirs)
    assert set(after.filter(pl.col("customer") == 77)["segments"]) <= {"vip"}
    assert_frame_equal(after, retract(after.drop(*OLD).with_columns(after["old_off"]), []).select(LEDGER))
    # Put back, it is what it was: as known then.
    told = (
        found.former.unique("off")
        .with_columns(pl.col("facts").str.json_decode(_facts(rows)).alias("was"))
        .unnest("was")
    )
    back = replaced(after, after.drop(*FACTS).join(told.select("off", *FACTS), on="off").select(rows.columns))
    assert_frame_equal(back.select("off", *FACTS), rows.select("off", *FACTS))


def _facts(rows: pl.DataFrame) -> pl.Struct:
    return pl.Struct({name: rows.schema[name] for name in FACTS})


def test_before_a_profile_begins_a_merged_event_keeps_its_own_segments() -> None:
    rows = ledger(["neutral"] * _COUNT, [-1] * _COUNT)
    middle = rows["occurred_ms"].sort()[_COUNT // 2]
    profile = pl.DataFrame({"valid_from_ms": [middle], "segments": ["vip"]})
    after = merged(rows, (1, 5), profile)
    early = pl.col("occurred_ms") < middle
    assert_frame_equal(after.filter(early).select("segments"), rows.filter(early).select("segments"))
    assert set(after.filter(~early)["segments"]) == {"vip"}


def test_of_an_erasure_nothing_is_kept_but_that_it_was() -> None:
    rows = ledger(["neutral"] * _COUNT, [-1] * _COUNT).with_columns(pl.lit(9, pl.UInt64).alias("customer"))
    found = rewritten(rows, erased(rows), rows.clear(), Reason.ERASED)
    assert found.former.is_empty()
    assert (set(found.notes["reason"]), set(found.rows["customer"]), set(found.rows["key_id"])) == (
        {"erased"},
        {0},
        {0},
    )
    counted = [contributions(each.with_columns(pl.lit(0, pl.UInt16).alias("part"))) for each in (rows, found.rows)]
    assert_frame_equal(*counted)
