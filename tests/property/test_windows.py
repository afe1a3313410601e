"""Any split and any order of slices gives the same windows; packing a key loses nothing."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scores.packing import CUTS, Dictionary
from pipeline.scores.windows import BINS, COUNTS, KEY, Cells, Hot, contributions, fold, load, rows_of
from pipeline.slices import CORE, FURTHER
from tests.rows import ledger_like

_PART = 3
_ROWS = ledger_like(240, seed=11).with_columns(pl.lit(_PART, pl.UInt16).alias("part"))
words = st.sampled_from(["", "a", "b|c", "élan", "日本", "x" * 40])
keys = st.lists(st.tuples(st.sampled_from(CUTS), *[words] * 7, st.integers(0, 1023)), min_size=1, max_size=30)
pairs = st.dictionaries(st.integers(0, 40), st.integers(-5, 5), max_size=12)


def windows_of(pieces: list[pl.DataFrame]) -> pl.DataFrame:
    """The window rows after these slices, as a table that keeps the last row of each key."""
    hot = Hot(1_000_000)
    names = hot.names
    hot.begin(_PART, 0)
    told = [rows_of(names, hot.add(fold(contributions(piece), names))) for piece in pieces]
    return pl.concat(each for each in told if each.width).unique(KEY, keep="last").sort(KEY)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, _ROWS.height - 1), max_size=8, unique=True), st.randoms(use_true_random=False))
def test_any_split_and_order_of_slices_gives_the_same_windows(cuts: list[int], random: Random) -> None:
    edges = [0, *sorted(cuts), _ROWS.height]
    pieces = [_ROWS[a:b] for a, b in pairwise(edges)]
    random.shuffle(pieces)
    assert windows_of(pieces).equals(windows_of([_ROWS]))


def test_a_row_more_gives_other_windows() -> None:
    assert not windows_of([_ROWS, _ROWS[:1]]).equals(windows_of([_ROWS]))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 2**32))
def test_any_number_of_names_counts_as_a_plain_group_by_does(names: int, growth: int, seed: int) -> None:
    random = Random(seed)
    rows = _ROWS.with_columns(
        pl.Series(name, [f"{name} {random.randrange(names)}" for _ in range(_ROWS.height)], pl.String)
        for name in ("brand", "unit", "touchpoint", "segments", "campaign")
    )
    hot = Hot(1_000_000, growth=growth)
    hot.begin(_PART, 0)
    told = []
    for piece in rows.iter_slices(40):
        told.append(rows_of(hot.names, hot.add(fold(contributions(piece), hot.names))))
        hot.shrink()  # forgets and packs anew whenever `growth` more names and places have come
    found = pl.concat(each for each in told if each.width).unique(KEY, keep="last").sort(KEY)
    assert found.select(*KEY, *BINS).equals(grouped(rows).select(*KEY, *BINS))


def grouped(rows: pl.DataFrame) -> pl.DataFrame:
    """The window rows of ledger rows by a group-by of words, no key packed."""
    counted = contributions(rows)
    cuts = [
        (counted if cut == "core" else counted.filter(pl.col(cut) != "")).with_columns(
            pl.lit(cut).alias("cut"),
            (pl.lit("") if cut == "core" else pl.col(cut)).alias("dim"),
            *((pl.col(name) if cut == "core" else pl.lit("")).alias(name) for name in CORE[1:]),
        )
        for cut in ("core", *FURTHER)
    ]
    by_bin = [pl.col("w").filter(pl.col("bin") == i).sum().cast(pl.Int64).alias(name) for i, name in enumerate(BINS)]
    return pl.concat(cuts).group_by(KEY).agg(by_bin).with_columns(pl.col("minute").cast(pl.UInt32)).sort(KEY)


@settings(deadline=None)
@given(keys)
def test_a_packed_key_comes_back_as_it_was(given_keys: list[tuple[object, ...]]) -> None:
    names = ("cut", "metric", "scale", "brand", "unit", "channel", "touchpoint", "dim", "part")
    found = pl.DataFrame(
        given_keys, schema=names, orient="row"
    ).with_columns(
        pl.col("part").cast(pl.UInt16),
        pl.col("metric").str.replace_all("|", "-", literal=True),  # a metric is a word of ours
        *(pl.when(pl.col("cut") == "core").then(pl.col(n)).otherwise(pl.lit("")).alias(n) for n in names[4:7]),
        pl.when(pl.col("cut") == "core").then(pl.lit("")).otherwise(pl.col("dim")).alias("dim"),
    )
    rows = found.unique().with_columns(
        pl.lit(60, pl.UInt32).alias("minute"), *(pl.lit(1, pl.Int64).alias(name) for name in COUNTS)
    )
    dictionary = Dictionary()
    (minute,) = load(rows, dictionary).minutes
    packed, _ = load(rows, dictionary).minutes[minute]
    assert len(set(packed.tolist())) == rows.height
    assert (packed >= 0).all()
    assert dictionary.unpack(packed).select(names).sort(names).equals(rows.select(names).sort(names))


@settings(deadline=None)
@given(pairs, pairs, pairs)
def test_adding_is_associative_and_knows_no_order(
    one: dict[int, int], two: dict[int, int], three: dict[int, int]
) -> None:
    first = added(added(cells(one), two), three)
    other = added(cells(one), as_dict(added(cells(two), three)))
    swapped = added(added(cells(three), two), one)
    assert as_dict(first) == as_dict(other) == as_dict(swapped)
    assert (np.diff(first.keys) > 0).all()


def cells(given_counts: dict[int, int]) -> Cells:
    ordered = sorted(given_counts.items())
    counts = np.zeros((len(ordered), len(COUNTS)), dtype=np.int32)
    counts[:, 0] = [count for _, count in ordered]
    return Cells(np.array([key for key, _ in ordered], dtype=np.int64), counts)


def added(to: Cells, given_counts: dict[int, int]) -> Cells:
    more = cells(given_counts)
    to.add(more.keys, more.counts)
    return to


def as_dict(found: Cells) -> dict[int, int]:
    return dict(zip(found.keys.tolist(), found.counts[:, 0].tolist(), strict=True))
