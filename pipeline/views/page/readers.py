"""Who may read [I/O]: keys with the right `read`, or everybody of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from pipeline.access.keys import Right
from pipeline.access.verifier import Verifier
from pipeline.clickhouse import Pool
from pipeline.settings import Settings
from pipeline.views.page.server import Verify
from pipeline.views.page.view import Grant


@contextlib.asynccontextmanager
async def readers(settings: Settings, *, everybody: bool) -> AsyncIterator[Verify | None]:
    """What the server asks for a token; None where everybody may read. Raises Unavailable when no key can be read."""
    if everybody:
        yield None
        return
    pool = Pool(settings)
    verifier = Verifier(pool)
    await verifier.start()

    async def verify(token: str) -> Grant | None:
        found = await verifier.grant(token)
        if found is None or not found.may(Right.READ):
            return None
        return Grant(found.name, *(tuple(sorted(part)) for part in (found.brands, found.units, found.channels)))

    try:
        yield verify
    finally:
        await verifier.stop()
        pool.close()
