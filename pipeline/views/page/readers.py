"""Who may read [I/O]: keys with the right `read`, or everybody of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from pipeline.settings import Settings
from pipeline.views.page.server import Verify
from pipeline.views.page.view import Grant


@contextlib.asynccontextmanager
async def readers(settings: Settings, *, everybody: bool) -> AsyncIterator[Verify | None]:
    """What the server asks; None where everybody may read."""
    if everybody:
        yield None
        return

    async def nobody(_: str) -> Grant | None:
        return None

    yield nobody
