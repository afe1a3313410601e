"""What one view was shown and what is being done for it. Pure."""

from __future__ import annotations

import asyncio

from pipeline.views.page.compared import Compared
from pipeline.views.page.streams import Channel


class Looked:
    """One view that somebody looks at: its channel, and what was read for it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.left_at: float | None = None
        self.said_at = 0.0
        self.task: asyncio.Task[None] | None = None
        self.state: object = None
        self.status: object = None
        self.snapshot: tuple[str, bytes] | None = None
        self.compared = Compared()
        self.asking: asyncio.Task[None] | None = None
        self.asked_at = float("-inf")

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is being done for it."""
        return [task for task in (self.task, self.asking) if task is not None]

    def settle(self) -> None:
        """Lets go of what is done."""
        if self.task is not None and self.task.done():
            self.task = None
        if self.asking is not None and self.asking.done():
            self.asking = None
