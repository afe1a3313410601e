"""Connections that wait for nobody for ever [I/O]: whoever does not take his answer loses his connection.

aiohttp ends connections that send nothing; one whose answers are asked for and never read it would keep, with all that
waits to be sent. Here a connection has `patience_s` from the moment on when the kernel takes no more until all that was
written is gone, also one that is being closed. The next request of a connection is looked at after that, so that a
connection holds one answer at most, and a long one is written in pieces (`Pieces`).
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

#: Bytes of a long answer that wait in memory for one connection.
PIECE_BYTES = 16 * 1024


class Connection(web.RequestHandler):
    """One connection of a client; `manager` is the server of a runner, `more` is what aiohttp's own takes."""

    __slots__ = ("_end", "_patience_s")

    def __init__(self, manager: web.Server, patience_s: float, **more: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), keepalive_timeout=patience_s, **more)
        self._patience_s = patience_s
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Told of every byte that the kernel does not take at once."""
        cast(asyncio.WriteTransport, transport).set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Something waits to be sent."""
        super().pause_writing()
        if self.transport is not None:
            self._end = self._loop.call_later(self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """All is sent."""
        super().resume_writing()
        self._ended()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is left to end."""
        self._ended()
        super().connection_lost(exc)

    def _ended(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


class Pieces(web.StreamResponse):
    """An answer with a body that many share, so long that a copy of it for each of them would be too much."""

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self._whole = memoryview(body)
        self.content_length = len(body)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends all of it, each piece when the one before is gone; ConnectionError when the client is."""
        writer = await super().prepare(request)
        if writer is not None and request.method != "HEAD":
            for begin in range(0, len(self._whole), PIECE_BYTES):
                await writer.write(self._whole[begin : begin + PIECE_BYTES])
                await writer.drain()
        return writer
