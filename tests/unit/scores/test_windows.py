"""Minute windows: what a row counts, packed keys, and the memory of hot minutes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from annotated_types import Le

from pipeline.errors import TouchlineError
from pipeline.scores import packing, windows
from pipeline.scores.folding import taken_over
from pipeline.scores.packing import CUTS, Names
from pipeline.scores.windows import COUNTS, KEY, Delta, Hot, contributions, fold, load, needed, rows_of, stacked
from pipeline.settings import Settings
from pipeline.slices import CORE, COUNTED, Partition, Slice
from schemas.feedback import SCALES
from schemas.vocabulary import Channel, Tier
from tests.bench import lean
from tests.rows import START_MS, ledger_like

_MINUTE = START_MS // 60_000 * 60
_PLAIN = {
    "disposition": "aggregated",
    "occurred_ms": START_MS,
    "metric": "nps",
    "scale": "0-10",
    "bin": 9,
    "label": "",
    "p": 0,
    "tier": "",
    "old_off": -1,
    "segments": "",
    "product": "",
    "agent": "",
    "language": "",
    "device": "",
    "campaign": "",
    "stage": "",
    "brand": "acme",
    "unit": "u01",
    "channel": "web",
    "touchpoint": "checkout",
}


def row(**other: object) -> pl.DataFrame:
    """One ledger row of partition 3, a plain NPS answer but for what is said."""
    given = _PLAIN | other
    found = ledger_like(1, seed=1)
    return found.with_columns(
        pl.lit(value, found.schema[name]).alias(name) for name, value in given.items()
    ).with_columns(pl.lit(3, pl.UInt16).alias("part"))


def counted(found: pl.DataFrame) -> list[tuple[object, ...]]:
    return contributions(found).select("minute", "metric", "scale", "bin", "w", "s1", "s2").rows()


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """All window rows of these ledger rows."""
    hot = Hot(1_000_000)
    names = hot.names
    hot.begin(3, 0)
    return rows_of(names, hot.add(fold(contributions(rows), names))).sort(KEY)


def test_an_answer_counts_in_its_bin_at_its_minute() -> None:
    assert counted(row()) == [(_MINUTE, "nps", "0-10", 9, 1, 0, 0)]
    assert counted(row(occurred_ms=_MINUTE * 1000 + 59_999))[0][0] == _MINUTE
    assert counted(row(occurred_ms=_MINUTE * 1000 + 60_000))[0][0] == _MINUTE + 60


def test_a_label_counts_beside_the_answer_with_the_sums_of_p() -> None:
    found = counted(row(label="negative", p=-1234, tier="minilm"))
    assert found == [
        (_MINUTE, "nps", "0-10", 9, 1, 0, 0),
        (_MINUTE, "sentiment", "minilm", 0, 1, -1234, 152),  # (1,522,756 + 5,000) // 10,000
    ]
    assert counted(row(bin=-1, label="positive", p=50, tier="static")) == [
        (_MINUTE, "sentiment", "static", 2, 1, 50, 0)
    ]


@pytest.mark.parametrize(("p", "squared"), [(0, 0), (70, 0), (71, 1), (100, 1), (-10_000, 10_000), (122, 1), (123, 2)])
def test_squares_are_rounded_half_up(p: int, squared: int) -> None:
    assert pl.DataFrame({"p": [p]}).select(windows.square(pl.col("p"))).item() == squared


def test_an_unscored_text_and_an_answer_without_a_bin_count_nothing() -> None:
    assert counted(row(bin=-1, label="unscored", tier="none")) == []


@pytest.mark.parametrize("disposition", ["late", "duplicate", "dead_letter", "ignored"])
def test_only_aggregated_rows_count(disposition: str) -> None:
    assert counted(row(disposition=disposition, label="positive", p=9, tier="minilm")) == []


def test_a_revision_takes_back_what_its_predecessor_counted_where_it_counted() -> None:
    revised = row(
        bin=2,
        old_off=0,
        old_occurred_ms=START_MS - 3_600_000,
        old_metric="nps",
        old_scale="0-10",
        old_bin=9,
        old_label="positive",
        old_p=5_000,
        old_tier="static",
    )
    assert counted(revised) == [
        (_MINUTE, "nps", "0-10", 2, 1, 0, 0),
        (_MINUTE - 3_600, "nps", "0-10", 9, -1, 0, 0),
        (_MINUTE - 3_600, "sentiment", "static", 2, -1, -5_000, -2_500),
    ]


def test_slices_in_which_answers_were_replaced_and_others_are_folded_together_as_each_alone() -> None:
    plain, replacing = row(), row(bin=3, old_off=7, old_metric="nps", old_scale="0-10", old_bin=9, old_channel="app")
    few = [needed(rows).with_columns(rows["part"]) for rows in (plain, replacing, plain)]
    assert "old_channel" not in few[0].columns
    assert few[0].height == few[1].height
    assert sorted(counted(stacked(few))) == sorted([*counted(plain), *counted(replacing), *counted(plain)])


def test_the_benchmark_with_the_fewest_steps_gives_score_all_that_it_looks_at() -> None:
    given = row()
    facts = ["off", "ingest_ms", "occurred_ms", "disposition", "reason", "brand", "channel", "touchpoint"]
    piece = Slice(Partition("feedback", 3), 1, 1, 1, 1, 0, 0, given.select(*facts, "metric", "scale", "bin"))
    rows = needed(lean.with_empty(piece).rows).with_columns(given["part"])
    assert table(rows).select("channel", "touchpoint", "unit", "b9").rows() == [("web", "checkout", "", 1)]


def test_a_row_is_counted_once_in_core_and_once_for_each_further_dimension_it_has() -> None:
    found = table(row(segments="gold,young", stage="buy"))
    core = ("core", "acme", "u01", "web", "checkout", "")
    stage, segments = ("stage", "acme", "", "", "", "buy"), ("segments", "acme", "", "", "", "gold,young")
    assert found.select("cut", "brand", "unit", "channel", "touchpoint", "dim").rows() == [core, segments, stage]
    assert found["b9"].to_list() == [1, 1, 1]
    assert found["minute"].to_list() == [_MINUTE] * 3


def test_what_a_row_says_is_one_name_too_many_counts_under_other_and_is_taken_back_from_there() -> None:
    bits = sum(1 << COUNTED.index(name) for name in ("touchpoint", "stage"))
    found = table(row(stage="buy", others=bits))
    assert found.select("cut", "brand", "unit", "channel", "touchpoint", "dim").rows() == [
        ("core", "acme", "u01", "web", "other", ""),
        ("stage", "acme", "", "", "", "other"),
    ]
    there = {name: row(stage="buy")[name][0] for name in ("metric", "scale", "bin", "stage", *CORE)}
    before = {f"old_{name}": value for name, value in there.items()} | {"old_others": bits, "old_occurred_ms": START_MS}
    moved = table(row(bin=-1, old_off=0, **before))
    assert moved.select(KEY).equals(found.select(KEY))
    assert moved["b9"].to_list() == [-1, -1]


def test_a_retraction_of_the_same_bin_leaves_a_zero_row_behind() -> None:
    hot = Hot(1_000)
    names = hot.names
    hot.begin(3, 0)
    hot.add(fold(contributions(row()), names))
    there = {name: row()[name][0] for name in ("metric", "scale", "bin", "brand", "unit", "channel", "touchpoint")}
    back = row(bin=-1, old_off=0, old_occurred_ms=START_MS, **{f"old_{name}": value for name, value in there.items()})
    changed = rows_of(names, hot.add(fold(contributions(back), names)))
    assert changed.select(COUNTS).row(0) == (0,) * len(COUNTS)


def test_what_may_be_in_memory_fits_in_the_bits_of_a_key() -> None:
    (most,) = (bound.le for bound in Settings.model_fields["hot_rows"].metadata if isinstance(bound, Le))
    assert isinstance(most, int)
    most_names = most + packing.GROWTH + packing.MOST_AT_ONCE
    assert most_names <= 1 << packing.BITS["place"]
    assert most_names <= 1 << packing.BITS["brand"]
    assert sum(map(len, SCALES.values())) + len(Tier) + 1 <= 1 << packing.BITS["measure"], "and volume, of touchpoints"
    assert len(Channel) <= 1 << packing.WIDE["channel"]
    assert len(CUTS) <= 1 << packing.BITS["cut"]
    assert (sum(packing.BITS.values()), sum(packing.WIDE.values())) == (63, 63)


def test_more_names_than_bits_are_refused_rather_than_mixed_up() -> None:
    names = Names(bits=2)
    names.encode(pl.Series(["a", "b", "c", "d"]))
    with pytest.raises(TouchlineError, match="5 names in one dimension"):
        names.encode(pl.Series(["e"]))


def many(count: int, minute: int) -> pl.DataFrame:
    """Answers of one minute, each at a touchpoint, a brand and with a product of its own."""
    own = pl.Series([f"{minute}-{i}" for i in range(count)])
    return row(occurred_ms=minute * 1000)[[0] * count].with_columns(
        own.alias("touchpoint"), own.alias("brand"), own.alias("product")
    )


def test_thousands_of_names_come_back_into_memory_and_no_more_rows_than_the_limit() -> None:
    minutes = [_MINUTE, _MINUTE + 60, _MINUTE + 120]
    stored = pl.concat([table(many(3_000, minute)) for minute in minutes])
    hot = Hot(2 * stored.height // 3)
    hot.begin(3, _MINUTE - 60)
    taken_over(hot, 3, stored)
    assert hot.floor(3) == minutes[0], "the oldest minute is read from the ledger whenever it is touched"
    assert hot.rows == 2 * stored.height // 3
    again = rows_of(hot.names, hot.add(load(stored.filter(pl.col("minute") == minutes[2]), hot.names)))
    assert again["b9"].unique().to_list() == [2]


def test_names_that_no_row_in_memory_has_any_more_are_forgotten() -> None:
    hot = Hot(5_000, growth=10_000)
    hot.begin(3, 0)
    most = 0
    for minute in range(_MINUTE, _MINUTE + 1_200, 60):
        changed = rows_of(hot.names, hot.add(fold(contributions(many(2_000, minute)), hot.names)))
        assert changed["touchpoint"].str.starts_with(str(minute)).sum() == 2_000
        hot.shrink()
        most = max(most, len(hot.names))
    assert most < 30_000, "of 160,000 names and places"
    assert hot.floor(3) == _MINUTE + 1_200 - 120
    again = rows_of(hot.names, hot.add(fold(contributions(many(2_000, minute)), hot.names)))
    assert again["b9"].unique().to_list() == [2], "the newest minute is still in memory, under its names"


def cells(*pairs: tuple[int, int]) -> tuple[packing.Keys, windows.Counts]:
    """Keys (as given, with the partition in the lowest bits) and how many each, in bin 0."""
    counts = np.zeros((len(pairs), len(COUNTS)), dtype=np.int32)
    counts[:, 0] = [count for _, count in pairs]
    return np.array([key for key, _ in pairs], dtype=np.int64), counts


def delta(minutes: dict[int, list[tuple[int, int]]]) -> Delta:
    return Delta({minute: cells(*pairs) for minute, pairs in minutes.items()})


def said(changed: dict[int, tuple[packing.Keys, windows.Counts]]) -> dict[int, list[tuple[int, int]]]:
    return {m: list(zip(keys.tolist(), counts[:, 0].tolist(), strict=True)) for m, (keys, counts) in changed.items()}


#: A key's partition lies in its lowest ten bits.
_KEY = 1 << 10


def test_what_changes_is_told_absolute() -> None:
    hot = Hot(100)
    assert said(hot.add(delta({60: [(1, 2), (_KEY + 1, 1)]}))) == {60: [(1, 2), (_KEY + 1, 1)]}
    assert said(hot.add(delta({60: [(1, 3), (2 * _KEY, 7)], 120: [(1, 1)]}))) == {
        60: [(1, 5), (2 * _KEY, 7)],
        120: [(1, 1)],
    }
    assert hot.rows == 4


def test_counts_given_away_are_not_changed_by_what_is_added_later() -> None:
    hot = Hot(100)
    first = hot.add(delta({60: [(1, 2)]}))
    second = hot.add(delta({60: [(1, 5)]}))
    hot.add(delta({60: [(1, 1)]}))
    assert (said(first), said(second)) == ({60: [(1, 2)]}, {60: [(1, 7)]})


def test_the_oldest_minutes_leave_first_and_are_cold_from_then_on() -> None:
    hot = Hot(3)
    hot.begin(1, 0)
    hot.add(delta({60: [(1, 1), (_KEY + 1, 1)], 120: [(1, 1), (_KEY + 1, 1)], 180: [(1, 1)]}))
    assert hot.shrink() == 1
    assert (hot.rows, hot.evicted, hot.floor(1)) == (3, 1, 60)
    touched = pl.DataFrame(
        {"part": [1, 1, 2], "minute": [60, 120, 999]}, schema={"part": pl.UInt16, "minute": pl.Int64}
    )
    assert hot.cold(touched).sort("part").rows() == [(1, 60), (2, 999)], "nothing is known of partition 2"


def test_a_partition_taken_away_takes_only_its_rows_along() -> None:
    hot = Hot(100)
    hot.begin(1, 0)
    hot.begin(2, 60)
    hot.add(delta({120: [(1, 1), (2, 1), (_KEY + 1, 4)], 180: [(1, 1)]}))
    hot.drop(1)
    assert hot.rows == 1
    assert (hot.floor(1), hot.floor(2)) == (0, 60)
    assert said(hot.add(delta({120: [(2, 1)], 180: [(2, 1)]}))) == {120: [(2, 2)], 180: [(2, 1)]}


def test_beginning_again_forgets_what_was_folded_before() -> None:
    hot = Hot(100)
    hot.begin(1, 0)
    hot.add(delta({120: [(1, 5)]}))
    hot.begin(1, 60)
    assert (hot.rows, hot.floor(1)) == (0, 60)
    assert said(hot.add(delta({120: [(1, 1)]}))) == {120: [(1, 1)]}


def test_rows_of_the_table_come_back_into_memory_as_they_were() -> None:
    rows = ledger_like(300, seed=5).with_columns(pl.lit(3, pl.UInt16).alias("part"))
    found = table(rows)
    hot = Hot(1_000_000)
    names = hot.names
    again = rows_of(names, hot.add(load(found, names))).sort(KEY)
    assert again.equals(found)
    assert load(found.clear(), names) == Delta({})
