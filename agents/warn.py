"""Warn: in the owner of `ticks`, closed windows are judged, findings become alerts, and whoever answers is called."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import faust

from pipeline.alerts.finding import Finding, Verdict
from pipeline.desk import Desk
from pipeline.errors import Unavailable
from pipeline.ledger.custody import fence
from pipeline.scores.publishing import readable
from pipeline.slices import Partition
from pipeline.telemetry import log

#: Each look is a consumer of its own, which connects and asks for offsets: not on every tick, seconds.
_LOOK_S = 10.0
#: Messages that are ready are handed over this often, seconds: a single event is to be told within five.
_CALL_S = 0.5

_log = log("touchline.warn")


def attach(app: faust.App, desk: Desk, reads: Any) -> None:
    """On each tick, whose append time is "now": what is found, what follows from it. Beside it: handing over."""

    @desk.agent(app, reads, "warn")
    async def warn(stream: Any) -> None:
        async for poll in stream:
            await look(desk, poll.records[-1].timestamp)

    @desk.timer(app, _CALL_S, "call")
    async def call() -> None:
        await hand_over(desk)

    @desk.timer(app, _LOOK_S, "readable")
    async def seen() -> None:
        if owns(desk):
            desk.telemetry.set("touchline_scores_readable", 1 if await readable(desk.settings) else 0)


def owns(desk: Desk) -> bool:
    """Whether the one partition of `ticks` is ours, and we are awake."""
    return desk.custody.alive() and Partition("ticks", 0) in desk.group.assigned()


async def look(desk: Desk, now_ms: int) -> None:
    """What the windows closed by now say, and what follows; forgotten where `ticks` is another's.

    `now_ms` is the broker's clock. What was found is given again until its steps are written.
    """
    desk.now_ms = now_ms
    if not owns(desk):
        forget(desk)
        return
    generation = desk.group.generation()
    if generation != desk.caller.generation:
        # Between two generations another worker may have owned the book.
        forget(desk)
        desk.caller.generation = generation
    above = partial(fence, generation=generation)
    began = time.perf_counter()
    try:
        await desk.caller.own(now_ms, above)
        found = await desk.watch.step(now_ms)
        await desk.caller.step(found, now_ms, above)
        if desk.caller.book is not None:
            await desk.watch.settled()
    except Unavailable as error:
        _log.warning("not answered, looked at again with the next tick", reason=str(error))
        return
    show(desk, found, time.perf_counter() - began)


def show(desk: Desk, found: Sequence[Finding], seconds: float) -> None:
    """What was seen, in the log and the metrics."""
    for finding in found:
        if finding.verdict == Verdict.RAISED:
            _log.warning("raised", rule=finding.rule, scope=dict(finding.scope), owner=finding.owner)
    figures, telemetry = desk.watch.figures, desk.telemetry
    telemetry.total("touchline_windows_judged_total", figures.windows)
    telemetry.total("touchline_verdicts_raised_total", figures.raised)
    telemetry.set("touchline_scopes_watched", figures.cells)
    telemetry.observe("touchline_step_seconds", seconds, step="warn")


def forget(desk: Desk) -> None:
    """Another worker watches and calls now."""
    desk.caller.forget()
    desk.watch.forget()


async def hand_over(desk: Desk) -> None:
    """Messages that are ready go out, beside those that a slow receiver is still being told."""
    for task in [task for task in desk.calling if task.done()]:
        desk.calling.discard(task)
        task.result()
    if owns(desk) and desk.now_ms:
        desk.calling.add(asyncio.create_task(desk.caller.deliver(desk.now_ms)))
