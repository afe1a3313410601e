"""/livez, /readyz and /metrics of a process [I/O]."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.telemetry import Telemetry

#: A reason why the process is not ready, or None.
Check = Callable[[], str | None]


class Health:
    """A small web server. `checks` are named; the process is ready when each answers None.

    `refresh` brings what others keep into the metrics, whenever somebody looks at them.
    """

    def __init__(self, telemetry: Telemetry, checks: dict[str, Check], refresh: Callable[[], None]) -> None:
        self._telemetry = telemetry
        self._checks = checks
        self._refresh = refresh
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Begins to listen; port 0 picks a free one, then readable as `port`."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listens no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        found = {name: check() for name, check in self._checks.items()}
        lines = [f"[{'-' if reason else '+'}]{name} {reason or 'ok'}" for name, reason in found.items()]
        ready = not any(found.values())
        return web.Response(text="\n".join(lines) + "\n", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        self._refresh()
        body = generate_latest(self._telemetry.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
