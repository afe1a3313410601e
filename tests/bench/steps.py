"""What each step costs: its pure functions on slices of 5,000 events in this process, CPU time in us an event.

CPU time of the whole process, polars' threads included, so other programs on the machine disturb little.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import polars as pl

from agents.label import with_labels
from pipeline.arrival.accept import Arrival, Memory
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import coded, without_defaults
from pipeline.customers.enrich import Knowledge, Origin, enrich
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.sealing import Sealer
from pipeline.customers.watcher import read_registry
from pipeline.ledger import retractions
from pipeline.ledger.writer import ledger_blocks, ledger_rows, side_blocks, token_of
from pipeline.scores.windows import Hot, contributions, fold, rows_of
from pipeline.slices import Partition, Record, Slice
from pipeline.stack.launch import Stack
from tests.bench import load
from tests.bench.figures import Figure, Report

#: Events of a slice: what a fetch brings under load.
SLICE = 5_000
#: Slices of one insert and one fold.
_TOGETHER = 4
_RULES = ArrivalRules()
_KEY = bytes(range(32))


class Clock:
    """CPU time spent by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """Runs `work` and adds its CPU time."""
        began = time.process_time()
        result = work()
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began
        return result


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `steps`."""
    slices = 12 if quick else 60
    clock = costs(slices, SLICE)
    total = 0.0
    for name, seconds in clock.spent.items():
        each = seconds / (slices * SLICE) * 1e6
        total += each
        report.add(Figure(f"cost_{name.replace(' ', '_')}", each, "us/event", cpu=each))
    report.add(Figure("cost_all", total, "us/event", cpu=total, target="8-11", about="texts aside"))


def costs(slices: int, size: int) -> Clock:
    """CPU time of each step over so many slices of so many events; the first slices warm up and do not count."""
    flow, warm = Flow(), 2 * _TOGETHER
    plan = load.Plan((slices + warm) * size, load.now_ms())
    values = [value for each in load.events(plan) for value in each.values]
    for number in range(0, slices + warm, _TOGETHER):
        if number == warm:
            flow.clock.spent.clear()
        flow.through([_records(values, first, size) for first in range(number, number + _TOGETHER)])
    return flow.clock


def _records(values: Sequence[bytes], number: int, size: int) -> list[Record]:
    first, now = number * size, load.now_ms()
    return [
        Record(offset, now, b"", value, ()) for offset, value in enumerate(values[first : first + size], start=first)
    ]


class Flow:
    """All steps, without Faust, Kafka and ClickHouse."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._partition = Partition("feedback", 0)
        self._arrival = Arrival(self._partition, Memory.within(_RULES))
        self._knowledge = Knowledge(Pseudonyms(1, _KEY), Profiles(), read_registry(), Sealer(1, bytes(reversed(_KEY))))
        self._hot = Hot(1_000_000)
        self._hot.begin(0, 0)

    def through(self, batch: Sequence[list[Record]]) -> None:
        """Some slices through the whole flow: steps one by one, the insert and the fold together."""
        pieces = [self._slice(records) for records in batch]
        blocks = self.clock.timed("record", lambda: _blocks(pieces))
        self.clock.timed(
            "record_arrow", lambda: [_arrow(coded(table, without_defaults(table, rows))) for table, rows in blocks]
        )
        changed = self.clock.timed("score", lambda: self._folded(pieces))
        self.clock.timed("score_arrow", lambda: _arrow(coded("windows", changed)))

    def _slice(self, records: list[Record]) -> Slice:
        reading = self.clock.timed("accept_read", lambda: self._arrival.read(records, _RULES))
        accepted = self.clock.timed("accept_settle", lambda: self._arrival.settle(reading, _RULES))
        rows = self.clock.timed("enrich", lambda: enrich(accepted.rows, Origin("feedback", 1, 0), self._knowledge))
        piece = Slice(self._partition, 1, 1, 1, 1, records[0].offset, records[-1].offset, rows)
        labelled: Slice = self.clock.timed("label", lambda: _labelled(piece))
        rows = self.clock.timed("record", lambda: retractions.retract(labelled.rows, []))
        return labelled.with_rows(rows)

    def _folded(self, pieces: Sequence[Slice]) -> pl.DataFrame:
        rows = pl.concat(piece.rows.with_columns(pl.lit(0, pl.UInt16).alias("part")) for piece in pieces)
        found = contributions(rows)
        self._hot.cold(found)
        return rows_of(self._hot.names, self._hot.add(fold(found, self._hot.names)))


def _labelled(piece: Slice) -> Slice:
    """Without a text the agent's function waits for nobody: its first step is its last."""
    try:
        with_labels(cast(Any, None), piece).send(None)
    except StopIteration as done:
        labelled: Slice = done.value
        return labelled
    raise RuntimeError("label waited for something")


def _blocks(pieces: Sequence[Slice]) -> list[tuple[str, pl.DataFrame]]:
    rows, token = ledger_rows(pieces), token_of(pieces)
    return [(block.table, block.rows) for block in (*side_blocks(rows, token), *ledger_blocks(rows, token))]


def _arrow(rows: pl.DataFrame) -> int:
    body = io.BytesIO()
    rows.write_ipc_stream(body, compat_level=pl.CompatLevel.oldest())
    return len(body.getvalue())
