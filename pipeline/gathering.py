"""Slices of a step's stream in batches: soon where little comes, in good pieces where much does.

A write costs milliseconds however little it holds, so the steps that write wait for more. What they wait for is known:
where everything taken from Kafka has arrived here, nothing more is to come, and waiting would only make events late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.slices import Slice

#: Whether all is there is asked this often, seconds: far below what anybody notices, and a handful of comparisons.
_LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Patience:
    """How long slices wait for each other: at most `within_s`, or `behind_s` where more than `behind` records of its
    partition wait behind the newest; never for more than `slices` or `rows`."""

    within_s: float
    slices: int
    rows: int = 1 << 31
    behind: int = 1 << 62
    behind_s: float = 0.0

    def full(self, waiting: Sequence[Slice]) -> bool:
        """Whether no more may be waited for."""
        return len(waiting) >= self.slices or sum(piece.rows.height for piece in waiting) >= self.rows

    def wait_s(self, waiting: Sequence[Slice]) -> float:
        """How long the oldest of these waits at most."""
        return self.behind_s if waiting[-1].behind > self.behind else self.within_s


@dataclass(slots=True)
class Gathering:
    """The slices of one stream on their way into batches; they are collected while a batch is in work.

    `complete` says whether slices are all that is on its way to here; `clock` gives seconds.
    """

    patience: Patience
    complete: Callable[[Sequence[Slice]], bool]
    clock: Callable[[], float] = time.monotonic
    _waiting: list[Slice] = field(default_factory=list)
    _since: float = 0.0
    _began: float = float("-inf")
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def batches(self, stream: Any) -> AsyncGenerator[list[Slice], None]:
        """All slices of `stream` in order, until it ends; what it raises is raised here."""
        collecting = asyncio.create_task(self._collect(stream))
        collecting.add_done_callback(lambda _: self._came.set())
        try:
            while True:
                while not (self._waiting or collecting.done()):
                    self._came.clear()
                    await self._came.wait()
                if not self._waiting:
                    collecting.result()
                    return
                while not (collecting.done() or self.due()):
                    await asyncio.wait({collecting}, timeout=_LOOK_S)
                yield self._take()
        finally:
            collecting.cancel()

    async def _collect(self, stream: Any) -> None:
        async for piece in stream:
            self.add(piece)
            while self.patience.full(self._waiting):
                self._taken.clear()
                await self._taken.wait()

    def add(self, piece: Slice) -> None:
        """A slice has come."""
        if not self._waiting:
            self._since = self.clock()
        self._waiting.append(piece)
        self._came.set()

    def due(self) -> bool:
        """Whether what waits is a batch now."""
        now, waiting = self.clock(), self._waiting
        if self.patience.full(waiting) or now - self._since >= self.patience.wait_s(waiting):
            return True
        if waiting[-1].behind > self.patience.behind:
            return False  # more comes than can be taken: what is there already is only a part of it
        # Small batches as well begin no closer to each other than a batch waits.
        return now - self._began >= self.patience.within_s and self.complete(waiting)

    def _take(self) -> list[Slice]:
        self._began = self.clock()
        taken, self._waiting = self._waiting, []
        self._taken.set()
        return taken
