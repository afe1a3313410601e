"""The book in ClickHouse [I/O]: read by whoever takes it over, written by its one owner, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from pipeline.alerts.book import Book, Step
from pipeline.alerts.rows import Found, found, frame
from pipeline.clickhouse import Pool

_OWNER = "SELECT max(ver) AS ver FROM alert_steps"
_ROWS = "SELECT * FROM alert_steps FINAL WHERE ver = {ver:UInt64} ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows on their way to the table: sent again as they are until they are in."""

    rows: pl.DataFrame
    token: str
    steps: tuple[Step, ...]
    last: int


class Bookkeeping:
    """The table's side of one owner. All calls raise Unavailable when ClickHouse does not answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ver = 0
        self._seq = 0
        self._published = 0
        self._batch: Batch | None = None

    async def take_over(self, fence: Callable[[int], int], now_ms: int) -> tuple[Book, list[Step]]:
        """The book as the last owner left it, now under our fence; and its steps that it did not publish.

        `fence` makes ours from the highest in the table. One insert writes everything again, so the takeover is whole.
        """
        self._batch = None
        highest = int((await self._pool.query(_OWNER))["ver"][0] or 0)
        known: Found = found(await self._pool.query(_ROWS, {"ver": highest})) if highest else Found((), 0)
        book = Book.of(step.entry for _, step in known.steps)
        self._ver = fence(highest)
        adopted = [Step(step.kind, "adopted", step.at_ms, "", "", step.entry) for _, step in _newest(known, book)]
        rows = frame(adopted, self._ver, 0, len(adopted), now_ms)
        await self._pool.insert("alert_steps", rows, f"alerts:{self._ver}:0")
        self._seq = self._published = len(adopted)
        unpublished = [step for seq, step in known.steps if seq > known.published and step.step != "adopted"]
        return book, unpublished

    async def write(self, book: Book, now_ms: int) -> list[Step] | None:
        """Writes the book's steps; those that are in now, or None when another worker has taken the book over.

        Steps that could not be written stay first in line: their rows and token never change.
        """
        if self._batch is None and not book.steps:
            return []
        if self._batch is None:
            steps, book.steps = tuple(book.steps), []
            rows = frame(steps, self._ver, self._seq + 1, self._published, now_ms)
            last = self._seq + 1 + len(steps)
            self._batch = Batch(rows, f"alerts:{self._ver}:{self._seq + 1}", steps, last)
        await self._pool.insert("alert_steps", self._batch.rows, self._batch.token)
        done, self._batch = self._batch, None
        self._seq = done.last
        return list(done.steps) if await self.ours() else None

    async def ours(self) -> bool:
        """Whether no other worker has taken the book over since."""
        return int((await self._pool.query(_OWNER))["ver"][0] or 0) <= self._ver

    @property
    def settled(self) -> bool:
        """Whether everything that was decided is in the table: only then may it be said."""
        return self._batch is None

    @property
    def ver(self) -> int:
        """Our fence."""
        return self._ver

    def published(self) -> None:
        """All that was written has been published; the next rows say so."""
        self._published = self._seq


def _newest(known: Found, book: Book) -> list[tuple[int, Step]]:
    """Of each entry the last step."""
    kept = {id(entry) for entry in book.entries()}
    return [(seq, step) for seq, step in known.steps if id(step.entry) in kept]
