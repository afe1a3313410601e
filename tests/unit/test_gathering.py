"""Slices that wait for each other before a step writes them: not where nothing more is to come, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import polars as pl
import pytest

from pipeline.gathering import Gathering, Patience
from pipeline.slices import Partition, Slice

ZERO, ONE = Partition("feedback", 0), Partition("feedback", 1)
PATIENCE = Patience(within_s=0.25, slices=4, rows=100, behind=50_000, behind_s=1.0)


def piece(lo: int, behind: int = 0, rows: int = 1, where: Partition = ZERO) -> Slice:
    """A slice of some rows with as many records behind it."""
    return Slice(
        where, 1, 1, 1, 1, lo=lo, hi=lo, rows=pl.DataFrame({"off": [lo] * rows}), clock_ms=0, log_end=lo + 1 + behind
    )


class Turned:
    """A gathering, the clock that a test turns, and whether more is on its way."""

    def __init__(self, patience: Patience = PATIENCE, more: bool = True) -> None:
        self.now, self.more = 100.0, more
        self.gathering = Gathering(patience, lambda _: not self.more, lambda: self.now)

    def due(self, *pieces: Slice, after: float = 0.0) -> bool:
        for one in pieces:
            self.gathering.add(one)
        self.now += after
        return self.gathering.due()


def test_what_is_all_that_is_on_its_way_does_not_wait() -> None:
    assert Turned(more=False).due(piece(0))
    assert not Turned(more=True).due(piece(0))


def test_where_more_is_to_come_a_slice_waits_a_quarter_of_a_second_and_no_longer() -> None:
    turned = Turned()
    assert not turned.due(piece(0), after=0.2)
    assert not turned.due(piece(1), after=0.04)
    assert turned.due(after=0.01), "the oldest has waited long enough"


def test_far_behind_slices_go_together_after_a_second() -> None:
    turned = Turned()
    assert not turned.due(piece(0, 900_000), after=0.9)
    assert turned.due(piece(1, 890_000), after=0.1)


def test_far_behind_what_is_there_already_is_not_taken_for_all_there_is() -> None:
    turned = Turned(more=False)
    assert not turned.due(piece(0, 900_000), after=0.9)
    assert turned.due(after=0.1)


def test_what_was_held_back_goes_with_the_first_slice_that_has_caught_up() -> None:
    turned = Turned()
    assert not turned.due(piece(0, 900_000), after=0.5)
    assert turned.due(piece(1, 3))


@pytest.mark.parametrize("pieces", [[piece(lo) for lo in range(4)], [piece(0, rows=60), piece(1, rows=40)]])
def test_no_more_slices_or_rows_wait_than_the_memory_is_meant_for(pieces: Sequence[Slice]) -> None:
    turned = Turned()
    assert not turned.due(*pieces[:-1])
    assert turned.due(pieces[-1])


async def stream_of(*pieces: Slice, then: Exception | None = None) -> AsyncIterator[Slice]:
    for one in pieces:
        yield one
    if then is not None:
        raise then


async def batches(turned: Turned, stream: AsyncIterator[Slice]) -> list[list[int]]:
    found = []
    async for batch in turned.gathering.batches(stream):
        found.append([one.lo for one in batch])
        turned.now += 1.0
    return found


async def test_every_slice_is_in_one_batch_and_in_order() -> None:
    assert await batches(Turned(), stream_of(*map(piece, range(10)))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_small_batches_begin_no_closer_to_each_other_than_slices_wait() -> None:
    turned = Turned(more=False)
    taking = turned.gathering.batches(_endless())
    assert [one.lo for one in await anext(taking)] == [0]
    waiting = asyncio.ensure_future(anext(taking))
    for _ in range(3):
        turned.gathering.add(piece(7))
        await asyncio.wait({waiting}, timeout=0.03)
        assert not waiting.done()
        turned.now += 0.08
    turned.now += 0.02
    assert [one.lo for one in await waiting] == [7, 7, 7]
    await taking.aclose()


async def _endless() -> AsyncIterator[Slice]:
    yield piece(0)
    await asyncio.Event().wait()


async def test_slices_are_collected_while_a_batch_is_in_work_but_not_without_end() -> None:
    turned, given = Turned(), 0

    async def source() -> AsyncIterator[Slice]:
        nonlocal given
        while True:
            yield piece(given)
            given += 1

    taking = turned.gathering.batches(source())
    assert len(await anext(taking)) == 4
    for _ in range(20):
        await asyncio.sleep(0)
    assert given == 7, "four are out, four wait, and the source stands still behind the last of them"
    await taking.aclose()


async def test_an_error_of_the_stream_comes_out_behind_what_came_before_it() -> None:
    turned = Turned()
    taking = turned.gathering.batches(stream_of(piece(0), then=ValueError("torn")))
    assert [one.lo for one in await anext(taking)] == [0]
    with pytest.raises(ValueError, match="torn"):
        await anext(taking)
