"""Who has been here before: event ids of the newest events of a worker, by partition.

A hit counts only when the remembered offset is smaller than one's own, else a slice that is taken again would be a
duplicate of itself. Dead letters are never remembered, so they are never the first of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.arrival.fingerprints import NO_HASHES, NO_INTS, Flags, Hashes, Ints
from pipeline.arrival.ring import Column, Numbers, Remembered
from pipeline.slices import Partition

#: The other way round.
_TURNED = slice(None, None, -1)


class Firsts(NamedTuple):
    """First offsets of event ids, one row each, in any order: from the ledger, dead letters and duplicates left out."""

    hashes: Hashes = NO_HASHES
    offsets: Ints = NO_INTS
    payloads: Hashes = NO_HASHES


class Ids(NamedTuple):
    """Event ids of several partitions as they are remembered; `which` has the number of each one's partition."""

    which: Numbers
    hashes: Hashes
    offsets: Ints
    payloads: npt.NDArray[np.uint32]
    seconds: npt.NDArray[np.uint32]

    def part(self, rows: slice) -> Ids:
        """Some of them."""
        return Ids(self.which[rows], self.hashes[rows], self.offsets[rows], self.payloads[rows], self.seconds[rows])


class Doubles(NamedTuple):
    """Per row: seen before, and if so with another payload. `new` rows are to be remembered."""

    duplicate: Flags
    conflict: Flags
    new: Flags


class IdMemory(Remembered):
    """Event ids of all partitions of one worker: exact for the newest `limit` of them.

    38 bytes an id and its bucket (77 MB for 2,000,000), 0.15 us an event. Of the payload's hash 32 bits are kept:
    they only tell `same_event` from `conflict`.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit, {"offset": np.int64, "payload": np.uint32, "second": np.uint32})

    def restore(self, partitions: Mapping[Partition, bool], ids: list[Ids]) -> None:
        """Begin partitions with the newest ids of the ledger, no more than there is `room` for, newest first.

        `partitions` says whether what is here of each is all that there is. `ids` is empty afterwards: what has been
        taken over is let go, or for a moment all of it would be here twice.
        """
        self.forget(partitions)
        alone = not self.remembered
        for partition, whole in partitions.items():
            self._ring.enrol(partition, whole=whole)
        names = tuple(partitions)
        while ids:
            some = ids.pop().part(_TURNED)
            columns: dict[str, Column] = {"offset": some.offsets, "payload": some.payloads, "second": some.seconds}
            self._ring.add_mixed(names, some.which, some.hashes, **columns)
        if not alone:
            self._ring.pack("second")  # else the next to leave would be those that were here before, not the oldest

    def remember(self, partition: Partition, firsts: Firsts, ingest_ms: Ints) -> None:
        """Add ids that `find` did not know, in order of offset."""
        seconds = (ingest_ms // 1000).astype(np.uint32)
        payloads = firsts.payloads.astype(np.uint32)
        self._ring.add(partition, firsts.hashes, offset=firsts.offsets, payload=payloads, second=seconds)

    def move(self, places: Ints, offsets: Ints, payloads: Hashes) -> None:
        """Let ids that are remembered at these places be first at other offsets."""
        self._ring.columns["offset"][places] = offsets
        self._ring.columns["payload"][places] = payloads.astype(np.uint32)

    def find(self, partition: Partition, hashes: Hashes) -> Ints:
        """The place of each id, -1 where it is not remembered."""
        return self._ring.find(partition, hashes)

    def offsets(self, places: Ints) -> Ints:
        """First offset of the id at each place; the greatest integer for place -1."""
        return np.where(places >= 0, self._ring.columns["offset"][places], np.iinfo(np.int64).max)

    def payloads(self, places: Ints) -> np.ndarray:
        """The lower 32 bits of the payload's hash at each place; anything for place -1."""
        return self._ring.columns["payload"][places]

    @property
    def remembered(self) -> int:
        """How many ids of all partitions are remembered."""
        return self._ring.entries

    @property
    def dropped(self) -> int:
        """How many ids made room for newer ones."""
        return self._ring.dropped

    def since_ms(self) -> int:
        """Ingest time of the oldest id remembered, in ms (to the second); 0 when there is none."""
        place = self._ring.oldest()
        return int(self._ring.columns["second"][place]) * 1000 if place >= 0 else 0


def doubles(events: Firsts, remembered: Firsts) -> Doubles:
    """Judge rows in order of offset; `remembered` has, row for row, the first offset known before (greatest: none)."""
    order = np.argsort(events.hashes, kind="stable")
    ordered = events.hashes[order]
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = ordered[1:] == ordered[:-1]
    duplicate = remembered.offsets < events.offsets
    payload = remembered.payloads
    conflict = duplicate & (events.payloads.astype(np.uint32) != payload.astype(np.uint32))
    if repeats.any():
        first = order[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))]
        rows, origin = order[repeats], first[repeats]
        other = events.payloads.astype(np.uint32)
        known = duplicate[origin]
        expected = np.where(known, payload[origin].astype(np.uint32), other[origin])
        duplicate[rows] = True
        conflict[rows] = other[rows] != expected
    return Doubles(duplicate, conflict, ~duplicate)


def looked_up(hashes: Hashes, firsts: Firsts) -> Firsts:
    """The first offset of each of these ids among `firsts`, row for row; the greatest integer where there is none."""
    offsets = np.full(len(hashes), np.iinfo(np.int64).max, dtype=np.int64)
    payloads = np.zeros(len(hashes), dtype=np.uint64)
    if len(firsts.hashes):
        order = np.lexsort((firsts.offsets, firsts.hashes))
        ordered = firsts.hashes[order]
        at = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
        known = ordered[at] == hashes
        offsets[known], payloads[known] = firsts.offsets[order][at[known]], firsts.payloads[order][at[known]]
    return Firsts(hashes, offsets, payloads)
