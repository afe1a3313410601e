"""The part of ClickHouse's HTTP interface that clickhouse-connect speaks, over the embedded engine [I/O].

Left out on purpose: sessions (a SET or temporary table lasts for one request), external data, progress headers,
streamed results, compressed answers. Only programs of this machine may ask: requests of web pages are refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import hmac
import json
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lz4.frame
from aiohttp import web

from pipeline.stack.embedded import Answer, Embedded, Refused, Request
from pipeline.stack.statement import http_status

#: Largest body: a million rows of a ledger in Arrow are about 200 MB.
_MAX_BODY = 1 << 30
#: Statements at the same time; more would only share two cores. Waiting ones do not block /ping.
_THREADS = 8
#: Parameters of the URL that ClickHouse's HTTP handler takes for itself; all others are settings.
_OF_THE_TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "user", "password", "session_id", "session_timeout",
        "session_check", "query_id", "quota_key", "compress", "decompress", "buffer_size",
        "wait_end_of_query", "client_protocol_version", "role", "send_progress_in_http_headers",
        "http_headers_progress_interval_ms", "enable_http_compression", "close_session", "stacktrace",
        "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip
_OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "Native": "application/octet-stream",
    "ArrowStream": "application/vnd.apache.arrow.stream",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask; an empty password lets every user of this machine in."""

    user: str = "default"
    password: str = ""


def application(engine: Embedded, access: Access = Access()) -> web.Application:
    """The aiohttp application: `/` (GET, POST), `/ping`."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="statement")

    async def ask(request: web.Request) -> web.Response:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        try:
            _admit(request, access)
            statement = await _statement(request)
            answer = await asyncio.get_running_loop().run_in_executor(pool, engine.execute, statement)
        except Refused as refusal:
            return _refusal(refusal, engine, query_id)
        return _response(answer, engine, query_id)

    async def ping(request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def stop(app: web.Application) -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    app = web.Application(client_max_size=_MAX_BODY)
    app.router.add_route("GET", "/ping", ping)
    app.router.add_route("GET", "/", ask)
    app.router.add_route("POST", "/", ask)
    app.on_cleanup.append(stop)
    return app


def _admit(request: web.Request, access: Access) -> None:
    host = request.headers.get("Host", "")
    if host.rpartition(":")[0] not in _OWN_HOSTS and host not in _OWN_HOSTS:
        raise Refused("Code: 497. DB::Exception: only for programs of this machine. (ACCESS_DENIED)")
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
        raise Refused("Code: 497. DB::Exception: not for web pages. (ACCESS_DENIED)")
    if not access.password:
        return
    user, password = _credentials(request)
    if not hmac.compare_digest(f"{user}\0{password}".encode(), f"{access.user}\0{access.password}".encode()):
        raise Refused("Code: 516. DB::Exception: wrong user or password. (AUTHENTICATION_FAILED)")


def _credentials(request: web.Request) -> tuple[str, str]:
    headers = request.headers
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    if headers.get("Authorization", "").startswith("Basic "):
        try:
            user, _, password = base64.b64decode(headers["Authorization"][6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return request.query.get("user", "default"), request.query.get("password", "")


async def _statement(request: web.Request) -> Request:
    values: dict[str, str] = dict(request.query)
    if request.content_type == "multipart/form-data":
        body = b""
        for name, value in (await request.post()).items():
            if not isinstance(value, str):
                raise Refused("Code: 48. DB::Exception: external data. (NOT_IMPLEMENTED)")
            values[name] = value
    else:
        body = _unpacked(await request.read(), request.headers.get("Content-Encoding", ""))
    asked = values.get("query", "").encode()
    sql = asked + b"\n" + body if asked and body else asked or body
    if not sql.strip():
        raise Refused("Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)")
    parameters = {name[6:]: value for name, value in values.items() if name.startswith("param_")}
    settings = {
        name: value for name, value in values.items() if name not in _OF_THE_TRANSPORT and not name.startswith("param_")
    }
    if request.method == "GET":
        settings.setdefault("readonly", "2")  # as ClickHouse does: a GET changes nothing
    return Request(
        sql,
        parameters,
        settings,
        values.get("database", "") or request.headers.get("X-ClickHouse-Database", ""),
        values.get("default_format", "") or request.headers.get("X-ClickHouse-Format", "TabSeparated"),
    )


def _lz4(body: bytes) -> bytes:
    return b"".join(_frames(body))


def _frames(body: bytes) -> list[bytes]:
    """Every frame of the body: clients compress block by block."""
    parts: list[bytes] = []
    while body:
        reader = lz4.frame.LZ4FrameDecompressor()
        parts.append(reader.decompress(body))
        if not reader.eof:
            raise ValueError("the last frame is cut off")
        body = reader.unused_data or b""
    return parts


def _zstd(body: bytes) -> bytes:
    from backports import zstd  # comes with clickhouse-connect before Python 3.14

    unpacked: bytes = zstd.decompress(body)
    return unpacked


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    unpack = _UNPACK.get(encoding)
    if unpack is None:
        raise Refused(f"Code: 48. DB::Exception: Content-Encoding {encoding}. (NOT_IMPLEMENTED)")
    try:
        return unpack(body)
    except (ValueError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise Refused(f"Code: 271. DB::Exception: {encoding}: {error}. (CANNOT_DECOMPRESS)") from error


def _common_headers(engine: Embedded, query_id: str) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Timezone": engine.timezone,
        "X-ClickHouse-Server-Display-Name": "touchline-embedded",
    }


def _response(answer: Answer, engine: Embedded, query_id: str) -> web.Response:
    headers = _common_headers(engine, query_id)
    headers["X-ClickHouse-Summary"] = json.dumps(
        {
            "read_rows": str(answer.read_rows),
            "read_bytes": str(answer.read_bytes),
            "written_rows": str(answer.written_rows),
            "written_bytes": str(answer.written_bytes),
            "total_rows_to_read": "0",
            "result_rows": str(answer.result_rows or answer.written_rows),
            "result_bytes": str(len(answer.body) or answer.written_bytes),
            "elapsed_ns": str(int(answer.seconds * 1e9)),
        }
    )
    if answer.format:
        headers["X-ClickHouse-Format"] = answer.format
    headers["Content-Type"] = _TYPES.get(answer.format, "text/plain; charset=UTF-8")
    return web.Response(body=answer.body, headers=headers)


def _refusal(refusal: Refused, engine: Embedded, query_id: str) -> web.Response:
    headers = _common_headers(engine, query_id)
    headers["X-ClickHouse-Exception-Code"] = str(refusal.code)
    text = f"{refusal} (version {engine.version} (touchline embedded))\n"
    return web.Response(status=http_status(refusal.code), text=text, headers=headers)
