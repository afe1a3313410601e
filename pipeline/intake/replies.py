"""What the gateway's answers look like on the wire [I/O]: JSON, for a page of any origin."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11

from pipeline.intake import answers

#: A page of any origin may send: a key is a header, never a cookie, so nobody's browser lends it to others.
ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_JSON = {"Content-Type": "application/json", **ANY_ORIGIN}


def json_reply(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of a document."""
    return web.Response(status=status, body=body, headers={**_JSON, **headers} if headers else _JSON)


def problem(status: int, error: str, detail: str) -> web.Response:
    """Why a request was not looked at."""
    return json_reply(status, answers.encode(answers.Problem(error=error, detail=detail)))


def verdicts(request: web.Request, status: HTTPStatus, body: bytes) -> web.StreamResponse:
    """The answer to events; the same bytes as `json_reply`, for less where the connection simply goes on."""
    if request.version == HttpVersion11 and request.keep_alive:
        return _Verdicts(status, body)
    return json_reply(status, body)


class _Verdicts(web.StreamResponse):
    """A reply written at once. aiohttp would build its headers anew: a seventh of all it does for a request."""

    def __init__(self, status: HTTPStatus, body: bytes) -> None:
        super().__init__(status=status)
        self._whole = b"%b%d\r\n\r\n%b" % (_heads.of(status), len(body), body)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Sends all of it; ConnectionError when the client is gone."""
        writer = request.writer
        await writer.write(self._whole)
        await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """There is no more."""

    @property
    def keep_alive(self) -> bool:
        """The connection goes on: others are answered otherwise."""
        return True


class _Heads:
    """Status line and headers up to the length, made once a second for the date in them."""

    def __init__(self) -> None:
        self._second = 0
        self._made: dict[HTTPStatus, bytes] = {}

    def of(self, status: HTTPStatus) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._made.clear()
        made = self._made.get(status)
        if made is None:
            headers = {**_JSON, "Date": formatdate(second, usegmt=True), "Server": SERVER_SOFTWARE}
            lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {headers[name]}" for name in headers)]
            made = self._made[status] = ("\r\n".join(lines) + "\r\nContent-Length: ").encode()
        return made


_heads = _Heads()
