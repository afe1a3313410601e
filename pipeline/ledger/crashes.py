"""Which offsets the worker died on [I/O]: an event that stops three starts in a row is taken alone, then rejected.

Only stops that we made ourselves are counted: a kill from outside says nothing about the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from pipeline.slices import Partition

#: Starts in a row that may die at the same position before its records are taken one at a time.
STARTS = 2


class Crashes:
    """A small file per worker folder: partition -> (position, how often, the one record being tried)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "crashes.json"
        self._known: dict[str, list[int]] = {}
        if self._path.is_file():
            self._known = orjson.loads(self._path.read_bytes())

    def note(self, positions: Mapping[Partition, int]) -> None:
        """The process is about to end on something unexpected, with these positions in the ledger."""
        for partition, position in positions.items():
            before, times, trying = self._known.get(_name(partition), [position, 0, -1])
            self._known[_name(partition)] = [position, times + 1 if before == position else 1, trying]
        self._write()

    def alone(self, partition: Partition, position: int) -> bool:
        """Whether the next records of the partition are to be taken one at a time."""
        known = self._known.get(_name(partition))
        return known is not None and known[0] == position and known[1] >= STARTS

    def trying(self, partition: Partition, offset: int) -> None:
        """The one record that is about to be tried alone."""
        known = self._known.get(_name(partition))
        if known is not None and known[2] != offset:
            known[2] = offset
            self._write()

    def fatal(self, partition: Partition, position: int) -> int | None:
        """The offset that stopped the worker even when taken alone; it must be rejected."""
        known = self._known.get(_name(partition))
        if known is None or known[2] != position + 1 or known[1] <= STARTS:
            return None
        return known[2]

    def passed(self, partition: Partition, position: int) -> None:
        """The ledger went beyond where the worker had died."""
        known = self._known.get(_name(partition))
        if known is not None and position > known[0]:
            del self._known[_name(partition)]
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self._known))
        fresh.replace(self._path)


def _name(partition: Partition) -> str:
    return f"{partition.topic}:{partition.part}"
