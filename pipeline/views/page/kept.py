"""Answers that cost a second are worked out once for all who ask within half a minute. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

#: What is shown of weeks may be this old, seconds.
KEPT_S: Final = 30.0
#: Different answers that are held at most; each is some 20 kB.
MOST: Final = 100


class Kept:
    """Answers by what was asked; the same question that comes while the first is worked out waits for that answer."""

    def __init__(self, clock: Callable[[], float], most: int = MOST, seconds: float = KEPT_S) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self._held: dict[Hashable, tuple[float, asyncio.Future[bytes | None]]] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def answer(self, question: Hashable, work: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """The answer; what `work` raises is raised for each who waits for it, and not kept."""
        self._forget()
        held = self._held.get(question)
        if held is not None:
            return await asyncio.shield(held[1])
        future: asyncio.Future[bytes | None] = asyncio.ensure_future(work())
        self._held[question] = (self._clock(), future)
        while len(self._held) > self._most:
            del self._held[next(iter(self._held))]
        try:
            # Who goes away before the answer is there takes it from nobody else.
            return await asyncio.shield(future)
        except BaseException:
            if future.done() and (future.cancelled() or future.exception() is not None):
                self._held.pop(question, None)
            raise

    def _forget(self) -> None:
        old = self._clock() - self._seconds
        for question in [one for one, (at, future) in self._held.items() if at <= old and future.done()]:
            del self._held[question]
