"""What one view was shown and what was read for it, until it is read anew. Pure."""

from __future__ import annotations

import asyncio
from typing import Final

import polars as pl

from pipeline.views.page.streams import Channel

#: What a view is compared with is read anew after so long, seconds.
BEFORE_S: Final = 60.0


class Looked:
    """One view that somebody looks at: its channel, and what was read for it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.left_at: float | None = None
        self.said_at = 0.0
        self.task: asyncio.Task[None] | None = None
        self.state: object = None
        self.status: object = None
        self.before: pl.DataFrame | None = None
        self.before_at = 0
        self.snapshot: tuple[str, bytes] | None = None
        self.usual: pl.DataFrame | None = None
        self.usual_of = 0
        self.changes: dict[int, dict[str, int]] | None = None
        self.changes_at = 0

    def stale(self, now: int) -> bool:
        """Whether what it is compared with was read too long ago."""
        return now - self.before_at >= BEFORE_S
