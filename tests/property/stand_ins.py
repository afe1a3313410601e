"""Stand-ins for Kafka and ClickHouse, as small as their promises: what the simulator of the delivery core runs against.

A call to the sink is not answered by the sink: it is handed to the schedule (`Call`), which decides whether the rows
land, now or much later, and what the caller is told.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl

from pipeline.errors import RefusedRows
from pipeline.ledger.positions import beyond
from tests.rows import START_MS, ledger_like

#: Columns of any rows that the ledger takes; every schedule cuts its logs out of these.
_TEMPLATE = ledger_like(64, seed=7).with_columns(
    pl.lit("").alias("text"), pl.lit("").alias("path"), pl.lit("").alias("detail"), pl.lit(-1).alias("old_off")
)
_DAY_MS = 86_400_000
#: Inserts that the sink remembers by token, per table.
_TOKENS = 1_000
#: A value that the sink refuses to store.
REFUSED = -1

Key = tuple[int, int, int]
#: (partition, minute, bin) -> how many.
Counts = dict[Key, int]


class Event(NamedTuple):
    """One record of the log, as the oracle sees it."""

    minute: int
    bin: int
    disposition: str
    refused: bool


class Row(NamedTuple):
    """One row of the ledger."""

    ver: int
    event: Event


class Version(NamedTuple):
    """What ReplacingMergeTree compares in `windows` and `progress`."""

    ver: int
    seq: int


@dataclass(eq=False)
class Call:
    """Something a worker waits for; the schedule answers it with None or an error."""

    table: str
    rows: Any = None
    token: str = ""

    def __await__(self) -> Generator[Call, Exception | None, None]:
        error = yield self
        if error is not None:
            raise error


class Log:
    """One partition: offsets with holes, a first one that retention moves, an end that production moves."""

    def __init__(self, part: int, chance: random.Random) -> None:
        self.part = part
        size = chance.randrange(12, len(_TEMPLATE))
        holes = {off for off in range(size) if chance.random() < 0.06}
        self.offsets = [off for off in range(size) if off not in holes]
        self.size = self.offsets[-1] + 1
        self.first = 0
        self.end = chance.randrange(1, self.size)
        self.events = {off: _event(chance) for off in self.offsets}
        self.rows = self._rows(chance.randrange(size))

    def _rows(self, midnight: int) -> pl.DataFrame:
        """The columns of every offset, a hole's too: a slice is cut out by offset. The day changes at `midnight`."""
        events = [self.events.get(off, Event(0, 0, "ignored", False)) for off in range(self.size)]
        dead = [event.disposition == "dead_letter" for event in events]
        return _TEMPLATE[: self.size].with_columns(
            pl.Series("off", range(self.size), dtype=pl.Int64),
            pl.Series("ingest_ms", [START_MS + (off >= midnight) * _DAY_MS for off in range(self.size)]),
            pl.Series("disposition", [event.disposition for event in events]),
            pl.Series("occurred_ms", [event.minute * 60_000 for event in events], dtype=pl.Int64),
            pl.Series("bin", [event.bin for event in events], dtype=pl.Int8),
            pl.Series("confidence", [REFUSED if event.refused else 0 for event in events], dtype=pl.Int16),
            pl.Series("sealed", [b"sealed" if each else None for each in dead], dtype=pl.Binary),
        )

    def run(self, off: int, limit: int) -> tuple[int, int] | None:
        """The first run of consecutive offsets at or above `off` that a fetch brings (inclusive), if any."""
        there = [each for each in self.offsets if max(off, self.first) <= each < self.end][:limit]
        if not there:
            return None
        last = next((a for a, b in pairwise(there) if b != a + 1), there[-1])
        return there[0], last


def _event(chance: random.Random) -> Event:
    disposition = chance.choice(["aggregated"] * 7 + ["duplicate", "late", "dead_letter"])
    refused = disposition == "aggregated" and chance.random() < 0.05
    return Event(chance.randrange(6), chance.randrange(3), disposition, refused)


class Broker:
    """A group with generations, and committed offsets that only its present members may move."""

    def __init__(self, logs: Mapping[int, Log]) -> None:
        self.logs = logs
        self.generation = 0
        self.members: dict[str, set[int]] = {}
        self.committed = dict.fromkeys(logs, 0)

    def rebalance(self, members: Iterable[str], chance: random.Random) -> None:
        """A new generation: every partition goes to exactly one of the members."""
        self.generation += 1
        self.members = {name: set() for name in members}
        for part in self.logs:
            if self.members:
                self.members[chance.choice(sorted(self.members))].add(part)

    def commit(self, name: str, generation: int, offsets: Mapping[int, int]) -> None:
        """Takes the offsets of a present member; says nothing to others, as far as we care."""
        if generation == self.generation and name in self.members:
            self.committed.update({part: off for part, off in offsets.items() if part in self.members[name]})


@dataclass
class Sink:
    """Tables in which an insert lands whole or not at all; `delta` makes windows add up instead of being replaced."""

    delta: bool = False
    beyond: Callable[[int, Iterable[tuple[int, int]]], int] = beyond
    up: bool = True
    ledger: dict[tuple[int, int], Row] = field(default_factory=dict)
    gaps: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    windows: dict[Key, tuple[Version, int]] = field(default_factory=dict)
    progress: dict[int, tuple[Version, int]] = field(default_factory=dict)
    published: set[tuple[int, int]] = field(default_factory=set)
    tokens: dict[str, OrderedDict[str, None]] = field(default_factory=dict)

    def land(self, call: Call) -> None:
        """Stores the rows of a call; raises RefusedRows when one of them can never be stored."""
        if call.table == "ledger" and (call.rows["confidence"] == REFUSED).any():
            raise RefusedRows("confidence out of range")
        seen = self.tokens.setdefault(call.table, OrderedDict())
        if call.token and call.token in seen:
            return
        if call.token:
            seen[call.token] = None
            if len(seen) > _TOKENS:
                seen.popitem(last=False)
        store = getattr(self, f"_store_{call.table}", None)
        if store is not None:
            store(call.rows)

    def _store_ledger(self, rows: pl.DataFrame) -> None:
        columns = ("part", "off", "ver", "occurred_ms", "bin", "disposition", "reason")
        for part, off, ver, moment, bin_, disposition, reason in rows.select(columns).iter_rows():
            row = Row(ver, Event(moment // 60_000, bin_, disposition, reason == "refused_by_sink"))
            if (part, off) not in self.ledger or self.ledger[part, off].ver <= ver:
                self.ledger[part, off] = row

    def _store_rejected(self, rows: pl.DataFrame) -> None:
        self.published.update(rows.select("part", "off").iter_rows())

    def _store_gaps(self, gap: tuple[int, int, int, int]) -> None:
        part, lo, hi, ver = gap
        if (part, lo) not in self.gaps or self.gaps[part, lo][0] <= ver:
            self.gaps[part, lo] = (ver, hi)

    def _store_epochs(self, begun: tuple[int, int]) -> None:
        part, ver = begun
        self.epochs[part] = max(ver, self.epochs.get(part, 0))

    def _store_windows(self, upsert: tuple[Version, Counts]) -> None:
        version, counts = upsert
        for key, count in counts.items():
            there = self.windows.get(key)
            if self.delta:
                self.windows[key] = (version, count + (there[1] if there else 0))
            elif there is None or there[0] <= version:
                self.windows[key] = (version, count)

    def _store_progress(self, upsert: tuple[Version, int, int]) -> None:
        version, part, settled = upsert
        if part not in self.progress or self.progress[part][0] <= version:
            self.progress[part] = (version, settled)

    def position(self, part: int) -> int:
        """The newest row, and the gaps that join on to it."""
        position = max((off for p, off in self.ledger if p == part), default=-1)
        return self.beyond(position, [(lo, hi) for (p, lo), (_, hi) in sorted(self.gaps.items()) if p == part])

    def gone(self, part: int) -> list[int]:
        """Offsets in gaps. A gap found before what lies below it was stored may be found again, longer."""
        gaps = [(lo, hi) for (p, lo), (_, hi) in self.gaps.items() if p == part]
        return sorted({off for lo, hi in gaps for off in range(lo, hi + 1)})

    def fence(self, part: int) -> int:
        """The highest fence on anything of the partition."""
        found = [row.ver for (p, _), row in self.ledger.items() if p == part]
        found += [ver for (p, _), (ver, _) in self.gaps.items() if p == part]
        found += [version.ver for p, (version, _) in self.progress.items() if p == part]
        return max([*found, self.epochs.get(part, 0)])

    def recompute(self, part: int, up_to: int) -> Counts:
        """The partition's windows as the ledger has them up to an offset."""
        return counted((p, row.event) for (p, off), row in self.ledger.items() if p == part and off <= up_to)

    def stored(self, part: int) -> Counts:
        """The partition's windows as the table has them."""
        return {key: count for key, (_, count) in self.windows.items() if key[0] == part and count}


def counted(events: Iterable[tuple[int, Event]]) -> Counts:
    """Events of partitions, counted."""
    counts: Counts = {}
    for part, event in events:
        if event.disposition == "aggregated":
            key = (part, event.minute, event.bin)
            counts[key] = counts.get(key, 0) + 1
    return counts
