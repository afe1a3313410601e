"""The ring: finds, evicts, forgets and packs."""

from __future__ import annotations

import numpy as np

from pipeline.arrival.fingerprints import Hashes
from pipeline.arrival.ring import HashRing
from pipeline.slices import Partition

ONE, TWO = Partition("feedback", 1), Partition("feedback", 2)


def hashes(start: int, end: int) -> Hashes:
    return np.arange(start, end, dtype=np.uint64)


def filled(capacity: int, partition: Partition, start: int, end: int) -> HashRing:
    ring = HashRing(capacity, {"value": np.int64})
    ring.enrol(partition, whole=True)
    ring.add(partition, hashes(start, end), value=np.arange(start, end))
    return ring


def test_what_was_added_is_found_with_its_values() -> None:
    ring = filled(100_000, ONE, 0, 30_000)
    places = ring.find(ONE, hashes(0, 30_000))
    assert ring.columns["value"][places].tolist() == list(range(30_000))
    assert (ring.find(ONE, hashes(30_000, 60_000)) == -1).all()


def test_the_same_hash_in_another_partition_is_not_found() -> None:
    ring = filled(100, ONE, 0, 10)
    assert (ring.find(TWO, hashes(0, 10)) == -1).all()
    ring.add(TWO, hashes(0, 5), value=np.arange(5))
    assert (ring.find(TWO, hashes(0, 10)) >= 0).sum() == 5
    assert (ring.find(ONE, hashes(0, 10)) >= 0).all()


def test_the_oldest_make_room_and_the_partition_is_no_longer_whole() -> None:
    ring = filled(10, ONE, 0, 10)
    assert ring.whole(ONE)
    ring.add(TWO, hashes(50, 53), value=np.arange(3))
    assert not ring.whole(ONE)
    assert (ring.find(ONE, hashes(0, 10)) >= 0).tolist() == [False] * 3 + [True] * 7
    assert (ring.held(ONE), ring.held(TWO)) == (7, 3)


def test_more_than_fits_leaves_the_newest() -> None:
    ring = filled(10, ONE, 0, 25)
    assert (ring.find(ONE, hashes(0, 25)) >= 0).tolist() == [False] * 15 + [True] * 10
    assert not ring.whole(ONE)


def test_forgotten_partitions_leave_room_for_the_others() -> None:
    ring = filled(100, ONE, 0, 60)
    ring.add(TWO, hashes(0, 40), value=np.arange(40))
    ring.forget([ONE])
    assert (ring.held(ONE), ring.held(TWO)) == (0, 40)
    assert (ring.find(ONE, hashes(0, 60)) == -1).all()
    ring.add(TWO, hashes(100, 160), value=np.arange(60))
    assert (ring.find(TWO, hashes(0, 40)) >= 0).all()


def test_a_forgotten_partition_that_comes_back_knows_nothing_of_before() -> None:
    ring = filled(1_000, ONE, 0, 10)
    ring.add(TWO, hashes(0, 900), value=np.arange(900))
    ring.forget([ONE])
    ring.add(ONE, hashes(5, 7), value=np.arange(2))
    assert (ring.find(ONE, hashes(0, 10)) >= 0).sum() == 2


def test_hashes_of_several_partitions_leave_in_the_order_of_a_column_wherever_they_lie() -> None:
    ring = filled(20, ONE, 0, 10)  # values 0..9
    mixed = np.array([1, 0, 1, 0], dtype=np.uint16)
    ring.add_mixed((ONE, TWO), mixed, hashes(20, 24), value=np.array([-4, 3, -2, 12]))
    assert (ring.held(ONE), ring.held(TWO), ring.room) == (12, 2, 6)
    ring.pack("value")
    assert ring.columns["value"][:14].tolist() == [-4, -2, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 12]
    assert (ring.find(ONE, hashes(0, 24)) >= 0).sum() == 12
    assert (ring.find(TWO, hashes(0, 24)) >= 0).nonzero()[0].tolist() == [20, 22]
    ring.add(ONE, hashes(30, 39), value=np.arange(30, 39))  # three more than there is room for
    assert (ring.held(TWO), ring.whole(ONE), ring.dropped) == (0, False, 3)
    assert ring.find(ONE, hashes(0, 2)).tolist() == [-1, 3]


def test_packing_gives_the_room_of_forgotten_ones_back() -> None:
    ring = filled(100, ONE, 0, 15)
    ring.add(TWO, hashes(0, 80), value=np.arange(80))
    ring.forget([ONE])
    ring.pack()
    assert (ring.room, ring.partitions) == (20, {TWO})
    ring.add(ONE, hashes(100, 120), value=np.arange(20))
    assert (ring.held(TWO), ring.dropped) == (80, 0)


def test_two_million_ids_take_less_than_eighty_megabytes() -> None:
    ring = HashRing(2_000_000, {"offset": np.int64, "payload": np.uint32, "second": np.uint32})
    assert ring.bytes < 80_000_000


def test_what_made_room_is_counted_and_what_was_forgotten_is_not() -> None:
    ring = filled(1_000, ONE, 0, 1_000)
    assert (ring.entries, ring.dropped) == (1_000, 0)
    ring.add(ONE, hashes(1_000, 1_100), value=np.arange(100))
    assert (ring.entries, ring.dropped) == (1_000, 100)
    ring.add(TWO, hashes(0, 2_500), value=np.arange(2_500))
    assert (ring.entries, ring.dropped) == (1_000, 2_600)
    ring.forget([TWO])
    ring.add(ONE, hashes(5_000, 5_500), value=np.arange(500))
    assert (ring.entries, ring.dropped) == (500, 2_600)
