"""Which offsets the worker died on [I/O]: an event that stops three starts in a row is rejected.

Only stops that we made ourselves are counted: a kill from outside says nothing about the event. After two of them the
records that were in flight are taken in runs, one run at a time and nothing else beside it, so that the next stop
points at one of them; a run of one record that stops the worker again is the culprit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from pipeline.slices import Partition

#: Starts in a row that may die before the records in flight are taken run by run.
STARTS = 2
#: Runs of one start. A run takes as long as an insert waits for more (0.25 s), so a start spends 20 s at most on them;
#: 4,096 suspects are down to one after two such starts.
RUNS = 64


class Crashes:
    """A small file per worker folder: partition -> (stops in a row, first and last offset that may be at fault)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "crashes.json"
        self._known: dict[str, tuple[int, int, int]] = {}
        if self._path.is_file():
            self._known = {name: tuple(known) for name, known in orjson.loads(self._path.read_bytes()).items()}

    def note(self, flights: Mapping[Partition, tuple[int, int]]) -> None:
        """The process is about to end on something unexpected; these offsets (first, last) were in flight."""
        for partition, (first, last) in flights.items():
            times, lo, hi = self._known.get(_name(partition), (0, 0, -1))
            self._known[_name(partition)] = (times + 1 if lo <= first <= hi else 1, first, last)
        self._write()

    def run(self, partition: Partition, offset: int) -> int:
        """How many records from `offset` on are to be taken at once, alone; 0 when nothing is suspected there."""
        times, lo, hi = self._known.get(_name(partition), (0, 0, -1))
        return -(-(hi - lo + 1) // RUNS) if times >= STARTS and lo <= offset <= hi else 0

    def fatal(self, partition: Partition, offset: int) -> bool:
        """Whether this offset stopped the worker even when taken alone; it must be rejected."""
        times, lo, hi = self._known.get(_name(partition), (0, 0, -1))
        return times > STARTS and lo == hi == offset

    def passed(self, partition: Partition, position: int) -> None:
        """The ledger went beyond everything that was suspected."""
        known = self._known.get(_name(partition))
        if known is not None and position >= known[2]:
            del self._known[_name(partition)]
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self._known))
        fresh.replace(self._path)


def _name(partition: Partition) -> str:
    return f"{partition.topic}:{partition.part}"
