"""Answers that are edited: what replaces what, and what stands afterwards."""

from __future__ import annotations

import numpy as np

from pipeline.arrival.revisions import AnswerMemory, Answers, Standing, looked_up, replaced
from pipeline.slices import Partition

PARTITION = Partition("feedback", 0)


def standing(*rows: tuple[int, int, int]) -> Standing:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Standing(table[:, 0].astype(np.uint64), table[:, 1], table[:, 2])


def answers(*rows: tuple[int, int, int], late: tuple[int, ...] = ()) -> Answers:
    """Rows of (answer, revision, offset)."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    counts = ~np.isin(table[:, 2], late)
    return Answers(table[:, 0].astype(np.uint64), table[:, 1], table[:, 2], counts)


def nothing(rows: Answers) -> Standing:
    none = np.full(len(rows.hashes), -1, dtype=np.int64)
    return Standing(rows.hashes, none, none)


def after(found: Standing) -> dict[int, tuple[int, int]]:
    triples = zip(found.hashes.tolist(), found.revisions.tolist(), found.offsets.tolist(), strict=True)
    return {answer: (revision, offset) for answer, revision, offset in triples}


def test_a_higher_revision_takes_back_the_row_that_stands() -> None:
    rows = answers((1, 3, 10), (2, 0, 11))
    result, stands = replaced(rows, standing((1, 2, 4), (2, -1, -1)))
    assert result.old.tolist() == [4, -1]
    assert not result.superseded.any()
    assert after(stands) == {1: (3, 10), 2: (0, 11)}


def test_a_lower_or_equal_revision_that_comes_later_is_superseded() -> None:
    rows = answers((1, 2, 10), (2, 1, 11))
    result, stands = replaced(rows, standing((1, 2, 4), (2, 5, 6)))
    assert result.superseded.tolist() == [True, True]
    assert result.old.tolist() == [-1, -1]
    assert after(stands) == {1: (2, 4), 2: (5, 6)}


def test_revisions_of_one_answer_within_a_slice_chain() -> None:
    rows = answers((1, 0, 10), (2, 0, 11), (1, 1, 12), (1, 0, 13), (1, 2**62, 14), (2, 7, 15))
    result, stands = replaced(rows, nothing(rows))
    assert result.superseded.tolist() == [False, False, False, True, False, False]
    assert result.old.tolist() == [-1, -1, 10, -1, 12, 11]
    assert after(stands) == {1: (2**62, 14), 2: (7, 15)}


def test_a_late_row_counts_nowhere_so_the_next_one_takes_back_the_row_before_it() -> None:
    rows = answers((1, 0, 10), (1, 1, 11), (1, 2, 12), late=(11,))
    result, _ = replaced(rows, nothing(rows))
    assert result.old.tolist() == [-1, -1, 10]


def test_after_a_late_first_row_there_is_nothing_to_take_back() -> None:
    rows = answers((1, 0, 10), (1, 1, 11), late=(10,))
    result, stands = replaced(rows, nothing(rows))
    assert result.old.tolist() == [-1, -1]
    assert after(stands) == {1: (1, 11)}


def test_a_late_row_still_supersedes_lower_revisions() -> None:
    rows = answers((1, 5, 10), (1, 3, 11), late=(10,))
    result, stands = replaced(rows, nothing(rows))
    assert result.superseded.tolist() == [False, True]
    assert after(stands) == {1: (5, -1)}


def test_the_memory_updates_what_it_knows_and_adds_the_rest() -> None:
    memory = AnswerMemory(10)
    memory.restore({PARTITION: True}, np.zeros(1, dtype=np.uint16), standing((1, 0, 4)), np.array([5_000]))
    memory.learn(PARTITION, standing((1, 3, 9), (2, 0, 10)), 6_000)
    assert after(memory.find(PARTITION, np.array([1, 2, 3], dtype=np.uint64))) == {1: (3, 9), 2: (0, 10), 3: (-1, -1)}
    assert memory.held(PARTITION) == 2


def test_of_what_was_restored_the_answer_that_was_quiet_for_longest_leaves_first() -> None:
    memory, other = AnswerMemory(3), Partition("feedback", 1)
    which = np.array([1, 0, 1], dtype=np.uint16)
    memory.restore(
        {PARTITION: True, other: True}, which, standing((1, 0, 4), (2, 0, 5), (3, 0, 6)), np.array([9, 7, 8])
    )
    assert (memory.held(PARTITION), memory.held(other), memory.room) == (1, 2, 0)
    memory.learn(other, standing((4, 0, 10)), 6_000)
    assert (memory.whole(PARTITION), memory.whole(other)) == (False, True)


def test_the_ledgers_answer_is_looked_up_by_hash() -> None:
    told = looked_up(np.array([1, 2], dtype=np.uint64), standing((2, 4, 7)))
    assert after(told) == {1: (-1, -1), 2: (4, 7)}


def test_no_answers_are_no_trouble() -> None:
    result, stands = replaced(answers(), standing())
    assert len(result.old) == 0
    assert len(stands.hashes) == 0
