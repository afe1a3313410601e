"""`touchline tail` [I/O]: what customers say, or what becomes of alerts, line by line."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.command.top import Where, view_of

app = typer.Typer(rich_markup_mode=None)

#: Between two looks at what is new.
_TAIL_S = 1.0


@app.command()
def tail(
    alerts: Annotated[bool, typer.Option("--alerts", help="steps of alerts")] = False,
    feedback: Annotated[bool, typer.Option("--feedback", help="what customers say, masked (the default)")] = False,
    where: Where = None,
    lines: Annotated[int, typer.Option("--lines", min=0, max=60, help="of what was said before")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="end after so long; 0 goes on until Ctrl-C")] = 0.0,
    json: AsJson = False,
) -> None:
    """What customers say, or what becomes of alerts, line by line as it comes."""
    told = alerts and not feedback
    guarded(lambda: _alerts(seconds, lines, json) if told else _feedback(where or [], seconds, lines, json))


def _feedback(where: list[str], seconds: float, most: int, json: bool) -> int:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import load_settings
    from pipeline.views.page import readings
    from pipeline.views.page.items import matches, shown
    from pipeline.views.terminal import Choice, said

    client = ClickHouse(load_settings(), timeout_s=60.0)
    view = view_of(Choice(), where)
    began, first = time.monotonic(), True
    at: dict[tuple[int, int], int] = {}
    try:
        while True:
            settled = {
                (epoch, part): off
                for topic, part, epoch, off, _ in readings.progress(client).iter_rows()
                if topic == "feedback"
            }
            at = {place: at.get(place, max(-1, off - readings.NEWEST)) for place, off in settled.items()}
            rows = readings.feedback_after(client, at)
            found = [item for item in map(shown, reversed(rows)) if matches(view, item)]
            for item in found[-most:] if first and most else [] if first else found:
                emit_json(item) if json else emit(said(item))
            at = {place: max(off, settled[place]) for place, off in at.items()}
            for row in rows:
                at[row["epoch"], row["part"]] = max(at[row["epoch"], row["part"]], row["off"])
            first = False
            if seconds and time.monotonic() - began >= seconds:
                return Exit.OK
            time.sleep(_TAIL_S)
    finally:
        client.close()


def _alerts(seconds: float, most: int, json: bool) -> int:
    import asyncio

    from pipeline.settings import load_settings
    from pipeline.tasks import ended
    from pipeline.telemetry import mute_libraries
    from pipeline.views.page.alarms import ALARMS_S, Alarms
    from pipeline.views.page.following import Following
    from pipeline.views.terminal import alarm

    mute_libraries()
    alarms, said = Alarms(), set[tuple[str, int]]()
    trouble: dict[str, str] = {}

    def new() -> list[dict[str, Any]]:
        steps = {(step["alert_id"], step["revision"]): step for step in reversed(alarms.newest(time.time()))}
        found = [step for name, step in steps.items() if name not in said]
        said.update(steps)
        return found

    async def go() -> None:
        takers = {"alerts": (alarms.take, ALARMS_S)}
        reading = asyncio.create_task(Following(load_settings(), takers, trouble, time.time).run())
        began, first = time.monotonic(), True
        while not seconds or time.monotonic() - began < seconds:
            await asyncio.sleep(_TAIL_S)
            found = new()
            for step in found[-most:] if first and most else [] if first else found:
                emit_json(step) if json else emit(alarm(step))
            first = False
        await ended([reading])

    asyncio.run(go())
    for text in trouble.values():
        note(text)
    return Exit.OK
