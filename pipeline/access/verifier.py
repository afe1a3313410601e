"""The verifier that a server asks [I/O]: all keys in memory, read again every two seconds.

    verifier = Verifier(pool)
    await verifier.start()                       # Unavailable when ClickHouse does not answer
    grant = await verifier.grant(presented(request.headers.get("Authorization", "")))

A revoked or expired key is refused within `REFRESH_S` and the time of one query: less than five seconds. A token made a
moment ago is known at once, since a refused one is looked up again (a few times a second for all together, whatever
comes). While ClickHouse does not answer nobody can revoke anything, so what was read last holds, but not for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping

from pipeline.access import store
from pipeline.access.keys import NO_DIGEST, Grant, Key, digest_of, id_of
from pipeline.clickhouse import Pool
from pipeline.errors import Unavailable
from pipeline.tasks import ended

#: How often all keys are read: revoking must be effective in five seconds, of which a slow query may take the rest.
REFRESH_S = 2.0
#: Least time between two readings because of refused tokens: guessing makes no more than four queries a second.
AGAIN_S = 0.25
#: Keys read longer ago than this are believed no more: an outage of ClickHouse is bridged, a cut-off server is not.
STALE_S = 3600.0

_NOBODY = Key(Grant("", "", frozenset()), NO_DIGEST, 0)


class Verifier:
    """Keys in memory. `clock` gives seconds since 1970; `read` is how they are read, `sleep` how it waits.

    Tests put their own in.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], float] = time.time,
        read: Callable[[Pool], Mapping[str, Key]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._read = read
        self._sleep = sleep
        self._keys: Mapping[str, Key] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads all keys and goes on reading them; raises Unavailable when that fails now."""
        await self._load()
        self._keeping = asyncio.create_task(self._keep(), name="keys")

    async def stop(self) -> None:
        """Reads no more."""
        await ended((self._keeping, self._reading))

    @property
    def age_s(self) -> float:
        """Seconds since all keys were last read."""
        return self._clock() - self._read_at

    def known(self, token: str) -> Grant | None:
        """The same as `grant` from memory alone: None also where that would look again, or believes no more."""
        return self._look(token) if self.age_s <= STALE_S else None

    async def grant(self, token: str) -> Grant | None:
        """What the bearer of a token may do; None for every token that is not valid, whatever the reason.

        Raises Unavailable when the keys in memory are too old to be believed.
        """
        found = self._look(token)
        if found is None and id_of(token) is not None:
            # Made or rotated a moment ago, perhaps, and after the last reading.
            with contextlib.suppress(Unavailable):
                await self._read_since(self._clock())
            found = self._look(token)
        if self.age_s > STALE_S:
            raise Unavailable("the keys were read too long ago: ClickHouse does not answer; see `touchline doctor`")
        return found

    async def _read_since(self, moment: float) -> None:
        """Waits for a reading that began after this moment; all that wait share it."""
        if (early := AGAIN_S - self.age_s) > 0:
            await self._sleep(early)
        if self._reading is not None and not self._reading.done():  # it may have begun before: what it says is not all
            with contextlib.suppress(Unavailable):
                await self._load_once()
        if self._read_at < moment:
            await self._load_once()

    def _look(self, token: str) -> Grant | None:
        key = self._keys.get(id_of(token) or "", _NOBODY)
        digest = digest_of(token)
        return key.grant if key.admits(digest, int(self._clock() * 1000)) and key is not _NOBODY else None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            with contextlib.suppress(Unavailable):
                await self._load_once()

    async def _load_once(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._load(), name="read keys")
        await asyncio.shield(self._reading)

    async def _load(self) -> None:
        asked_at = self._clock()
        self._keys = await self._pool.call(store.load) if self._read is None else self._read(self._pool)
        self._read_at = asked_at
