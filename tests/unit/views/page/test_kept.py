"""Answers that are worked out once for many: one work for all who ask at once, nothing kept too long or too many."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Unavailable
from pipeline.views.page.kept import Kept


class Work:
    """Counts how often it was done; waits until it may end."""

    def __init__(self) -> None:
        self.done = 0
        self.may_end = asyncio.Event()
        self.wrong = False

    async def __call__(self) -> bytes:
        self.done += 1
        await self.may_end.wait()
        if self.wrong:
            raise Unavailable("away")
        return b"answer"


async def test_those_who_ask_at_once_get_one_answer_and_later_ones_too_for_a_while() -> None:
    now = [0.0]
    kept, work = Kept(lambda: now[0], seconds=30.0), Work()
    asked = [asyncio.ensure_future(kept.answer("q", work)) for _ in range(50)]
    await asyncio.sleep(0)
    work.may_end.set()
    assert set(await asyncio.gather(*asked)) == {b"answer"}
    now[0] = 29.0
    await kept.answer("q", work)
    assert work.done == 1
    now[0] = 31.0
    await kept.answer("q", work)
    assert work.done == 2


async def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    kept, work = Kept(lambda: 0.0), Work()
    first, second = (asyncio.ensure_future(kept.answer("q", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    assert await second == b"answer"
    assert work.done == 1


async def test_what_went_wrong_is_said_to_all_and_not_kept() -> None:
    kept, work = Kept(lambda: 0.0), Work()
    work.wrong = True
    work.may_end.set()
    found = await asyncio.gather(*(kept.answer("q", work) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 3
    work.wrong = False
    assert await kept.answer("q", work) == b"answer"


@pytest.mark.parametrize("most", [1, 5])
async def test_so_many_are_held_and_no_more(most: int) -> None:
    kept, work = Kept(lambda: 0.0, most=most), Work()
    work.may_end.set()
    for number in range(20):
        await kept.answer(number, work)
    assert len(kept) == most
