"""Equal questions share an answer while it is fresh; errors are nobody's answer but the asker's."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.views.page.sharing import LEAST_S, MOST, MOST_S, TIMES, Sharing


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Database:
    """Answers with how often it was asked; a question takes `cost` seconds of the clock."""

    def __init__(self, clock: Clock, cost: float = 0.0) -> None:
        self.asked = 0
        self._clock = clock
        self._cost = cost

    async def ask(self) -> int:
        self.asked += 1
        self._clock.now += self._cost
        await asyncio.sleep(0)
        return self.asked


async def test_who_asks_the_same_at_once_or_a_moment_later_gets_the_same_answer() -> None:
    clock = Clock()
    sharing, database = Sharing(clock), Database(clock)
    assert await asyncio.gather(*(sharing.answer("a", database.ask) for _ in range(50))) == [1] * 50
    clock.now += LEAST_S - 0.01
    assert await sharing.answer("a", database.ask) == 1
    assert await sharing.answer("b", database.ask) == 2, "another question is another answer"
    clock.now += 0.02
    assert await sharing.answer("a", database.ask) == 3, "and an old answer is none"
    assert (sharing.asked, sharing.shared) == (53, 50)


@pytest.mark.parametrize(("cost", "fresh"), [(0.1, 0.1 * TIMES), (10.0, MOST_S)])
async def test_a_dear_answer_is_shared_longer_but_never_long(cost: float, fresh: float) -> None:
    clock = Clock()
    sharing, database = Sharing(clock), Database(clock, cost)
    await sharing.answer("a", database.ask)
    clock.now += fresh - 0.01
    assert await sharing.answer("a", database.ask) == 1
    clock.now += 0.02
    assert await sharing.answer("a", database.ask) == 2


async def test_an_error_is_told_to_who_asked_and_the_others_ask_anew() -> None:
    clock = Clock()
    sharing, database = Sharing(clock), Database(clock)

    async def fails() -> int:
        for _ in range(5):
            await asyncio.sleep(0)
        raise ValueError("no")

    first = asyncio.create_task(sharing.answer("a", fails))
    await asyncio.sleep(0)
    second = asyncio.create_task(sharing.answer("a", database.ask))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="no"):
        await first
    assert await second == 1
    assert await sharing.answer("a", database.ask) == 2, "an error is not kept"


async def test_it_keeps_a_bounded_number_of_answers() -> None:
    clock = Clock()
    sharing, database = Sharing(clock), Database(clock)
    for number in range(MOST + 1):
        await sharing.answer(str(number), database.ask)
    before = database.asked
    await sharing.answer(str(MOST), database.ask)
    assert database.asked == before
    await sharing.answer("0", database.ask)
    assert database.asked == before + 1
