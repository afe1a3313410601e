"""Calling the owners [I/O]: findings and wishes become steps, steps become rows and events, and then it is said.

Only the worker that owns the book does this. The order is: decide, write, publish, say. What was decided and not
written is decided again by the next owner; what was written and not said is said by it, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from pipeline.alerts import asking
from pipeline.alerts.book import Book
from pipeline.alerts.bookkeeping import Bookkeeping
from pipeline.alerts.entries import Account, Notice, Sending
from pipeline.alerts.finding import Finding
from pipeline.alerts.life import REMEMBERED_MS
from pipeline.alerts.messages import account
from pipeline.alerts.outbox import Answer, answered, ready
from pipeline.alerts.records import Message, messages
from pipeline.alerts.routes import Receiver, Routes
from pipeline.alerts.turn import advance
from pipeline.clickhouse import Pool

#: What ended is sent again so long to a receiver that must be told again and again (scores.md 4).
_AFTERWARDS_MS = 5 * 60 * 1000

Publish = Callable[[str, list[Message]], Awaitable[int]]
Fence = Callable[[int], int]


class Transport(Protocol):
    """Hands messages over; never raises for a receiver's fault."""

    async def deliver(self, receiver: Receiver, notice: Notice, now_ms: int) -> Answer:
        """One try."""

    async def refresh(self, receiver: Receiver, accounts: Sequence[Account], now_ms: int) -> None:
        """Says again what fires, to a receiver that forgets (Alertmanager); others are left alone."""


class Caller:
    """The book of one owner and what is done with it. `forget` when the ownership is gone."""

    def __init__(self, pool: Pool, publish: Publish, routes: Routes, transport: Transport) -> None:
        self._pool = pool
        self._publish = publish
        self._routes = routes
        self._transport = transport
        self._keeper = Bookkeeping(pool)
        self._book: Book | None = None
        self._lock = asyncio.Lock()
        self._unpublished: list[Message] = []
        self._refreshed: dict[str, int] = {}
        self._busy: set[str] = set()
        self.generation = 0
        self.sent = 0
        self.failed = 0

    @property
    def book(self) -> Book | None:
        """The book, None while it is not ours."""
        return self._book

    def counts(self) -> dict[str, int]:
        """Incidents by how they stand, of this owner: none when the book is another's."""
        found = {"open": 0, "acknowledged": 0, "resolved": 0}
        for incident in self._book.incidents.values() if self._book else ():
            found["resolved" if not incident.open else "acknowledged" if incident.acked_by else "open"] += 1
        return found

    def forget(self) -> None:
        """Another worker owns the book now."""
        self._book = None

    @property
    def ver(self) -> int:
        """The fence under which the book is ours, since it was taken over."""
        return self._keeper.ver

    async def own(self, now_ms: int, fence: Fence) -> Book:
        """The book, taken over from whoever had it where it is not ours yet. Raises Unavailable."""
        async with self._lock:
            return self._book or await self._take_over(fence, now_ms)

    async def step(self, findings: Sequence[Finding], now_ms: int, fence: Fence) -> int:
        """Takes findings in and lets time pass up to `now_ms`; how many steps followed. Raises Unavailable.

        After Unavailable the same findings are to come again: a window that was judged already changes nothing.
        """
        book = await self.own(now_ms, fence)
        async with self._lock:
            orders = await self._pool.call(asking.waiting)
            said = advance(book, self._routes, findings, orders, now_ms)
            steps = await self._written(now_ms)
            if self.book is not None and orders:
                await self._pool.call(
                    partial(asking.done, orders=orders, said=said, now_ms=now_ms, ver=self._keeper.ver)
                )
            return steps

    async def deliver(self, now_ms: int) -> int:
        """Hands over what is ready, to all receivers side by side; how many tries. Raises Unavailable.

        May be called again before it has returned: a receiver that takes its time is left alone until it is done.
        """
        async with self._lock:
            if self._book is None or not self._keeper.settled or self._book.steps:
                return 0
            lines = {name: line for name, line in ready(self._book, now_ms).items() if name not in self._busy}
            if lines and not await self._keeper.ours():
                self.forget()
                return 0
            self._busy |= set(lines)
        tries = await asyncio.gather(*(self._served(name, line, now_ms) for name, line in lines.items()))
        await self._refresh(now_ms)
        return sum(tries)

    async def _served(self, name: str, line: Sequence[Sending], now_ms: int) -> int:
        """One receiver's messages and what it answered; how many were tried."""
        try:
            tries = await self._line(name, line, now_ms)
            async with self._lock:
                if self.book is not None:
                    self._noted(self.book, tries, now_ms)
                    await self._written(now_ms)
            return len(tries)
        finally:
            self._busy.discard(name)

    def _noted(self, book: Book, tries: Sequence[tuple[Sending, Answer]], now_ms: int) -> None:
        for sending, answer in tries:
            known = book.sendings.get(sending.id)
            if known is not None and known.state == "waiting":
                answered(book, known, answer, now_ms)
            self.sent += answer.fate == "sent"
            self.failed += answer.fate != "sent"

    async def _line(self, name: str, line: Sequence[Sending], now_ms: int) -> list[tuple[Sending, Answer]]:
        """One receiver's messages, one after the other; after a failure the others wait for the next time."""
        receiver = self._routes.receivers.get(name)
        done: list[tuple[Sending, Answer]] = []
        for sending in line:
            if receiver is None:
                answer = Answer("refused", f"there is no receiver {name} in the routes any more")
            else:
                answer = await self._transport.deliver(receiver, sending.notice, now_ms)
            done.append((sending, answer))
            if answer.fate in ("again", "gone"):
                break
        return done

    async def _refresh(self, now_ms: int) -> None:
        """What fires is said again where it would be forgotten, and for a while what has ended."""
        book = self._book
        if book is None:
            return
        for name, receiver in self._routes.receivers.items():
            every_ms = int(receiver.fields.get("interval_s", 60)) * 1000
            if receiver.kind != "alertmanager" or now_ms - self._refreshed.get(name, 0) < every_ms:
                continue
            self._refreshed[name] = now_ms
            told = [
                account(book, incident)
                for incident in book.incidents.values()
                if name in incident.receivers and (incident.open or now_ms - incident.resolved_ms < _AFTERWARDS_MS)
            ]
            if told:
                await self._transport.refresh(receiver, told, now_ms)

    async def _take_over(self, fence: Fence, now_ms: int) -> Book:
        book, steps = await self._keeper.take_over(fence, now_ms)
        book.forget(now_ms - REMEMBERED_MS)
        self._book = book
        self._unpublished = messages(steps, self._keeper.ver)
        await self._published()
        return book

    async def _written(self, now_ms: int) -> int:
        """Writes and publishes what was decided; forgets the book when somebody else owns it."""
        if self._book is None:
            return 0
        count = 0
        while self._book.steps or not self._keeper.settled:
            steps = await self._keeper.write(self._book, now_ms)
            if steps is None:
                self.forget()
                return 0
            count += len(steps)
            self._unpublished += messages(steps, self._keeper.ver)
        await self._published()
        return count

    async def _published(self) -> None:
        if self._unpublished:
            await self._publish("alerts", self._unpublished)
            self._unpublished = []
        self._keeper.published()
