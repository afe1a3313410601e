"""Answers that are edited: which row replaces which, within one partition.

Of each answer the greatest revision seen is remembered and the offset of the row that counts now. The two differ when a
revision was too late to count: the row before it still stands, and it is that row which the next revision takes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeline.arrival.fingerprints import NO_HASHES, NO_INTS, Flags, Hashes, Ints
from pipeline.arrival.ring import Column, Numbers, Remembered
from pipeline.slices import Partition


class Standing(NamedTuple):
    """What stands of answers: greatest revision seen (-1: none) and the offset that counts now (-1: none)."""

    hashes: Hashes = NO_HASHES
    revisions: Ints = NO_INTS
    offsets: Ints = NO_INTS


class Answers(NamedTuple):
    """Rows with an answer's key in order of offset; `counts` is False for those that are late."""

    hashes: Hashes
    revisions: Ints
    offsets: Ints
    counts: Flags


class Replaced(NamedTuple):
    """Per row: a greater or equal revision came before; the offset of the row that it takes back, or -1."""

    superseded: Flags
    old: Ints


class AnswerMemory(Remembered):
    """What stands of the newest `limit` answers of a worker; 34 bytes each, and its bucket."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, {"revision": np.int64, "offset": np.int64, "second": np.uint32})

    def restore(
        self, partitions: Mapping[Partition, bool], which: Numbers, standing: Standing, newest_ms: Ints
    ) -> None:
        """Begin partitions with what stands in the ledger of their newest answers, no more than there is `room` for.

        `partitions` says whether what is here of each is all that there is, `which` has the number of each answer's
        partition, `newest_ms` the ingest time of its newest row. In any order.
        """
        self.forget(partitions)
        alone = not self._ring.entries
        for partition, whole in partitions.items():
            self._ring.enrol(partition, whole=whole)
        order = np.argsort(newest_ms, kind="stable")
        columns: dict[str, Column] = {
            "revision": standing.revisions[order],
            "offset": standing.offsets[order],
            "second": (newest_ms[order] // 1000).astype(np.uint32),
        }
        self._ring.add_mixed(tuple(partitions), which[order], standing.hashes[order], **columns)
        if not alone:
            self._ring.pack("second")

    def find(self, partition: Partition, hashes: Hashes) -> Standing:
        """What stands of each answer, row for row; revision -1 where it is not remembered."""
        places = self._ring.find(partition, hashes)
        columns = self._ring.columns
        known = places >= 0
        revisions = np.where(known, columns["revision"][places], -1)
        return Standing(hashes, revisions, np.where(known, columns["offset"][places], -1))

    def learn(self, partition: Partition, standing: Standing, ingest_ms: int) -> None:
        """Remember what stands now, at this ingest time; each answer once."""
        places = self._ring.find(partition, standing.hashes)
        known = places >= 0
        self._ring.columns["revision"][places[known]] = standing.revisions[known]
        self._ring.columns["offset"][places[known]] = standing.offsets[known]
        new = ~known
        columns = {"revision": standing.revisions[new], "offset": standing.offsets[new]}
        second = np.full(int(new.sum()), ingest_ms // 1000, dtype=np.uint32)
        self._ring.add(partition, standing.hashes[new], **columns, second=second)


def replaced(answers: Answers, before: Standing) -> tuple[Replaced, Standing]:
    """Judge the rows; `before` has, row for row, what stood of the answer. Also what stands after them, once each."""
    if not len(answers.hashes):
        return Replaced(np.zeros(0, dtype=bool), NO_INTS), Standing()
    order = np.argsort(answers.hashes, kind="stable")
    hashes, revisions, counts = answers.hashes[order], answers.revisions[order], answers.counts[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = hashes[1:] != hashes[:-1]
    group = np.cumsum(starts) - 1
    heads = np.flatnonzero(starts)
    greatest = before.revisions[order]
    if len(heads) < len(order):
        greatest = _greatest_before(revisions, greatest[heads], group, heads)
    superseded = revisions <= greatest
    takes = counts & ~superseded
    standing = before.offsets[order][heads]
    old, stands = _last_before(np.where(takes, answers.offsets[order], -1), takes, standing, heads, group)
    ends = np.append(heads[1:], len(order)) - 1
    after = Standing(hashes[heads], np.maximum(greatest, revisions)[ends], stands)
    result = Replaced(np.empty(len(order), dtype=bool), np.empty(len(order), dtype=np.int64))
    result.superseded[order] = superseded
    result.old[order] = np.where(takes, old, -1)
    return result, after


def looked_up(hashes: Hashes, standing: Standing) -> Standing:
    """What stands of each of these answers in `standing`, row for row; revision -1 where there is nothing."""
    revisions = np.full(len(hashes), -1, dtype=np.int64)
    offsets = revisions.copy()
    if len(standing.hashes):
        order = np.argsort(standing.hashes)
        ordered = standing.hashes[order]
        at = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
        known = ordered[at] == hashes
        revisions[known], offsets[known] = standing.revisions[order][at[known]], standing.offsets[order][at[known]]
    return Standing(hashes, revisions, offsets)


def _greatest_before(revisions: Ints, first: Ints, group: Ints, heads: Ints) -> Ints:
    """Per row, the greatest revision of its group in the rows before it and in `first`, the group's start value.

    Revisions are made small (their rank), so that one running maximum serves all groups: each starts above the last.
    """
    values, ranks = np.unique(np.concatenate((first, revisions)), return_inverse=True)
    width = len(values)
    initial, own = ranks[: len(first)], ranks[len(first) :]
    shifted = np.empty(len(own), dtype=np.int64)
    shifted[1:] = own[:-1] + group[1:] * width
    shifted[heads] = initial + group[heads] * width
    # The row before a head belongs to another group; what stood before a group is at least as old as any row of it.
    running = np.maximum.accumulate(shifted)
    greatest: Ints = values[running - group * width]
    return greatest


def _last_before(offsets: Ints, takes: Flags, standing: Ints, heads: Ints, group: Ints) -> tuple[Ints, Ints]:
    """Per row, the offset of the last row of its group before it that takes, else the group's `standing`; and the
    same at the end of each group."""
    at = np.where(takes, np.arange(len(takes)), -1)
    last = np.maximum.accumulate(at)
    before = np.empty_like(last)
    before[0], before[1:] = -1, last[:-1]
    old = np.where(before >= heads[group], offsets[before], standing[group])
    ends = np.append(heads[1:], len(takes)) - 1
    final = last[ends]
    return old, np.where(final >= heads, offsets[final], standing)
