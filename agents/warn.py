"""Warn: where drops will be detected. For now it keeps its place: it watches that published scores can be read back.

It detects nothing and says so; the detectors come with a work of their own.
"""

from __future__ import annotations

from typing import Any

import faust

from pipeline.desk import Desk
from pipeline.scores.publishing import readable


def attach(app: faust.App, desk: Desk, reads: Any) -> None:
    """On every tick that comes to the owner of `ticks`: can the newest score be read from its topic?"""

    @desk.agent(app, reads, "warn")
    async def warn(stream: Any) -> None:
        async for _ in stream:
            seen = await readable(desk.settings)
            desk.telemetry.set("touchline_scores_readable", 1 if seen else 0)
