"""Minute windows of answer histograms, folded from slices: event time, exact integers, order-free.

A window row is keyed by cut, metric, scale, dimensions, minute and partition, and holds the counts of the bins 0..10
and, for sentiment, the sums of p and p^2. Adding is the only operation; a retraction adds -1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.scores.packing import GROWTH, Dictionary, Keys, part_of
from pipeline.slices import CORE, COUNTED, FURTHER, OTHER
from schemas.limits import MAX_BINS
from schemas.vocabulary import Disposition, Sentiment

#: Columns of the counts: bins, then the sums of p and p^2 (both in 1/10,000).
BINS: tuple[str, ...] = tuple(f"b{i}" for i in range(MAX_BINS))
COUNTS: tuple[str, ...] = (*BINS, "s1", "s2")
#: Columns that name a window row, besides topic, epoch and part.
KEY: tuple[str, ...] = ("cut", "metric", "scale", *CORE, "dim", "minute")

#: Bins of the labels of a text.
LABEL_BINS: dict[str, int] = {Sentiment.NEGATIVE: 0, Sentiment.NEUTRAL: 1, Sentiment.POSITIVE: 2}

_MINUTE_MS = 60_000

#: Columns of a slice that its own contributions are made of, and those of its predecessors.
_NOW = ("occurred_ms", "metric", "scale", "bin", "label", "p", "tier", *CORE, *FURTHER, "others", "part")
_WAS = tuple(name if name == "part" else f"old_{name}" for name in _NOW)
#: Columns of a slice that score needs: what it counts, and what it says of changes.
FOLDED: tuple[str, ...] = (
    *("off", "disposition", "reason", "ingest_ms", "old_off"),
    *(name for name in _NOW if name != "part"),
)
#: And where an answer was replaced, what it had counted.
_REPLACED: tuple[str, ...] = tuple(name for name in _WAS if name != "part")

Counts = npt.NDArray[np.int32]


@dataclass(slots=True)
class Cells:
    """The window rows of one minute: sorted packed keys and their counts."""

    keys: Keys
    counts: Counts

    def add(self, keys: Keys, counts: Counts) -> None:
        """Adds counts (sorted, distinct keys); merge of two sorted sets."""
        at = np.searchsorted(self.keys, keys)
        at_inside = np.minimum(at, max(self.keys.size - 1, 0))
        known = self.keys[at_inside] == keys if self.keys.size else np.zeros(keys.size, dtype=bool)
        self.counts[at_inside[known]] += counts[known]
        if not known.all():
            self.keys = np.insert(self.keys, at[~known], keys[~known])
            self.counts = np.insert(self.counts, at[~known], counts[~known], axis=0)

    def read(self, keys: Keys) -> Counts:
        """Counts of keys that are there."""
        return self.counts[np.searchsorted(self.keys, keys)]


@dataclass(frozen=True, slots=True)
class Delta:
    """What a fold adds: minute -> (sorted keys, counts)."""

    minutes: Mapping[int, tuple[Keys, Counts]]


def needed(rows: pl.DataFrame) -> pl.DataFrame:
    """What score needs of the rows of a slice; it may wait with many others."""
    return rows.select(*FOLDED, *(_REPLACED if (rows["old_off"] >= 0).any() else ()))


def stacked(some: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Such rows of several slices, one after the other."""
    return pl.concat(some, how="vertical" if len({rows.width for rows in some}) == 1 else "diagonal")


def contributions(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per thing that counts: minute, metric, scale, bin, w (+1 or -1), s1, s2, dimensions, part.

    `rows` are slice rows with `part`; only `aggregated` ones count.
    """
    counts = rows["disposition"] == Disposition.AGGREGATED
    counted = _as_counted(_chosen(rows.select(_NOW), counts), "")
    labels = list(LABEL_BINS)
    parts = [
        _answers(_chosen(counted, counted["bin"] >= 0), "", 1),
        _sentiments(_chosen(counted, counted["label"].is_in(labels)), "", 1),
    ]
    if (replacing := counts & (rows["old_off"] >= 0)).any():
        old = _as_counted(rows.select(_WAS).filter(replacing), "old_")
        parts.append(_answers(_chosen(old, old["old_bin"] >= 0), "old_", -1))
        parts.append(_sentiments(_chosen(old, old["old_label"].is_in(labels)), "old_", -1))
    return pl.concat(parts)


def _chosen(rows: pl.DataFrame, which: pl.Series) -> pl.DataFrame:
    """The rows that are marked. Mostly they all are: then nothing is copied."""
    return rows if which.all() else rows.filter(which)


def fold(found: pl.DataFrame, names: Dictionary) -> Delta:
    """Contributions (any partitions of one topic) folded into what they add, all cuts."""
    base, counts = names.base(found), found.select("minute", "bin", "w", "s1", "s2")
    packed = [counts.with_columns(pl.Series("key", names.core(base, found)))]
    for cut in FURTHER:
        there = found[cut] != ""
        if there.all():
            packed.append(counts.with_columns(pl.Series("key", names.cut(cut, base, found[cut]))))
        elif there.any():
            keys = names.cut(cut, base[there.to_numpy()], found[cut].filter(there))
            packed.append(counts.filter(there).with_columns(pl.Series("key", keys)))
    return _delta(pl.concat(packed))


def load(rows: pl.DataFrame, names: Dictionary) -> Delta:
    """Rows of the table `windows` as something to add: how recomputed minutes come back into memory."""
    parts = []
    for (cut,), chosen in rows.group_by("cut"):
        base = names.base(chosen)
        keys = names.core(base, chosen) if cut == "core" else names.cut(str(cut), base, chosen["dim"])
        parts.append(chosen.select("minute", *COUNTS, pl.Series("key", keys)))
    if not parts:
        return Delta({})
    ordered = pl.concat(parts).sort("minute", "key")
    minutes, keys = ordered["minute"].to_numpy().astype(np.int64), ordered["key"].to_numpy()
    return _by_minute(minutes, keys, ordered.select(COUNTS).to_numpy().astype(np.int32))


class Hot:
    """The minutes that are folded in memory: complete for every minute above a partition's floor.

    Whatever touches a minute at or below the floor is cold: it is marked and rewritten from the ledger. `names` are
    what the keys of its rows are packed with.
    """

    def __init__(self, limit: int, growth: int = GROWTH) -> None:
        self.names = Dictionary()
        self._limit, self._growth, self._kept = limit, growth, 0
        self._cells: dict[int, Cells] = {}
        self._floor: dict[int, int] = {}
        self.rows = 0
        self.evicted = 0

    def floor(self, part: int) -> int:
        """Newest cold minute of a partition, in seconds; minutes above it are complete here."""
        return self._floor.get(part, 0)

    def begin(self, part: int, floor: int) -> None:
        """A partition was assigned: its minutes up to `floor` are cold, above it nothing is known to exist."""
        self.drop(part)
        self._floor[part] = floor

    def drop(self, part: int) -> None:
        """A partition was taken away: its rows leave the memory."""
        for minute in list(self._cells):
            self._without(minute, part)
        self._floor.pop(part, None)

    def cool(self, part: int, floor: int) -> None:
        """A partition's minutes up to `floor` are cold from now on: their rows leave the memory."""
        self._floor[part] = max(self.floor(part), floor)
        for minute in [minute for minute in self._cells if minute <= floor]:
            self._without(minute, part)

    def _without(self, minute: int, part: int) -> None:
        cells = self._cells[minute]
        kept = part_of(cells.keys) != part
        if kept.all():
            return
        self.rows -= int((~kept).sum())
        if kept.any():
            self._cells[minute] = Cells(cells.keys[kept], cells.counts[kept])
        else:
            del self._cells[minute]

    def cold(self, rows: pl.DataFrame) -> pl.DataFrame:
        """(part, minute) of contributions that touch cold minutes."""
        floors = pl.DataFrame(
            {"part": list(self._floor), "floor": list(self._floor.values())},
            schema={"part": rows.schema["part"], "floor": pl.Int64},
        )
        touched = rows.select("part", "minute").unique().join(floors, on="part", how="left")
        return touched.filter(pl.col("minute") <= pl.col("floor").fill_null(2**62)).select("part", "minute")

    def add(self, delta: Delta) -> dict[int, tuple[Keys, Counts]]:
        """Adds what a fold brought; returns the changed rows, absolute."""
        changed = {}
        for minute, (keys, counts) in delta.minutes.items():
            cells = self._cells.get(minute)
            if cells is None:
                self._cells[minute] = Cells(keys, counts.copy())
                self.rows += keys.size
                changed[minute] = (keys, counts)
            else:
                before = cells.keys.size
                cells.add(keys, counts)
                self.rows += cells.keys.size - before
                changed[minute] = (keys, cells.read(keys))
        return changed

    def read(self, touched: Mapping[int, Keys]) -> dict[int, tuple[Keys, Counts]]:
        """The rows of some minutes and keys (sorted, all of them there) as they are now."""
        return {minute: (keys, self._cells[minute].read(keys)) for minute, keys in touched.items()}

    def shrink(self) -> int:
        """Oldest minutes leave while there are more rows than the limit; how many minutes left.

        Names that no row in memory has any more are forgotten when many came: keys read before mean nothing then.
        """
        gone = 0
        for minute in sorted(self._cells):
            if self.rows <= self._limit:
                break
            self.rows -= self._cells.pop(minute).keys.size
            for part in self._floor:
                self._floor[part] = max(self._floor[part], minute)
            gone += 1
        self.evicted += gone
        if len(self.names) > self._kept + self._growth:
            self._renew()
        return gone

    def _renew(self) -> None:
        minutes = list(self._cells.values())
        edges = np.cumsum([cells.keys.size for cells in minutes])[:-1]
        keys = np.concatenate([cells.keys for cells in minutes]) if minutes else np.empty(0, dtype=np.int64)
        self.names, keys = self.names.renewed(keys)
        for cells, again in zip(minutes, np.split(keys, edges), strict=False):
            cells.keys = again
        self._kept = len(self.names)


def rows_of(names: Dictionary, changed: Mapping[int, tuple[Keys, Counts]]) -> pl.DataFrame:
    """Changed cells as rows of the table `windows`: KEY, part and the counts.

    They stay as narrow as they are in memory: widening them takes the engine a fifth less than being sent wide ones.
    """
    if not changed:
        return pl.DataFrame()
    keys = np.concatenate([cells[0] for cells in changed.values()])
    counts = np.concatenate([cells[1] for cells in changed.values()])
    minutes = np.repeat(np.fromiter(changed, dtype=np.int64), [cells[0].size for cells in changed.values()])
    return names.unpack(keys).with_columns(
        pl.Series("minute", minutes, dtype=pl.UInt32),
        *(pl.Series(name, counts[:, i]) for i, name in enumerate(COUNTS)),
    )


def _answers(rows: pl.DataFrame, old: str, weight: int) -> pl.DataFrame:
    return rows.select(
        _minute(old),
        pl.col(f"{old}metric").alias("metric"),
        pl.col(f"{old}scale").alias("scale"),
        pl.col(f"{old}bin").cast(pl.Int8).alias("bin"),
        pl.lit(weight, pl.Int32).alias("w"),
        pl.lit(0, pl.Int32).alias("s1"),
        pl.lit(0, pl.Int32).alias("s2"),
        *_dims(old),
    )


def _sentiments(rows: pl.DataFrame, old: str, weight: int) -> pl.DataFrame:
    p = pl.col(f"{old}p").cast(pl.Int32)
    labels = pl.col(f"{old}label")
    return rows.select(
        _minute(old),
        pl.lit("sentiment").alias("metric"),
        pl.col(f"{old}tier").alias("scale"),
        labels.replace_strict(list(LABEL_BINS), list(LABEL_BINS.values()), return_dtype=pl.Int8).alias("bin"),
        pl.lit(weight, pl.Int32).alias("w"),
        (p * weight).alias("s1"),
        (square(p) * weight).alias("s2"),
        *_dims(old),
    )


def square(p: pl.Expr) -> pl.Expr:
    """p^2 in 1/10,000, rounded half up; the same in SQL as intDiv(p * p + 5000, 10000)."""
    return (p * p + 5_000) // 10_000


def _minute(old: str) -> pl.Expr:
    return (pl.col(f"{old}occurred_ms") // _MINUTE_MS * 60).alias("minute")


def _dims(old: str) -> Iterable[pl.Expr]:
    return (*(pl.col(f"{old}{name}").alias(name) for name in COUNTED), pl.col("part"))


def _as_counted(rows: pl.DataFrame, old: str) -> pl.DataFrame:
    """The rows with OTHER in place of each name that has none of its own; mostly they all have: nothing is copied."""
    others = rows[f"{old}others"]
    if not (others != 0).any():
        return rows
    return rows.with_columns(
        pl.when(others & 1 << bit != 0).then(pl.lit(OTHER)).otherwise(pl.col(f"{old}{name}")).alias(f"{old}{name}")
        for bit, name in enumerate(COUNTED)
    )


def _delta(packed: pl.DataFrame) -> Delta:
    grouped = packed.group_by("minute", "key", "bin").agg(pl.col("w", "s1", "s2").sum()).sort("minute", "key")
    minute, key = grouped["minute"].to_numpy(), grouped["key"].to_numpy()
    if not minute.size:
        return Delta({})
    new = np.r_[True, (minute[1:] != minute[:-1]) | (key[1:] != key[:-1])]
    row, first = np.cumsum(new) - 1, np.flatnonzero(new)
    counts: Counts = np.zeros((first.size, len(COUNTS)), dtype=np.int32)
    np.add.at(counts, (row, grouped["bin"].to_numpy()), grouped["w"].to_numpy())
    np.add.at(counts[:, MAX_BINS], row, grouped["s1"].to_numpy())
    np.add.at(counts[:, MAX_BINS + 1], row, grouped["s2"].to_numpy())
    return _by_minute(minute[first], key[first], counts)


def _by_minute(minutes: Keys, keys: Keys, counts: Counts) -> Delta:
    edges = np.flatnonzero(np.r_[True, minutes[1:] != minutes[:-1], True])
    return Delta(
        {
            int(minutes[a]): (keys[a:b], counts[a:b])
            for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        }
    )
