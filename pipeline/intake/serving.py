"""The gateway as a process of its own [I/O]: it listens before Kafka and ClickHouse answer, and until told to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from aiohttp import web

from pipeline.access.verifier import STALE_S, Verifier
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import Pool
from pipeline.customers.sealing import Sealer
from pipeline.errors import SettingsError, Unavailable
from pipeline.health import Health
from pipeline.intake import pages
from pipeline.intake.admission import Rules
from pipeline.intake.answering import Answering
from pipeline.intake.bodies import MAX_HEADERS
from pipeline.intake.connections import Connection
from pipeline.intake.contacts import Contacts
from pipeline.intake.deliveries import Deliveries
from pipeline.intake.gateway import Gateway, Policy
from pipeline.intake.keeping import Keeping
from pipeline.intake.links import Links
from pipeline.intake.pipe import WAIT_S, Pipe
from pipeline.intake.producing import pseudonyms_of
from pipeline.intake.refusals import Refusals
from pipeline.intake.webhooks import Webhooks, load_options
from pipeline.settings import Settings
from pipeline.tasks import ended
from pipeline.telemetry import GATEWAY_METRICS, Telemetry, log
from pipeline.topics import require_topics

#: What is still sent to a request that was refused unread is thrown away for so long.
LINGER_S = 2.0
#: Connections that wait to be accepted; the kernel may allow fewer.
BACKLOG = 4096
#: Open files: connections, and a few for Kafka and ClickHouse.
FILES = 16_384

#: New objects before the collector looks: a batch of a hundred makes a few thousand, and none of them in circles.
_YOUNG = 50_000

_log = log("touchline.gateway")


class Server:
    """One gateway: `async with started(settings) as server`, then `server.url`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._telemetry = Telemetry(GATEWAY_METRICS)
        self._pool = Pool(settings)
        self.verifier = Verifier(self._pool)
        self.pipe = Pipe(settings, self._telemetry)
        rules = Rules(ArrivalRules(settings.customer_form), pseudonyms_of(settings), settings.unknown_fields)
        policy = Policy(rules, settings.gateway_key_rate, settings.gateway_rate, settings.gateway_patience_s)
        sealer = Sealer(settings.seal_key_id, settings.seal_bytes)
        refusals = Refusals(sealer)
        self.gateway = Gateway(self.verifier, self.pipe, self._telemetry, policy, refusals)
        self._keeping = Keeping(settings, self._pool, refusals)
        deliveries = Deliveries(self._pool, sealer)
        self.webhooks = Webhooks(self.gateway, load_options(settings.integrations), deliveries, self.pipe.now_ms)
        self._telemetry.set("touchline_build_info", 1, version=version("touchline"))
        self._health = Health(
            self._telemetry, {"kafka": lambda: self.pipe.trouble, "keys": self._unread}, self._refresh
        )
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._keys: asyncio.Task[None] | None = None
        self.url = ""
        #: Where /livez, /readyz with its reasons and /metrics are: producers and volumes are nobody's business outside.
        self.health_url = ""

    async def start(self) -> None:
        """Listens; Kafka and ClickHouse may come later (503 until then)."""
        with _listening("TOUCHLINE_WEB_HOST, TOUCHLINE_GATEWAY_HEALTH_PORT"):
            await self._health.start(self._settings.web_host, self._settings.gateway_health_port)
        self.health_url = f"http://{self._settings.web_host}:{self._health.port}"
        self.pipe.start()
        self._keeping.start()
        self._keys = asyncio.create_task(self._read_keys(), name="first keys")
        self._runner = web.AppRunner(self.application(), handle_signals=False, shutdown_timeout=WAIT_S)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None, "it is set up"
        made = partial(
            Connection,
            server,
            self._settings.gateway_patience_s,  # with a new connection, an idle one and one that is not read alike
            access_log=None,
            lingering_time=LINGER_S,
            max_headers=MAX_HEADERS,  # of a line's 8 KiB each: 16 KiB together are let in
            auto_decompress=False,  # a bomb would unpack before anybody looks
        )
        host, port = self._settings.gateway_host, self._settings.gateway_port
        with _listening("TOUCHLINE_GATEWAY_HOST, TOUCHLINE_GATEWAY_PORT"):
            self._listening = await asyncio.get_running_loop().create_server(made, host, port, backlog=BACKLOG)
        self.url = f"http://{host}:{self._listening.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Takes no more requests, answers those that came, closes."""
        if self._listening is not None:
            self._listening.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await ended([self._keys])
        await self.verifier.stop()
        await self.pipe.stop()
        await self._keeping.stop()
        await self._health.stop()
        self._pool.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    def application(self) -> web.Application:
        """All its routes; nothing listens yet."""
        app = web.Application()
        app.add_routes(self.gateway.routes())
        app.add_routes(self.webhooks.routes())
        app.add_routes(Contacts(self.gateway, self._pool, self._settings).routes())
        app.add_routes(Answering(self.gateway, self.pipe, Links(self._settings.seal_bytes)).routes())
        app.add_routes(pages.routes())
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _read_keys(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await self.verifier.start()
                return
            await asyncio.sleep(1)

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = not (self.pipe.trouble or self._unread())
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    def _unread(self) -> str | None:
        """Why nobody can be told from nobody."""
        return None if self.verifier.age_s < STALE_S else "the keys cannot be read: ClickHouse does not answer"

    def _refresh(self) -> None:
        telemetry = self._telemetry
        telemetry.set("touchline_gateway_waiting_bytes", self.pipe.waiting_bytes)
        telemetry.set("touchline_gateway_keys_age_seconds", min(self.verifier.age_s, 1e9))
        telemetry.set("touchline_gateway_connections", self.connections)
        self.gateway.counts.tell()


@contextlib.contextmanager
def _listening(settings: str) -> Iterator[None]:
    """Names the settings of an address that cannot be had."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{settings}: {error.strerror}") from error


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Server]:
    """A gateway for a block of code."""
    server = Server(settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def serve(settings: Settings, tell: Callable[[str, str], None]) -> None:
    """Serves until SIGTERM or SIGINT; `tell` gets the address, and that of its health and metrics.

    Raises NotReady where topics are missing or wrong.
    """
    with contextlib.suppress(Unavailable):  # Kafka may come later
        await require_topics(settings)
    _allow_files()
    # What was imported stays: the collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    # Each broken request line of a scanner would be a traceback there.
    logging.getLogger("aiohttp.server").setLevel("CRITICAL")
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with started(settings) as server:
        tell(server.url, server.health_url)
        _log.info("gateway listens", url=server.url, health=server.health_url)
        await ended.wait()
        _log.info("gateway ends")


def _allow_files() -> None:
    """As many connections as the system lets one process have, up to what we are measured with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
