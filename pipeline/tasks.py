"""Ends tasks that run beside others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

#: A cancellation is said again after so long, seconds: a task that heard it may still be closing what it holds, a
#: producer's or a consumer's connections say, and must not be disturbed at that.
AGAIN_S = 5.0


async def ended(tasks: Iterable[asyncio.Task[None] | None], again_s: float = AGAIN_S) -> None:
    """Cancels the tasks and waits until each has ended, however; what they raised is not passed on.

    A cancellation gets lost where it meets an answer that came at the same moment (`asyncio.wait_for` of Python 3.11,
    which aiokafka uses), and the task goes on as if nothing had been said: so it is said until it is heard.
    """
    pending = {task for task in tasks if task is not None}
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=again_s)
        for task in done:
            if not task.cancelled():
                task.exception()  # looked at, or asyncio says that nobody did
