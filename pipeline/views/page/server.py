"""The page's server [I/O]: static files, the stream, the login, the reading API; one process, no consumer group."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.customers.registry import DEFAULT_PATH, Registry
from pipeline.errors import Unavailable, UsageError
from pipeline.settings import Settings
from pipeline.tasks import ended
from pipeline.telemetry import Telemetry
from pipeline.views.page.api import Api, outside, refused
from pipeline.views.page.bundle import bundled, styled
from pipeline.views.page.entry import COOKIE, HEADERS, OPERATOR, SESSION_S, Seals, asked_for, form_at, hosts, is_ours
from pipeline.views.page.experience import Experience
from pipeline.views.page.line import Line
from pipeline.views.page.live import Live
from pipeline.views.page.questions import filters
from pipeline.views.page.streams import Viewer
from pipeline.views.page.view import EVERYTHING, FILTERS, Grant, View

STATIC: Final = Path(__file__).with_name("static")
#: One turn of the clock of all connections, seconds.
_TURN_S: Final = 1.0
#: Nothing said for so many turns: a beat, well under what proxies cut (30-60 s) and what the page waits for (12 s).
_BEAT: Final = 5
#: A key that was revoked ends open connections within so many turns.
_RECHECK: Final = 3
#: Before a browser tries again by itself, ms.
_RETRY_MS: Final = 2_000
_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: Scripts that run without the others: before anything is drawn, and on the login form.
_ALONE: Final = frozenset({"theme.js", "login.js"})
#: Gives its name to all that stands after it.
_NO_MODULE: Final = "vendor/uPlot.iife.min.js"
#: Pages by address, beside that of an alert; everything else of the site lies under /static/.
_PAGES: Final = {
    "/": "index.html",
    "/customer": "index.html",
    "/glossary": "index.html",
    "/login": "login.html",
}
#: Of these, those that say nothing about customers.
_FOR_ALL: Final = frozenset({"/glossary", "/login"})
_STREAMED: Final[Mapping[str, str]] = {
    **HEADERS,
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep it back
}
#: For machines that look whether we live: they may come under any name, and there is nothing to read.
_FOR_MACHINES: Final = frozenset({"/livez", "/readyz", "/metrics"})

#: What the bearer of a token may see, None when nothing.
Verify = Callable[[str], Awaitable[Grant | None]]


@dataclass(frozen=True, slots=True)
class File:
    """A file of the site, packed once."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


def site() -> dict[str, File]:
    """Every file of the site by its name under `static/`; scripts as the one file `page.js`, styles as `page.css`."""
    found, scripts, sheets = {}, {}, []
    for path in sorted(STATIC.rglob("*"), key=lambda path: (path.parent == STATIC, path)):  # ours after theirs
        name = path.relative_to(STATIC).as_posix()
        if path.suffix == ".js" and name not in _ALONE:
            scripts[name] = path.read_text(encoding="utf-8")
        elif path.suffix == ".css":
            sheets.append(path.read_text(encoding="utf-8"))
        elif path.suffix in _TYPES:
            found[name] = _file(path.suffix, path.read_bytes())
    before = scripts.pop(_NO_MODULE)
    script = bundled(scripts, [before])
    return {**found, "page.js": _file(".js", script.encode()), "page.css": _file(".css", styled(sheets).encode())}


def _file(suffix: str, body: bytes) -> File:
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return File(body, gzip.compress(body, 9, mtime=0), f"{_TYPES[suffix]}; charset=utf-8", tag)


class Server:
    """Everything of one process. `verify` is asked for keys; None opens the page to this machine."""

    def __init__(self, settings: Settings, telemetry: Telemetry, verify: Verify | None) -> None:
        registry = Registry.parse((settings.registry or DEFAULT_PATH).read_text(), str(settings.registry or "bundled"))
        self._owners = registry.owners
        self.live = Live(settings, registry)
        self._experience = Experience(self.live, settings, registry)
        self._settings = settings
        self._telemetry = telemetry
        self._verify = verify
        self._seals = Seals(settings.seal_bytes)
        self._hosts = hosts(settings.page_hosts)
        self._site = site()
        self._open: dict[Viewer, str] = {}
        self._clock: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Begins to listen; port 0 picks a free one, then readable as `port`."""
        app = web.Application(middlewares=[self._safely], client_max_size=64 * 1024)
        app.add_routes(Api(self.live, self._grant_of, self._experience, self._settings).routes())
        app.router.add_get("/v1/stream", self._stream)
        for path in (*_PAGES, "/alerts/{id:[A-Za-z0-9_-]+}"):
            app.router.add_get(path, self._page)
        app.router.add_get("/static/{name:[A-Za-z0-9._/-]+}", self._static)
        app.router.add_post("/login", self._login)
        app.router.add_post("/logout", self._logout)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        await self.live.start()
        self._clock = asyncio.create_task(self._beat(), name="page beat")
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await self._runner.setup()
        site_ = web.TCPSite(self._runner, host, port, backlog=1024)
        await site_.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends the connections and listens no more."""
        await self.live.stop()
        await ended([self._clock])
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _safely(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Host checked before, headers set after, whatever the handler does."""
        if request.path not in _FOR_MACHINES and not is_ours(request.host, self._hosts):
            answer: web.StreamResponse = refused(421, "host", "set TOUCHLINE_PAGE_HOSTS to the names this page has")
        else:
            try:
                answer = await handler(request)
            except Unavailable as error:
                answer = refused(503, "unavailable", str(error))
            except web.HTTPException as error:
                if error.status >= 400 and error.content_type != "application/json":
                    answer = refused(error.status, "http", error.reason)
                else:
                    answer = web.Response(status=error.status, headers=error.headers, body=error.body)
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    # --- Who ---

    async def _grant_of(self, request: web.Request) -> Grant:
        """What a request may see; raises HTTPUnauthorized."""
        grant = await self._granted(request)
        if grant is None:
            said = orjson.dumps({"error": "unauthorized", "detail": "a key with the right `read` is needed"}).decode()
            raise web.HTTPUnauthorized(text=said, content_type="application/json")
        return grant

    async def _granted(self, request: web.Request) -> Grant | None:
        return await self._grant(self._token(request))

    def _token(self, request: web.Request) -> str:
        """The key that a request brings in its header or session; "" without one."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # OPERATOR is no key: only a session that we sealed ourselves may say it.
            return "" if token.strip() == OPERATOR else token.strip()
        return self._seals.reader(request.cookies.get(COOKIE, ""), int(time.time())) or ""

    async def _grant(self, token: str) -> Grant | None:
        """What a token lets see now, None when nothing."""
        if self._verify is None or token == OPERATOR:
            return EVERYTHING
        return await self._verify(token) if token else None

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        given, to = str(form.get("key", "")).strip(), asked_for(str(form.get("to", "")))
        grant = await self._verify(given) if self._verify is not None and given else None
        if grant is None:
            return web.Response(status=303, headers={"Location": form_at(to, wrong="1")})
        return self._entered(request, given, to)

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        answer = web.Response(status=303, headers={"Location": "/login"})
        answer.del_cookie(COOKIE, path="/")
        return answer

    def _entered(self, request: web.Request, token: str, to: str = "/") -> web.Response:
        answer = web.Response(status=303, headers={"Location": to})
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        sealed = self._seals.session(token, int(time.time()))
        answer.set_cookie(COOKIE, sealed, max_age=SESSION_S, httponly=True, samesite="Lax", secure=secure, path="/")
        return answer

    # --- Files ---

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/login" and "ticket" in request.query:
            token = self._seals.redeemed(request.query["ticket"], int(time.time()))
            return (
                self._entered(request, token)
                if token
                else web.Response(status=303, headers={"Location": "/login?old=1"})
            )
        if request.path not in _FOR_ALL and await self._granted(request) is None:
            return web.Response(status=303, headers={"Location": form_at(asked_for(request.path_qs))})
        return self._file(request, _PAGES.get(request.path, "index.html"))

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return self._file(request, request.match_info["name"])

    def _file(self, request: web.Request, name: str) -> web.Response:
        file = self._site.get(name)
        if file is None:
            return refused(404, "unknown", "there is no such page")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = file.kind
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=file.body, headers=headers)

    # --- The stream ---

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        grant = await self._grant_of(request)
        try:
            kept = grant.within(filters(list(request.query.items()), FILTERS))
            if kept is None:
                return outside(grant)
            view = View.of(request.query.get("span", "1h"), kept, grant.narrow)
            viewer = Viewer()
            last = request.headers.get("Last-Event-ID", "") or request.query.get("last", "")
            whole = self.live.join(view, viewer, last)
        except UsageError as error:
            return refused(400, "usage", str(error))
        except Unavailable as error:
            return refused(503, "unavailable", str(error))
        answer = web.StreamResponse(headers=_STREAMED)
        try:
            await answer.prepare(request)
            hello = self._hello(view, resumed=bool(last) and whole)
            await answer.write(hello + (b"" if whole else b'event: gap\ndata: {"why":"away"}\n\n'))
            line = Line.taken_from(request, lambda: self._left(view, viewer))
        except ConnectionResetError:  # the browser is gone, which is how every stream ends
            self.live.leave(view, viewer)
            return answer
        self._open[viewer] = self._token(request)
        viewer.attach(line, line.end)
        return answer

    def _left(self, view: View, viewer: Viewer) -> None:
        del self._open[viewer]
        self.live.leave(view, viewer)

    def _hello(self, view: View, *, resumed: bool) -> bytes:
        hello: Mapping[str, object] = {
            "at": int(time.time() * 1000),
            "span": view.span,
            "filters": view.chosen,
            "narrow": view.narrow,
            "open": self._verify is None,
            "gateway": self._settings.gateway_url,
            "owners": self._owners,
        }
        wire = b"retry: %d\nevent: hello\ndata: %b\n\n" % (_RETRY_MS, orjson.dumps(hello))
        return wire if resumed else wire + b"event: latest\ndata: %b\n\n" % self.live.snapshot(view)

    async def _beat(self) -> None:
        """One turn a second for all connections: beats, and an end for those whose key has ended."""
        turn = 0
        while True:
            await asyncio.sleep(_TURN_S)
            turn += 1
            for viewer, token in list(self._open.items()):
                if turn % _RECHECK == 0 and await self._grant(token) is None:
                    viewer.close()
                viewer.beat(_BEAT)

    # --- For machines ---

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ended = self.live.ended
        return web.Response(text="\n".join(ended or ["ok"]) + "\n", status=503 if ended else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        live, telemetry = self.live, self._telemetry
        telemetry.set("touchline_page_viewers", live.viewers)
        telemetry.set("touchline_page_scores", len(live.board))
        telemetry.total("touchline_page_frames_total", live.sent)
        telemetry.total("touchline_page_gaps_total", live.gaps)
        return web.Response(body=generate_latest(telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
