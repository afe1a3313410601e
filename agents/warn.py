"""Warn: where drops will be detected. For now it keeps its place: it watches that published scores can be read back.

It detects nothing and says so; the detectors come with a work of their own.
"""

from __future__ import annotations

import time
from typing import Any

import faust

from pipeline.desk import Desk
from pipeline.scores.publishing import readable

#: Each look is a consumer of its own, which connects and asks for offsets: not on every tick, seconds.
_LOOK_S = 10.0


def attach(app: faust.App, desk: Desk, reads: Any) -> None:
    """On ticks that come to the owner of `ticks`: can the newest score be read from its topic?"""

    @desk.agent(app, reads, "warn")
    async def warn(stream: Any) -> None:
        due = 0.0
        async for _ in stream:
            if time.monotonic() < due:
                continue
            seen = await readable(desk.settings)
            desk.telemetry.set("touchline_scores_readable", 1 if seen else 0)
            due = time.monotonic() + _LOOK_S
