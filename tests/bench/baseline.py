"""The plain Faust agent that the worker is compared with: `python -m tests.bench.baseline COUNT`.

As most people write it: one record at a time, decoded by orjson, one-minute windows by channel, touchpoint and metric
counted in a dict. It prints a line with wall time and CPU time at its first and at its COUNTth record, and ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from typing import Any

import faust
import orjson
from faust import Worker

from pipeline.settings import Settings, load_settings


def build(settings: Settings, count: int) -> faust.App:
    """The application; the settings are Faust's defaults but for what keeps it off the network and the disk."""
    app = faust.App(
        f"{settings.group}-plain",
        broker=f"aiokafka://{settings.bootstrap_servers}",
        value_serializer="raw",
        key_serializer="raw",
        store="memory://",
        datadir=settings.state_dir / "plain",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        worker_redirect_stdouts=False,
    )
    topic = app.topic(settings.topic("feedback"))
    windows: Counter[tuple[str, str, str, str]] = Counter()

    @app.agent(topic)
    async def counted(stream: Any) -> None:
        seen = 0
        async for value in stream:
            event = orjson.loads(value)
            windows[(event["occurred_at"][:16], event["channel"], event["touchpoint"], event["metric"])] += 1
            seen += 1
            if seen == 1:
                _say("first")
            if seen == count:
                _say("last")
                sys.stdout.flush()
                os._exit(0)

    return app


def _say(what: str) -> None:
    print(what, time.monotonic(), time.process_time(), flush=True)


def main() -> None:
    """Runs until it has counted as many records as the only argument says."""
    settings = load_settings()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(settings, int(sys.argv[1]))
    Worker(app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
