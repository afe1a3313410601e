"""Tasks end when they are told to, also those that do not hear it the first time."""

from __future__ import annotations

import asyncio
import contextlib

from pipeline.tasks import ended


async def test_a_task_whose_cancellation_got_lost_is_told_again() -> None:
    heard = 0

    async def deaf_at_first() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard += 1
                if heard > 1:
                    raise

    task = asyncio.create_task(deaf_at_first())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ended([task, None], again_s=0.05)
    assert (task.cancelled(), heard) == (True, 2)


async def test_a_task_that_closes_what_it_holds_is_left_to_it() -> None:
    """Leaving a group and closing connections take Kafka's clients most of a second here."""
    closed = False

    async def holding() -> None:
        nonlocal closed
        try:
            await asyncio.Event().wait()
        finally:
            gone = asyncio.Event()
            asyncio.get_running_loop().call_later(0.7, gone.set)
            await gone.wait()
            closed = True

    task = asyncio.create_task(holding())
    await asyncio.sleep(0)
    await ended([task])
    assert closed


async def test_what_a_task_raises_at_its_end_or_raised_before_stops_nobody() -> None:
    async def fails() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise OSError("gone")

    async def failed() -> None:
        raise OSError("gone before")

    tasks = [asyncio.create_task(fails()), asyncio.create_task(failed())]
    await asyncio.sleep(0)
    await ended(tasks)
    assert [type(task.exception()) for task in tasks] == [OSError, OSError]


async def test_nothing_to_end_is_nothing_to_wait_for() -> None:
    await ended([])
