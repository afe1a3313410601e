"""Profiles: the segments and unit of each customer as of a moment, in memory for the assigned partitions.

Rows are facts (`part`, `off`, `customer`, `valid_from_ms`, ...), the same as in the table `profiles`. What they say is
a function of the set of rows, in whatever order they come:

- of two rows with the same customer and `valid_from_ms` the higher offset wins;
- a row with an earlier `valid_from_ms` takes its place in history, whenever it arrives;
- a tombstone (`valid_from_ms` = TOMBSTONE_MS; a record without a value on the compacted topic) takes out every row of
  the customer with a lower offset; later rows begin a new history. The table keeps the older rows as facts until an
  erasure deletes them; they are never looked up again.

A row costs 32 bytes and each customer 16 more; segment sets and units are kept once each. Above a limit the rows with
the lowest offsets leave, those of the customers that have not changed for the longest: of the partitions with the most
rows first, each down to the same number. They stay in the table; events see no profile where its row has left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

#: `valid_from_ms` of a tombstone: before every moment, so that it sorts first in its customer's run.
TOMBSTONE_MS: Final = -(2**63)
#: New rows wait in a run of their own until it has this many; then it is merged (about 15 ms for 100,000 rows).
DELTA_ROWS: Final = 8_192

#: Share of the limit that is kept when it was reached: shrinking costs a sort of all rows, so not at every record.
_ROOM: Final = 0.95

#: Columns that `load` and `apply` read; more are ignored.
COLUMNS: dict[str, pl.DataType] = {
    "off": pl.Int64(),
    "customer": pl.UInt64(),
    "valid_from_ms": pl.Int64(),
    "segments": pl.String(),
    "unit": pl.String(),
}


class Words:
    """Each distinct string once, known by a code; code 0 is ""."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}
        self._series = pl.Series([""])

    def codes(self, column: pl.Series) -> npt.NDArray[np.int32]:
        """Codes of a column of strings (null counts as ""); unknown ones get the next codes."""
        column = column.fill_null("")
        distinct = column.unique(maintain_order=True)
        numbers = [self._codes.setdefault(word, len(self._codes)) for word in distinct.to_list()]
        if len(self._codes) != len(self._series):
            self._series = pl.Series(list(self._codes))
        found = column.replace_strict(distinct, pl.Series(numbers, dtype=pl.Int32), return_dtype=pl.Int32)
        return found.to_numpy()

    def words(self, codes: npt.NDArray[np.int32]) -> pl.Series:
        """The strings of codes."""
        return self._series.gather(pl.Series(codes))

    def __len__(self) -> int:
        return len(self._codes)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one partition, in any order."""

    customer: Hashes
    valid_from: Numbers
    off: Numbers
    segments: npt.NDArray[np.int32]
    unit: npt.NDArray[np.int32]

    def joined(self, other: _Rows) -> _Rows:
        return _Rows(
            np.concatenate((self.customer, other.customer)),
            np.concatenate((self.valid_from, other.valid_from)),
            np.concatenate((self.off, other.off)),
            np.concatenate((self.segments, other.segments)),
            np.concatenate((self.unit, other.unit)),
        )

    def taken(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> _Rows:
        return _Rows(
            self.customer[which], self.valid_from[which], self.off[which], self.segments[which], self.unit[which]
        )

    def __len__(self) -> int:
        return len(self.off)


class _History:
    """Rows in order of (customer, valid_from), ready for lookups."""

    __slots__ = ("customers", "rows", "starts")

    def __init__(self, rows: _Rows) -> None:
        order = np.lexsort((rows.off, rows.valid_from, rows.customer))
        rows = rows.taken(order)
        newest = np.ones(len(rows), dtype=bool)
        if len(rows) > 1:
            same = (rows.customer[1:] == rows.customer[:-1]) & (rows.valid_from[1:] == rows.valid_from[:-1])
            newest[:-1] = ~same
        rows = _without_erased(rows.taken(newest))
        first = np.ones(len(rows), dtype=bool)
        if len(rows) > 1:
            first[1:] = rows.customer[1:] != rows.customer[:-1]
        self.rows = rows
        self.starts = np.append(np.flatnonzero(first), len(rows))
        self.customers = rows.customer[first]

    def places(self, customers: Hashes, moments: Numbers) -> npt.NDArray[np.intp]:
        """Index of the row that holds at each moment, -1 where there is none."""
        place = np.full(len(customers), -1, dtype=np.intp)
        if not len(self.customers):
            return place
        run = np.searchsorted(self.customers, customers)
        run[run == len(self.customers)] = 0
        hit = np.flatnonzero(self.customers[run] == customers)
        low, high, moment = self.starts[run[hit]], self.starts[run[hit] + 1], moments[hit]
        before = low - 1
        while (open_ := low < high).any():
            middle = (low + high) // 2
            holds = open_ & (self.rows.valid_from[np.minimum(middle, len(self.rows) - 1)] <= moment)
            low = np.where(holds, middle + 1, low)
            high = np.where(open_ & ~holds, middle, high)
        place[hit] = np.where(low - 1 > before, low - 1, -1)
        return place


def _without_erased(rows: _Rows) -> _Rows:
    """Rows in order, less those with a lower offset than their customer's tombstone (which stays: it sorts first)."""
    stones = np.flatnonzero(rows.valid_from == TOMBSTONE_MS)
    if not len(stones):
        return rows
    at = np.searchsorted(rows.customer[stones], rows.customer)
    at[at == len(stones)] = 0
    erased = (rows.customer[stones][at] == rows.customer) & (rows.off < rows.off[stones][at])
    return rows.taken(~erased)


@dataclass(slots=True)
class _Partition:
    """One partition's history and the newest rows beside it; `last` is the highest offset seen."""

    history: _History
    delta: _History | None = None
    last: int = -1


@dataclass(slots=True)
class Profiles:
    """Profiles of the assigned partitions. Not for two threads at once."""

    limit: int = 2**62
    dropped: int = 0
    _parts: dict[int, _Partition] = field(default_factory=dict)
    _segments: Words = field(default_factory=Words)
    _units: Words = field(default_factory=Words)

    def load(self, part: int, frame: pl.DataFrame) -> None:
        """Replace what is known of a partition by rows of the table `profiles` (COLUMNS, any order)."""
        history = _History(self._rows(frame))
        self._parts[part] = _Partition(history, None, _highest(frame))
        self._shrink()

    def apply(self, part: int, frame: pl.DataFrame) -> None:
        """Add rows that came on the topic since; rows that are known already change nothing."""
        if frame.is_empty():
            return
        known = self._parts.setdefault(part, _Partition(_History(self._rows(frame.clear()))))
        new = self._rows(frame)
        again = int(new.off.min()) <= known.last or bool((new.valid_from == TOMBSTONE_MS).any())
        waiting = new if known.delta is None else known.delta.rows.joined(new)
        if again or len(waiting) > DELTA_ROWS:
            known.history, known.delta = _History(known.history.rows.joined(waiting)), None
        else:
            known.delta = _History(waiting)
        known.last = max(known.last, _highest(frame))
        self._shrink()

    def forget(self, part: int) -> None:
        """Drop a partition that is no longer ours; one that was never here is no error."""
        self._parts.pop(part, None)

    def position(self, part: int) -> int:
        """The highest offset known of a partition, -1 when there is none."""
        known = self._parts.get(part)
        return -1 if known is None else known.last

    def __len__(self) -> int:
        """Rows held, all partitions together (tombstones included)."""
        return sum(len(p.history.rows) + (len(p.delta.rows) if p.delta else 0) for p in self._parts.values())

    def _shrink(self) -> None:
        """Rows leave until there are a little fewer than the limit, so that the next ones need not wait for it."""
        if len(self) <= self.limit:
            return
        held = {part: len(p.history.rows) + (len(p.delta.rows) if p.delta else 0) for part, p in self._parts.items()}
        most = _level(list(held.values()), int(self.limit * _ROOM))
        for part, rows in held.items():
            if rows > most:
                known = self._parts[part]
                every = known.history.rows if known.delta is None else known.history.rows.joined(known.delta.rows)
                kept = np.argpartition(every.off, rows - most)[rows - most :] if most else np.empty(0, dtype=np.intp)
                known.history, known.delta = _History(every.taken(kept)), None
                self.dropped += rows - most

    def lookup(self, part: int, customers: Hashes, occurred_ms: Numbers) -> tuple[pl.Series, pl.Series]:
        """Columns `segments` and `unit` as of each event's own time; "" where nothing is known of then."""
        segments = np.zeros(len(customers), dtype=np.int32)
        units = np.zeros(len(customers), dtype=np.int32)
        known = self._parts.get(part)
        if known is not None:
            order = np.argsort(customers)
            asked, moments = customers[order], occurred_ms[order]
            best = np.full(len(customers), TOMBSTONE_MS, dtype=np.int64)
            for history in (known.history, known.delta):
                if history is not None and len(history.rows):
                    _fill(history, (asked, moments), (order, best), (segments, units))
        return self._segments.words(segments).alias("segments"), self._units.words(units).alias("unit")

    def _rows(self, frame: pl.DataFrame) -> _Rows:
        frame = frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
        return _Rows(
            frame["customer"].to_numpy(),
            frame["valid_from_ms"].to_numpy(),
            frame["off"].to_numpy(),
            self._segments.codes(frame["segments"]),
            self._units.codes(frame["unit"]),
        )


def _fill(
    history: _History,
    asked: tuple[Hashes, Numbers],
    state: tuple[npt.NDArray[np.intp], Numbers],
    out: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
) -> None:
    """Write what `history` knows where it is as new as the best so far (the delta comes second: higher offsets)."""
    order, best = state
    place = history.places(*asked)
    hit = np.flatnonzero(place >= 0)
    row = place[hit]
    newer = history.rows.valid_from[row] >= best[hit]
    hit, row = hit[newer], row[newer]
    best[hit] = history.rows.valid_from[row]
    out[0][order[hit]] = history.rows.segments[row]
    out[1][order[hit]] = history.rows.unit[row]


def _level(counts: list[int], room: int) -> int:
    """The highest number that each count may keep, so that together they keep at most `room`."""
    left, number = room, len(counts)
    for count in sorted(counts):
        if count * number > left:
            return left // number
        left, number = left - count, number - 1
    return max(counts, default=0)


def _highest(frame: pl.DataFrame) -> int:
    return -1 if frame.is_empty() else int(frame["off"].to_numpy().max())
