"""`touchline gateway`: events over HTTP, with a verdict for each."""

from __future__ import annotations

import typer

from pipeline.command.admin import guarded
from pipeline.command.output import Exit, note

app = typer.Typer(rich_markup_mode=None)


@app.command("gateway")
def gateway() -> None:
    """Take events over HTTP until SIGTERM; any number of gateways may run. Settings: TOUCHLINE_GATEWAY_*."""

    def work() -> int:
        import asyncio

        from pipeline.intake.serving import serve
        from pipeline.settings import load_settings
        from pipeline.telemetry import configure_logs

        settings = load_settings()
        settings.require_keys()
        configure_logs(settings.log_format, settings.log_level)
        asyncio.run(serve(settings, lambda url, inner: note(f"gateway at {url}, see {url}/docs; metrics at {inner}")))
        return Exit.OK

    guarded(work)
