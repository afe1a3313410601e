"""The worker: settings, one Faust application, one attach per step of the flow. `python -m agents`."""

from __future__ import annotations

import asyncio
import os
import sys

from faust import App, Worker

from agents import accept, enrich, label, record, score, warn
from pipeline import memory
from pipeline.app import build_app, input_channel, step_channel
from pipeline.clickhouse import ClickHouse
from pipeline.command.output import Exit, note
from pipeline.desk import Desk
from pipeline.errors import SettingsError, TouchlineError, Unavailable
from pipeline.ledger.migrate import require_current
from pipeline.settings import Settings, load_settings
from pipeline.telemetry import configure_logs
from pipeline.topics import require_topics
from schemas.topics import LEDGER_TOPICS


def wire(app: App, desk: Desk, settings: Settings) -> None:
    """The way of an event: accept -> enrich -> label -> record -> score -> warn."""
    polls = input_channel(app, settings, *LEDGER_TOPICS)
    profiles = input_channel(app, settings, "profiles")
    ticks = input_channel(app, settings, "ticks")
    accepted, enriched, labelled, recorded = (step_channel(app) for _ in range(4))

    accept.attach(app, desk, reads=polls, writes=accepted)
    enrich.attach(app, desk, reads=accepted, writes=enriched, profiles=profiles)
    label.attach(app, desk, reads=enriched, writes=labelled)
    record.attach(app, desk, reads=labelled, writes=recorded)
    score.attach(app, desk, reads=recorded)
    warn.attach(app, desk, reads=ticks)
    desk.attach(app)


def main() -> int:
    """Runs a worker until SIGTERM; the exit code says how it ended (README)."""
    try:
        settings = load_settings()
        settings.require_keys()
        configure_logs(settings.log_format, settings.log_level)
        asyncio.run(require_topics(settings))
        require_current(ClickHouse(settings))
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        app = build_app(settings)
        desk = Desk(app, settings)
    except SettingsError as error:
        note(str(error))
        return Exit.USAGE
    except Unavailable as error:
        note(str(error))
        return Exit.UNREACHABLE
    except TouchlineError as error:
        note(str(error))
        return Exit.FAILURE
    wire(app, desk, settings)
    worker = Worker(app, loop=loop, loglevel=None, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it would write to standard output
    memory.settle()
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        sys.stderr.flush()
        # Threads that still wait for a database that hangs must not hold the process.
        os._exit(int(ended.code or 0))


if __name__ == "__main__":
    sys.exit(main())
