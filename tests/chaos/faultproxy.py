"""A TCP proxy that misbehaves on request [I/O]: in front of Kafka or of ClickHouse's HTTP interface.

ok       bytes go through
cut      open connections are closed in the middle, new ones at once
hang     connections stay open and are accepted, nothing goes through in either direction
drop     a request that contains `match` goes through; its answer does not: the connection is closed instead
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

_CHUNK = 1 << 16
#: Seconds until those that began meanwhile are looked for.
_TURN_S = 0.02


class FaultProxy:
    """One proxy on a thread of its own: `with FaultProxy(target_port) as proxy: ... proxy.mode("cut")`."""

    def __init__(self, target_port: int, port: int = 0, match: bytes = rb"INSERT INTO .?ledger") -> None:
        self._target_port = target_port
        self._wanted_port = port
        self._match = re.compile(match)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: asyncio.Event
        self._mode = "ok"
        self._budget = 0
        self.port = 0
        self.dropped = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def mode(self, mode: str, times: int = 1_000_000) -> None:
        """Changes the behaviour; `times` is how many answers `drop` swallows before all is well again."""
        self._run(self._set(mode, times))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted_port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        # Not closed yet: asyncio drops whom it has just accepted, socket and all, when the server is closed meanwhile.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            self._reset_all()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(others, timeout=_TURN_S)
        self._server.close()
        await asyncio.sleep(0)  # what was reset is closed in the loop's next turn, which is the last one

    async def _set(self, mode: str, times: int) -> None:
        self._mode, self._budget = mode, times
        if mode == "hang":
            self._open.clear()
        else:
            self._open.set()
        if mode == "cut":
            self._reset_all()

    def _reset_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connection(reader, writer)
        finally:
            writer.transport.abort()  # also who was waiting to be let through
            self._tasks.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        await self._open.wait()
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there}
        line = _Line()
        try:
            both = [self._pump(reader, there, line, request=True), self._pump(there_reader, writer, line)]
            tasks = [asyncio.ensure_future(each) for each in both]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for end in (writer, there):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line, *, request: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._open.wait()
                if request and self._mode == "drop" and self._match.search(data):
                    line.marked = True
                # Also the mode: whoever asked while the last answer was swallowed is answered when all is well again.
                if not request and line.marked and self._mode == "drop" and self._budget > 0:
                    self._budget -= 1
                    self.dropped += 1
                    return
                if not request:
                    line.marked = False
                writer.write(data)
                await writer.drain()


class _Line:
    """One connection: whether the answer to what was asked last is to be swallowed."""

    marked = False
