"""A browser's connection once its stream has begun [I/O]: the socket and nothing else.

Of the web server's objects for a request (parser, headers, task, reader) nothing is needed any more, and with thousands
of viewers they are most of the memory: they are let go, and frames are written to the transport as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import HttpVersion11, web

#: What may wait in a connection before it counts as slow: a few whole pages.
_ROOM: Final = 256 * 1024


class Line(asyncio.Protocol):
    """The far end of a viewer. `lost` is called once, when the connection is closed by either side."""

    __slots__ = ("_chunked", "_lost", "_transport")

    def __init__(self, transport: asyncio.Transport, lost: Callable[[], object], *, chunked: bool) -> None:
        self._transport = transport
        self._lost = lost
        self._chunked = chunked

    @classmethod
    def taken_from(cls, request: web.Request, lost: Callable[[], object]) -> Line:
        """Takes the connection of a request whose answer has begun over from the web server, which sees it end.

        Raises ConnectionResetError when it is gone."""
        handler = request.protocol
        transport = handler.transport
        if transport is None:
            raise ConnectionResetError("the browser is gone")
        # A proxy may speak HTTP/1.0, which has no chunks.
        line = cls(transport, lost, chunked=request.version >= HttpVersion11)
        handler.transport = None  # else it would close what it no longer has
        transport.set_protocol(line)
        handler.connection_lost(None)
        return line

    @property
    def gone(self) -> bool:
        """Whether the connection is closed."""
        return self._transport.is_closing()

    def room(self) -> bool:
        """Whether what was written last has been taken, more or less."""
        return not self._transport.is_closing() and self._transport.get_write_buffer_size() < _ROOM

    def write(self, wire: bytes, packed: bytes) -> None:
        """Sends a frame; every connection refers to the same bytes."""
        self._transport.write(packed if self._chunked else wire)

    def end(self) -> None:
        """Closes the connection after what was written."""
        if not self._transport.is_closing():
            if self._chunked:
                self._transport.write(b"0\r\n\r\n")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Told by the event loop."""
        self._lost()
