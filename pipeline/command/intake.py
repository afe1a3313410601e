"""`touchline simulate`, `produce`, `import`: events into Kafka from the simulator and from files [I/O]."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from pipeline.command.importing import import_
from pipeline.command.output import note
from pipeline.command.progress import progress
from pipeline.command.telling import exits, finish, watched
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.intake.verdicts import Tally
    from pipeline.intake.world import World

app = typer.Typer(rich_markup_mode=None, help="Events into Kafka: simulated, or from files.")
app.command("import")(import_)

#: Events of a simulation when nothing is said.
COUNT = 10_000

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document a row and a summary, on standard output")]


@app.command("simulate")
def simulate(
    seed: Annotated[int, typer.Option(min=0, help="the same seed and times give the same bytes")] = 7,
    customers: Annotated[int, typer.Option(min=1, max=10_000_000)] = 100_000,
    count: Annotated[int, typer.Option(min=1, help="events of the history")] = COUNT,
    days: Annotated[float, typer.Option(min=0.01, help="days of history before --end")] = 28.0,
    end: Annotated[str, typer.Option(help="end of the history: ISO time, or -2h from now")] = "-0s",
    rate: Annotated[float, typer.Option(min=0, help="live instead of history: events a second")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0, help="how long to go on live; 0 means until ended")] = 0.0,
    bad: Annotated[float, typer.Option(min=0, max=1, help="share of planted bad events")] = 0.002,
    incident: Annotated[list[str], typer.Option(help="TROUBLE@WHEN[/REGION], e.g. late_delivery@-7d/north")] = [],  # noqa: B006
    topic: Annotated[str, typer.Option(help="only this one: touchpoints, feedback or profiles")] = "",
    to: Annotated[str, typer.Option(help="kafka, or - for NDJSON on standard output")] = "-",
) -> None:
    """Simulate customers: orders, deliveries, support, and what they say because of it."""
    with exits("simulate"):
        from pipeline.intake.world import World, parse_incident, parse_time

        now_ms = int(time.time() * 1000)
        if to not in ("-", "kafka") or topic not in ("", "touchpoints", "feedback", "profiles"):
            raise UsageError("--to is kafka or -; --topic is touchpoints, feedback or profiles")
        try:
            end_ms = parse_time(end, now_ms)
            world = World(
                seed=seed,
                customers=customers,
                bad=bad,
                incidents=tuple(parse_incident(text, now_ms) for text in incident),
            )
        except ValueError as error:
            raise UsageError(f"{error}; an incident is written late_delivery@-7d/north") from error
        span = (end_ms - int(days * 86_400_000), end_ms, count)
        if to == "-":
            _write_out(world, span, (rate, seconds), topic)
        else:
            asyncio.run(_simulate_into_kafka(world, span, (rate, seconds), topic))


@app.command("produce")
def produce(
    file: Annotated[str, typer.Argument(help="NDJSON, one event a line; - for standard input")],
    topic: Annotated[str, typer.Option(help="where all go; else by what each line is")] = "",
    raw: Annotated[bool, typer.Option(help="send invalid lines too (the worker rejects them)")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check only, send nothing")] = False,
    json: AsJson = False,
) -> None:
    """Send events from NDJSON; each line is checked first. Exit code 1 when any was refused."""
    with exits("produce"):
        from pipeline.intake.lines import TARGETS

        if topic and topic not in TARGETS:
            raise UsageError(f"--topic {topic}: one of {', '.join(TARGETS)}")
        tally = asyncio.run(_produce(file, topic or None, (raw, dry_run), json))
        finish(tally, json)


# --- simulate ------------------------------------------------------------------------------------
def _write_out(world: World, span: tuple[int, int, int], live: tuple[float, float], topic: str) -> None:
    """NDJSON on standard output: bare events of one topic, or lines with topic, key and value."""
    from pipeline.intake.simulator import simulate_history, simulate_profiles

    out = sys.stdout.buffer
    if live[0]:
        for events in _live_ticks(world, *live):
            out.writelines(_line(name, key, value, topic) for name, key, value in events)
            out.flush()
        return
    batches = simulate_profiles(world, span[0]) if topic == "profiles" else simulate_history(world, *span)
    for batch in batches:
        out.writelines(_line(batch.topic, k, v, topic) for k, v in zip(batch.keys, batch.values, strict=True))
    out.flush()


def _live_ticks(world: World, rate: float, seconds: float) -> Iterator[list[tuple[str, bytes, bytes]]]:
    from pipeline.intake.simulator import simulate_live

    following = simulate_live(world, rate)
    following(int(time.time() * 1000), 0)
    began, given = time.monotonic(), 0
    passed = 0.0
    while not seconds or passed < seconds:
        time.sleep(0.1)
        passed = time.monotonic() - began
        due = int((min(passed, seconds) if seconds else passed) * rate)
        yield following(int(time.time() * 1000), due - given)
        given = due


def _line(name: str, key: bytes, value: bytes, topic: str) -> bytes:
    if topic:
        return value + b"\n" if name == topic else b""
    # What is no JSON (a planted event) stands as a string; `produce` takes it out again.
    shown = value if value.endswith(b"}") else orjson.dumps(value.decode(errors="replace"))
    return b'{"topic":"%s","key":%s,"value":%s}\n' % (name.encode(), orjson.dumps(key.decode()), shown)


async def _simulate_into_kafka(world: World, span: tuple[int, int, int], live: tuple[float, float], topic: str) -> None:
    from pipeline.intake.loading import Loaded, Span, load_history, load_profiles, stream_live, world_for
    from pipeline.intake.producing import Producer
    from pipeline.settings import load_settings

    if topic in ("touchpoints", "feedback"):
        raise UsageError("--topic with --to kafka is profiles, or none: journeys go to both topics")
    settings = load_settings()
    world = world_for(settings, world)
    with progress("events", None if live[0] else span[2]) as moved:

        def watch(done: Loaded) -> None:
            moved(done.total)

        async with Producer(settings) as producer:
            if topic == "profiles":
                note(f"{await load_profiles(producer, world, span[0]):,} profiles sent")
                return
            if live[0]:
                done = await stream_live(producer, world, live[0], live[1] or None, watch)
            else:
                done = await load_history(producer, world, Span(*span), watch)
    note(f"{done.total:,} events sent in {done.seconds:.1f} s, {done.total / max(done.seconds, 1e-9):,.0f} events/s")
    if done.planted:
        note("planted bad ones: " + ", ".join(f"{kind} {n}" for kind, n in sorted(done.planted.items())))


# --- produce -----------------------------------------------------------------------------
async def _produce(file: str, topic: str | None, how: tuple[bool, bool], json: bool) -> Tally:
    from pipeline.intake.feeding import Target, feed_lines
    from pipeline.intake.producing import Producer, pseudonyms_of
    from pipeline.settings import load_settings

    raw, dry_run = how
    settings = load_settings()
    with _source(file) as lines, watched(json, None) as watch:
        if dry_run:
            return await feed_lines(Target(None, topic, pseudonyms_of(settings), raw), lines, watch)
        async with Producer(settings) as producer:
            return await feed_lines(Target(producer, topic, pseudonyms_of(settings), raw), lines, watch)


@contextmanager
def _source(file: str) -> Iterator[Any]:
    if file == "-":
        yield sys.stdin.buffer
        return
    if not Path(file).is_file():
        raise UsageError(f"{file}: no such file")
    with Path(file).open("rb") as opened:
        yield opened
