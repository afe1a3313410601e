"""Who has been here before, in memory, in the ledger's answer and in the same slice."""

from __future__ import annotations

import numpy as np

from pipeline.arrival.identities import Firsts, IdMemory, Ids, doubles, looked_up
from pipeline.arrival.recall import kept_of
from pipeline.arrival.revisions import Standing
from pipeline.slices import Partition

PARTITION = Partition("feedback", 0)
NEVER = np.iinfo(np.int64).max


def firsts(*rows: tuple[int, int, int]) -> Firsts:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Firsts(table[:, 0].astype(np.uint64), table[:, 1], table[:, 2].astype(np.uint64))


def kept(ids: Firsts, *times_ms: int) -> list[Ids]:
    return kept_of(PARTITION, ids, Standing(), np.array(times_ms)).ids


def test_a_repeat_within_a_slice_is_a_duplicate_of_the_first() -> None:
    events = firsts((7, 1, 100), (8, 2, 200), (7, 3, 100), (7, 4, 101))
    found = doubles(events, firsts((7, NEVER, 0), (8, NEVER, 0), (7, NEVER, 0), (7, NEVER, 0)))
    assert found.duplicate.tolist() == [False, False, True, True]
    assert found.conflict.tolist() == [False, False, False, True]
    assert found.new.tolist() == [True, True, False, False]


def test_repeats_of_a_remembered_event_are_compared_with_the_remembered_one() -> None:
    events = firsts((7, 11, 101), (7, 12, 100))
    found = doubles(events, firsts((7, 3, 100), (7, 3, 100)))
    assert found.duplicate.tolist() == [True, True]
    assert found.conflict.tolist() == [True, False]


def test_a_hit_at_ones_own_or_a_greater_offset_does_not_count() -> None:
    events = firsts((7, 5, 100), (8, 6, 100))
    found = doubles(events, firsts((7, 5, 100), (8, 9, 100)))
    assert not found.duplicate.any()


def test_the_memory_gives_back_first_offsets() -> None:
    memory = IdMemory(100)
    memory.restore({PARTITION: True}, kept(firsts((7, 1, 100), (8, 2, 2**40 + 5)), 5_000, 6_999))
    places = memory.find(PARTITION, np.array([8, 9], dtype=np.uint64))
    assert memory.offsets(places).tolist() == [2, NEVER]
    assert memory.payloads(places)[0] == 5
    assert memory.since_ms() == 5_000
    assert memory.held(PARTITION) == 2
    assert memory.whole(PARTITION)


def test_restoring_replaces_what_was_known() -> None:
    memory = IdMemory(100)
    memory.restore({PARTITION: True}, kept(firsts((7, 1, 100)), 5_000))
    memory.restore({PARTITION: False}, kept(firsts((8, 2, 100)), 5_000))
    assert (memory.find(PARTITION, np.array([7, 8], dtype=np.uint64)) >= 0).tolist() == [False, True]
    assert not memory.whole(PARTITION)


def test_of_what_was_restored_the_oldest_leaves_first_whichever_partition_came_last() -> None:
    memory, other = IdMemory(4), Partition("feedback", 1)
    memory.restore({PARTITION: True}, kept(firsts((1, 1, 0), (2, 2, 0)), 10_000, 30_000))
    memory.restore({other: True}, kept(firsts((3, 1, 0), (4, 2, 0)), 20_000, 40_000))
    assert memory.since_ms() == 10_000
    for hash_, partition in ((5, other), (6, PARTITION)):
        memory.remember(partition, firsts((hash_, 9, 0)), np.array([50_000]))
        assert memory.remembered == 4
    assert (memory.find(PARTITION, np.arange(7, dtype=np.uint64)) >= 0).nonzero()[0].tolist() == [2, 6]
    assert (memory.find(other, np.arange(7, dtype=np.uint64)) >= 0).nonzero()[0].tolist() == [4, 5]


def test_the_ledgers_answer_is_looked_up_by_hash_and_smallest_offset() -> None:
    told = looked_up(np.array([5, 7], dtype=np.uint64), firsts((7, 4, 1), (7, 3, 2), (9, 1, 3)))
    assert told.offsets.tolist() == [NEVER, 3]
    assert told.payloads.tolist() == [0, 2]


def test_an_empty_memory_covers_no_time() -> None:
    assert IdMemory(10).since_ms() == 0
