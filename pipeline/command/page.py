"""`touchline page`: the live page and the reading API as a process of its own [I/O]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note

if TYPE_CHECKING:
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)

#: A file for each of 4,000 viewers, and some for Kafka, ClickHouse and requests that come and go.
_FILES = 8_192


@app.command("page")
def page(
    open_it: Annotated[bool, typer.Option("--open", help="print a link that lets you in, and open a browser")] = False,
    host: Annotated[str, typer.Option(help="listen on this address; TOUCHLINE_PAGE_HOST else")] = "",
    port: Annotated[int, typer.Option(min=-1, max=65535, help="0 picks one; TOUCHLINE_PAGE_PORT else")] = -1,
    json: AsJson = False,
) -> None:
    """Serve the live page until SIGTERM, or with --open only print a link to the one that runs.

    Exit codes: 0 ended, 1 the port is taken, 2 usage.
    """
    guarded(lambda: _link(json) if open_it else _serve(host, port, json))


def _link(json: bool) -> int:
    import sys
    import time
    import webbrowser

    from pipeline.settings import load_settings
    from pipeline.views.page.entry import Seals

    settings = load_settings()
    where = f"http://localhost:{settings.page_port}/"
    if not is_open(settings):
        settings.require_keys()
        where += "login?ticket=" + Seals(settings.seal_bytes).ticket(int(time.time()))
    if json:
        emit_json({"url": where})
        return Exit.OK
    emit(where)
    if sys.stdout.isatty():
        webbrowser.open(where)
    return Exit.OK


def is_open(settings: Settings) -> bool:
    """Whether the page lets everybody of this machine in: an embedded stack with well-known keys, on the loopback."""
    return settings.insecure_keys and settings.page_host in ("127.0.0.1", "::1", "localhost")


def _widen() -> None:
    """As many open files as the machine allows, up to what all viewers need: many shells give 1,024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(host: str, port: int, json: bool) -> int:
    import asyncio
    import os

    from pipeline.errors import StackError
    from pipeline.settings import load_settings
    from pipeline.telemetry import Telemetry, configure_logs

    changed = {**({"page_host": host} if host else {}), **({"page_port": port} if port >= 0 else {})}
    settings = load_settings(**changed)
    settings.require_keys()
    _widen()
    configure_logs(settings.log_format, settings.log_level)

    async def go() -> int:
        import signal

        from pipeline.views.page.readers import readers
        from pipeline.views.page.server import Server

        async with readers(settings, everybody=is_open(settings)) as verify:
            server = Server(settings, Telemetry(), verify)
            try:
                await server.start(settings.page_host, settings.page_port)
            except OSError as error:
                await server.stop()
                raise StackError(
                    f"nothing can listen on {settings.page_host}:{settings.page_port}"
                    f" ({os.strerror(error.errno or 0)}): choose another one with --port"
                ) from error
            where = f"http://{settings.page_host}:{server.port}/"
            if json:
                emit_json({"url": where})
            else:
                note(f"the live page: {where}")
            ended = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
            await ended.wait()
            await server.stop()
        return Exit.OK

    return asyncio.run(go())
