"""A ClickHouse that has no time [I/O]: an HTTP server in front of the real one that refuses statements on request.

with FaultyClickHouse(url) as front:
    front.refuse("too many parts", 252, match="INSERT INTO")
    ...
    front.accept()
"""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp import web

#: Headers that say how a body travelled, not what it is.
_HOP = {"transfer-encoding", "content-length", "connection", "content-encoding", "host"}


class Try(NamedTuple):
    """One refused statement: when (monotonic seconds) and its first words."""

    at: float
    statement: str


class FaultyClickHouse:
    """One server on a thread of its own; `url` is where workers go, `tries` what it refused."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._refusal: tuple[str, int, re.Pattern[str]] | None = None
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner
        self.tries: list[Try] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def refuse(self, sentence: str, code: int, match: str = "") -> None:
        """From now on statements that hold `match` get this exception code; 503 is an answer without one."""
        self.tries = []
        self._refusal = (sentence, code, re.compile(match))

    def accept(self) -> None:
        """From now on everything goes through."""
        self._refusal = None

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        statement = request.query.get("query") or body[:400].decode("utf-8", "replace")
        if self._refusal is not None and self._refusal[2].search(statement):
            sentence, code, _ = self._refusal
            self.tries.append(Try(time.monotonic(), " ".join(statement.split()[:3])))
            if code == 503:
                return web.Response(status=503, text=sentence)
            text = f"Code: {code}. DB::Exception: {sentence}."
            return web.Response(status=500, text=text, headers={"X-ClickHouse-Exception-Code": str(code)})
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        there = self._target + request.path_qs
        async with self._session.request(request.method, there, data=io.BytesIO(body), headers=kept) as answer:
            found = await answer.read()
            back = {
                name: value for name, value in answer.headers.items() if name.lower() not in _HOP - {"content-encoding"}
            }
            return web.Response(status=answer.status, body=found, headers=back)
