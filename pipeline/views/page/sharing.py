"""Equal questions share an answer for a moment: fifty people who look at one dashboard cost as much as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

#: An answer is shared for at least this long, seconds ...
LEAST_S: Final = 1.0
#: ... for this many times what it cost, so that one question takes a twentieth of the database's time at most ...
TIMES: Final = 20
#: ... and never longer than this: readers look every five seconds.
MOST_S: Final = 5.0
#: Answers that are kept; a question that nobody repeats is no loss.
MOST: Final = 256


@dataclass(slots=True)
class _Shared:
    answer: asyncio.Future[Any]
    until: float


class Sharing:
    """Answers by question. For one event loop; errors are not kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Shared] = {}
        self.asked = 0
        self.shared = 0

    async def answer(self, question: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a question, from somebody who asked the same a moment ago or is waiting for it now."""
        self.asked += 1
        held = self._held.get(question)
        if held is not None and (not held.answer.done() or self._clock() < held.until):
            try:
                found = await asyncio.shield(held.answer)
            except _Broken:
                return await ask()
            self.shared += 1
            return found
        mine = _Shared(asyncio.get_running_loop().create_future(), 0.0)
        self._keep(question, mine)
        began = self._clock()
        try:
            found = await ask()
        except BaseException as error:
            self._held.pop(question, None)
            # Who waits for it asks anew; nobody waiting is no error.
            mine.answer.set_exception(_Broken(str(error)))
            mine.answer.exception()
            raise
        now = self._clock()
        mine.until = now + min(MOST_S, max(LEAST_S, TIMES * (now - began)))
        mine.answer.set_result(found)
        return found

    def _keep(self, question: str, shared: _Shared) -> None:
        self._held.pop(question, None)
        self._held[question] = shared
        if len(self._held) > MOST:
            del self._held[next(iter(self._held))]


class _Broken(Exception):
    """The one who asked first got no answer."""
