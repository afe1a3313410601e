"""A bounded memory of the newest hashes of many partitions, in numpy columns: found and added a slice at a time.

Entries lie in a ring in the order they were added. Each bucket's head names its newest entry and each entry the
next older one, so an entry that the ring has overwritten needs no removal: a walk ends when it gets too old.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrival.fingerprints import Hashes, Ints
from pipeline.slices import Partition

Column = npt.NDArray[Any]
#: Small numbers that stand for partitions.
Numbers = npt.NDArray[np.uint16]
NO_NUMBERS: Numbers = np.zeros(0, dtype=np.uint16)

#: The owner of entries that belong to no partition any more.
_NOBODY = 0xFFFF
#: Share of the ring that forgotten entries may hold before it is packed (150 ms for 2,000,000 entries).
_GARBAGE = 0.25
#: Entries added in one go: small enough that the columns of a step stay in the processor's cache (6 times faster).
_CHUNK = 10_000


class HashRing:
    """The newest `capacity` hashes of all partitions together, each with the values of `columns`.

    Memory: 14 bytes and the columns per entry, and 8 to 16 bytes for its bucket; pages not yet used cost nothing.
    """

    def __init__(self, capacity: int, columns: Mapping[str, npt.DTypeLike]) -> None:
        self.capacity = max(1, capacity)
        self._bits = max(4, (self.capacity - 1).bit_length())
        #: A secret odd factor spreads the hashes over the buckets, so that no producer can aim at one of them.
        self._factor = np.uint64(secrets.randbits(64) | 1)
        self._hash = np.zeros(self.capacity, dtype=np.uint64)
        self._owner = np.zeros(self.capacity, dtype=np.uint16)
        self._older = np.zeros(self.capacity, dtype=np.uint32)
        self._heads = np.zeros(1 << self._bits, dtype=np.int64)
        self.columns: dict[str, Column] = {
            name: np.zeros(self.capacity, dtype=dtype) for name, dtype in columns.items()
        }
        self._next = 0
        self._owners: dict[Partition, int] = {}
        self._held: dict[int, int] = {}
        self._whole: set[int] = set()
        self.dropped = 0

    def find(self, partition: Partition, hashes: Hashes) -> Ints:
        """The place of each hash in the columns, -1 where this partition has none such."""
        found = np.full(len(hashes), -1, dtype=np.int64)
        owner = self._owners.get(partition)
        if owner is None:
            return found
        oldest = max(0, self._next - self.capacity)
        at = self._heads[self._buckets(hashes)] - 1
        rows = np.flatnonzero(at >= oldest)
        at = at[rows]
        while rows.size:
            places = self._places(at)
            hit = (self._hash[places] == hashes[rows]) & (self._owner[places] == owner)
            found[rows[hit]] = places[hit]
            back = self._older[places].astype(np.int64)
            at = at - back
            on = ~hit & (back > 0) & (at >= oldest)
            rows, at = rows[on], at[on]
        return found

    def add(self, partition: Partition, hashes: Hashes, **columns: Column) -> None:
        """Remember these hashes, oldest first; none of them may be found already. The oldest entries make room."""
        owner = self._enrol(partition)
        if len(hashes) > self.capacity:
            self._whole.discard(owner)
            self.dropped += len(hashes) - self.capacity
            hashes = hashes[-self.capacity :]
            columns = {name: values[-self.capacity :] for name, values in columns.items()}
        self._add_all(np.full(len(hashes), owner, dtype=np.uint16), hashes, columns)

    def add_mixed(self, partitions: Sequence[Partition], which: Numbers, hashes: Hashes, **columns: Column) -> None:
        """The same for hashes of several partitions, oldest first over all: `which` has the number of each one's own.

        No more than there is room for.
        """
        owners = np.array([self._enrol(partition) for partition in partitions], dtype=np.uint16)
        self._add_all(owners[which], hashes, columns)

    @property
    def partitions(self) -> set[Partition]:
        """Those that were enrolled and not forgotten."""
        return set(self._owners)

    @property
    def room(self) -> int:
        """How many hashes can be added before one must leave, once the ring is packed."""
        return self.capacity - self.entries

    def pack(self, by: str = "") -> None:
        """Gives the room of forgotten entries back; with a column's name the others stand in its order afterwards,
        as if the least had been added first."""
        if by or self._held.get(_NOBODY):
            self._pack(by)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop all entries of these partitions; to be called once for all of them."""
        gone = [owner for owner in (self._owners.pop(each, None) for each in partitions) if owner is not None]
        if not gone:
            return
        live = min(self._next, self.capacity)
        mine = np.isin(self._owner[:live], np.array(gone, dtype=np.uint16))
        self._owner[:live][mine] = _NOBODY
        garbage = self._held.get(_NOBODY, 0) + sum(self._held.pop(owner, 0) for owner in gone)
        self._held[_NOBODY] = garbage
        self._whole.difference_update(gone)
        if garbage > _GARBAGE * self.capacity:
            self._pack()

    def held(self, partition: Partition) -> int:
        """How many entries of this partition are remembered."""
        return self._held.get(self._owners.get(partition, -1), 0)

    @property
    def entries(self) -> int:
        """How many entries of all partitions are remembered."""
        return sum(count for owner, count in self._held.items() if owner != _NOBODY)

    def whole(self, partition: Partition) -> bool:
        """True when nothing of this partition was ever left out or overwritten: what is not found was never there."""
        return self._owners.get(partition, -1) in self._whole

    def enrol(self, partition: Partition, *, whole: bool) -> None:
        """Begin a partition that has no entries yet; `whole` says that all there ever was will be added."""
        owner = self._enrol(partition)
        if whole:
            self._whole.add(owner)

    def oldest(self) -> int:
        """The place of the oldest entry that is remembered, -1 when there is none."""
        if self._next <= self.capacity:
            return 0 if self._next else -1
        return self._next % self.capacity

    @property
    def bytes(self) -> int:
        """What the columns take when the ring is full."""
        columns: list[Column] = [self._hash, self._owner, self._older, self._heads, *self.columns.values()]
        return sum(column.nbytes for column in columns)

    def _enrol(self, partition: Partition) -> int:
        owner = self._owners.get(partition)
        if owner is None:
            taken = set(self._owners.values())
            owner = next(number for number in range(_NOBODY) if number not in taken)
            self._owners[partition] = owner
        return owner

    def _add_all(self, owners: Numbers, hashes: Hashes, columns: Mapping[str, Column]) -> None:
        for start in range(0, len(hashes), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._add(owners[part], hashes[part], {name: values[part] for name, values in columns.items()})

    def _add(self, owners: Numbers, hashes: Hashes, columns: Mapping[str, Column]) -> None:
        count = len(hashes)
        numbers = np.arange(self._next, self._next + count, dtype=np.int64)
        places = numbers % self.capacity
        self._evict(places)
        self._next += count
        self._hash[places] = hashes
        self._owner[places] = owners
        for name, values in columns.items():
            self.columns[name][places] = values
        for owner, held in zip(*(each.tolist() for each in np.unique(owners, return_counts=True)), strict=True):
            self._held[owner] = self._held.get(owner, 0) + held
        self._link(hashes, numbers, places)

    def _buckets(self, hashes: Hashes) -> Hashes:
        buckets: Hashes = (hashes * self._factor) >> np.uint64(64 - self._bits)
        return buckets

    def _places(self, numbers: Ints) -> Ints:
        """`numbers % capacity` for living entries, without the division."""
        places = numbers - self._next // self.capacity * self.capacity
        places[places < 0] += self.capacity
        return places

    def _evict(self, places: Ints) -> None:
        """Take the entries at these places, if there are any, out of the counts."""
        full = places[places < self._next] if self._next < self.capacity else places
        if not full.size:
            return
        owners, counts = np.unique(self._owner[full], return_counts=True)
        for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
            self._held[owner] -= count
            self.dropped += 0 if owner == _NOBODY else count
            self._whole.discard(owner)

    def _link(self, hashes: Hashes, numbers: Ints, places: Ints) -> None:
        """Put each entry at the head of its bucket; of several in one bucket the oldest goes first, round by round."""
        buckets = self._buckets(hashes)
        left = np.arange(len(hashes))
        while left.size:
            mine, names = buckets[left], numbers[left] + 1
            before = self._heads[mine]
            self._heads[mine[::-1]] = names[::-1]
            first = self._heads[mine] == names
            back = names[first] - before[first]
            back[(before[first] == 0) | (back >= self.capacity)] = 0
            self._older[places[left[first]]] = back
            left = left[~first]

    def _pack(self, by: str = "") -> None:
        """Add the entries that still have an owner anew, oldest first, so that forgotten ones take no room."""
        numbers = np.arange(max(0, self._next - self.capacity), self._next, dtype=np.int64)
        places = self._places(numbers)
        places = places[self._owner[places] != _NOBODY]
        if by:
            places = places[np.argsort(self.columns[by][places], kind="stable")]
        count = len(places)
        # One column after the other: copies of all of them at once would weigh as much as the ring.
        columns: list[Column] = [self._hash, self._owner, *self.columns.values()]
        for column in columns:
            column[:count] = column[places]
        self._heads[:] = 0
        self._next = count
        self._held.pop(_NOBODY, None)
        for start in range(0, count, _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, count), dtype=np.int64)
            self._link(self._hash[numbers], numbers, numbers)


class Remembered:
    """What the memories of ids and of answers have in common: a ring whose partitions begin and are forgotten."""

    def __init__(self, limit: int, columns: Mapping[str, npt.DTypeLike]) -> None:
        self._ring = HashRing(limit, columns)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop what is known of partitions that are no longer ours, all in one call."""
        self._ring.forget(partitions)
        self._ring.pack()

    @property
    def partitions(self) -> set[Partition]:
        """Those that have begun."""
        return self._ring.partitions

    @property
    def room(self) -> int:
        """How many can be added before one must leave."""
        return self._ring.room

    def whole(self, partition: Partition) -> bool:
        """True while nothing of this partition was ever left out: then the ledger knows no more than we do."""
        return self._ring.whole(partition)

    def held(self, partition: Partition) -> int:
        """How many of this partition are remembered."""
        return self._ring.held(partition)
