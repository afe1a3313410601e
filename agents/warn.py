"""Warn: on ticks that come to the owner of `ticks`, judges newly closed windows by the rules, and looks whether
published scores can be read back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import faust

from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.watching import Watch
from pipeline.desk import Desk
from pipeline.errors import Unavailable
from pipeline.ledger.custody import fence
from pipeline.scores.publishing import readable
from pipeline.telemetry import log

#: Each look is a consumer of its own, which connects and asks for offsets: not on every tick, seconds.
_LOOK_S = 10.0

_log = log("touchline.warn")


def attach(app: faust.App, desk: Desk, reads: Any) -> None:
    """Findings of the rules, then whether the newest score can be read from its topic."""
    watch = watching(desk)

    @desk.agent(app, reads, "warn")
    async def warn(stream: Any) -> None:
        due = 0.0
        async for _ in stream:
            await watched(desk, watch, time.time_ns() // 1_000_000)
            if time.monotonic() < due:
                continue
            seen = await readable(desk.settings)
            desk.telemetry.set("touchline_scores_readable", 1 if seen else 0)
            due = time.monotonic() + _LOOK_S


def watching(desk: Desk) -> Watch:
    """The watch of this worker, with the fence of the owner of `ticks`."""
    return Watch(desk.pool, desk.alert_rules, lambda: fence(desk.tick_fence, desk.group.generation()))


async def watched(desk: Desk, watch: Watch, now_ms: int) -> Sequence[Finding]:
    """One step: what the rules found; nothing when the database does not answer, then the next tick looks again."""
    began = time.perf_counter()
    try:
        found = await watch.step(now_ms)
        for finding in found:
            if finding.verdict == Verdict.RAISED:
                _log.warning("raised", rule=finding.rule, scope=dict(finding.scope), owner=finding.owner)
        await watch.settled()
    except Unavailable as error:
        _log.warning("not watched, tried again", reason=str(error))
        return ()
    figures, telemetry = watch.figures, desk.telemetry
    telemetry.total("touchline_windows_judged_total", figures.windows)
    telemetry.total("touchline_verdicts_raised_total", figures.raised)
    telemetry.set("touchline_scopes_watched", figures.cells)
    telemetry.observe("touchline_step_seconds", time.perf_counter() - began, step="warn")
    return found
