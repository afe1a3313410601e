"""The newest rows of several partitions together: which they are, in which order, and what is read for them."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from pipeline.arrival.newest import Columns, Newest

#: (offset, ingest time) of each row of a partition, in order of offset.
Rows = list[tuple[int, int]]


class Tables:
    """Partitions that are asked page by page."""

    def __init__(self, *partitions: Rows) -> None:
        self.partitions = partitions
        self.asked: list[tuple[int, int, int]] = []

    def ask(self, number: int, low: int, below: int, limit: int) -> Columns:
        self.asked.append((number, low, below))
        rows = [row for row in reversed(self.partitions[number]) if low <= row[0] < below][:limit]
        table = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return {"off": table[:, 0], "ingest_ms": table[:, 1]}

    def newest(self, wanted: int) -> Newest:
        return Newest([rows[-1][0] + 1 if rows else 0 for rows in self.partitions], wanted, self.ask)


def read(newest: Newest, wanted: int) -> list[tuple[int, int, int]]:
    """(partition, offset, time) of the first `wanted` rows."""
    rows = (
        row
        for which, columns in newest.batches()
        for row in zip(which.tolist(), columns["off"].tolist(), columns["ingest_ms"].tolist(), strict=True)
    )
    return list(islice(rows, wanted))


def drawn(seed: int) -> list[Rows]:
    """Partitions of very different sizes, with holes in their offsets and times that are often equal."""
    chance = np.random.default_rng(seed)
    partitions = []
    for size in (0, 1, 40, 9_000, 23_000):
        offsets = np.cumsum(chance.choice([1, 1, 1, 2, 700], size=size)) + int(chance.integers(3))
        times = np.sort(chance.integers(1_000_000, size=size))
        partitions.append(list(zip(offsets.tolist(), times.tolist(), strict=True)))
    return partitions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wanted", [1, 5_000, 20_000, 100_000])
def test_the_rows_are_the_newest_of_all_partitions_in_order_of_time(seed: int, wanted: int) -> None:
    partitions = drawn(seed)
    found = read(Tables(*partitions).newest(wanted), wanted)
    times = sorted((time for rows in partitions for _, time in rows), reverse=True)
    assert [time for *_, time in found] == times[:wanted]
    for number, rows in enumerate(partitions):
        mine = [(off, time) for which, off, time in found if which == number]
        assert mine == rows[::-1][: len(mine)], "the newest of each partition, none left out"


def test_a_busy_partition_gets_all_the_room_that_quiet_ones_leave() -> None:
    quiet: Rows = [(0, 1)]
    busy = [(off, 10 + off) for off in range(30_000)]
    found = read(Tables(quiet, busy, [], quiet).newest(20_000), 20_000)
    assert {which for which, *_ in found} == {1}


def test_little_more_is_read_than_is_taken_and_a_desert_is_crossed_in_strides() -> None:
    long = [(off, off) for off in range(500_000)]
    sparse = [(7, 1), (4_000_000, 2_000_000)]
    tables = Tables(long, sparse)
    assert len(read(tables.newest(10_000), 10_000)) == 10_000
    assert sum(below - low for number, low, below in tables.asked if number == 0) <= 20_000
    assert sum(number == 1 for number, *_ in tables.asked) < 8


def test_a_partition_that_was_read_to_its_end_has_nothing_left() -> None:
    tables = Tables([(off, off) for off in range(12_000)], [(0, 11_999), (1, 12_000)])
    newest = tables.newest(5_000)
    next(newest.batches())
    assert newest.left() == {0}
    newest = tables.newest(5_000)
    assert len(read(newest, 20_000)) == 12_002
    assert newest.left() == set()


def test_a_clock_that_was_set_back_hides_no_newer_row() -> None:
    back = [(off, 50_000 + off if off < 6_000 else off) for off in range(12_000)]
    found = read(Tables(back, [(off, 20_000) for off in range(10)]).newest(5_000), 30_000)
    assert [off for which, off, _ in found if which == 0] == list(range(11_999, -1, -1))
