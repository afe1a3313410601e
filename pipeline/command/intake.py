"""`touchline simulate`, `produce`, `import`: events into Kafka from the simulator and from files [I/O]."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.command.progress import progress
from pipeline.errors import SettingsError, TouchlineError, Unavailable, UsageError

if TYPE_CHECKING:
    from pipeline.intake.feeding import TableImport
    from pipeline.intake.tables import Plan, When
    from pipeline.intake.verdicts import Tally, Verdict
    from pipeline.intake.world import World

app = typer.Typer(rich_markup_mode=None, help="Events into Kafka: simulated, or from files.")

#: Events of a simulation when nothing is said.
COUNT = 10_000
#: Refused rows named one by one before only the summary counts them.
NAMED = 50

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
    with _exits("simulate"):
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
    with _exits("produce"):
        from pipeline.intake.lines import TARGETS

        if topic and topic not in TARGETS:
            raise UsageError(f"--topic {topic}: one of {', '.join(TARGETS)}")
        tally = asyncio.run(_produce(file, topic or None, (raw, dry_run), json))
        _finish(tally, json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="a table: CSV, or TSV with --separator tab")],
    mapping: Annotated[list[str], typer.Option("--map", help="field=column, or field==constant for all rows")],
    time_column: Annotated[str, typer.Option("--time", help="the column with the event's time")] = "",
    at: Annotated[str, typer.Option(help="one time for all rows, ISO 8601 with zone")] = "",
    zone: Annotated[str, typer.Option(help="zone of times without one, e.g. Europe/Berlin")] = "",
    time_format: Annotated[str, typer.Option(help="strptime format of --time, e.g. '%d.%m.%Y %H:%M'")] = "",
    separator: Annotated[str, typer.Option(help="one character, or tab")] = ",",
    columns: Annotated[str, typer.Option(help="names of the columns, a,b,c, where the file has no header")] = "",
    quote: Annotated[str, typer.Option(help="quote character; none for files that do not quote")] = '"',
    encoding: Annotated[str, typer.Option(help="e.g. latin-1")] = "utf-8-sig",
    live: Annotated[bool, typer.Option(help="to the live topics: may alert, times of the last 30 days only")] = False,
    again: Annotated[bool, typer.Option(help="from the first row, whatever earlier runs sent")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check only, send nothing")] = False,
    json: AsJson = False,
) -> None:
    """Import a table as quiet history (no alerts). A killed import goes on where it was; doubles never count."""
    with _exits("import"):
        from pipeline.intake.feeding import Layout, TableImport
        from pipeline.settings import load_settings

        layout = Layout(
            separator="\t" if separator in ("tab", "\\t") else separator,
            columns=tuple(columns.split(",")) if columns else (),
            quote="" if quote == "none" else quote,
            encoding=encoding,
        )
        if len(layout.separator) != 1 or len(layout.quote) > 1:
            raise UsageError("--separator is one character or `tab`, --quote one character or `none`")
        plan = _plan(mapping, _when(time_column, at, zone, time_format))
        table = TableImport(file, layout, plan, load_settings().state_dir)
        topic = _topic_of(table.plan) if live else "history"
        _finish(asyncio.run(_import(table, topic, (again, dry_run), json)), json)


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


# --- produce, import -----------------------------------------------------------------------------
async def _produce(file: str, topic: str | None, how: tuple[bool, bool], json: bool) -> Tally:
    from pipeline.intake.feeding import Target, feed_lines
    from pipeline.intake.producing import Producer, pseudonyms_of
    from pipeline.settings import load_settings

    raw, dry_run = how
    settings = load_settings()
    with _source(file) as lines, _watched(json, None) as watch:
        if dry_run:
            return await feed_lines(Target(None, topic, pseudonyms_of(settings), raw), lines, watch)
        async with Producer(settings) as producer:
            return await feed_lines(Target(producer, topic, pseudonyms_of(settings), raw), lines, watch)


async def _import(table: TableImport, topic: str, how: tuple[bool, bool], json: bool) -> Tally:
    from pipeline.intake.feeding import Target
    from pipeline.intake.producing import Producer, pseudonyms_of
    from pipeline.intake.verdicts import Tally
    from pipeline.settings import load_settings

    again, dry_run = how
    settings = load_settings()
    pseudonyms = pseudonyms_of(settings)
    before = None if again or dry_run else table.position(topic)
    if before is not None:
        note(f"earlier runs went through {before.rows:,} rows; going on after them (--again begins anew)")
    with _watched(json, None) as watch:
        if dry_run:
            return await table.run(Target(None, topic, pseudonyms), Tally(), watch)
        async with Producer(settings) as producer:
            return await table.run(Target(producer, topic, pseudonyms), before or Tally(), watch)


def _finish(tally: Tally, json: bool) -> None:
    """The summary, and exit code 1 when a row was refused."""
    if json:
        emit_json({"summary": tally.document()})
    for line in tally.lines():
        note(line)
    if tally.refused:
        raise typer.Exit(Exit.FAILURE)


def _plan(mapping: list[str], when: When) -> Plan:
    """The plan of `--map field=column` and `--map field==constant`."""
    from pipeline.intake.tables import Plan

    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    for entry in mapping:
        name, equals, rest = entry.partition("=")
        if not name or not equals or not rest or rest == "=":
            raise UsageError(f"--map {entry}: write field=column, or field==constant")
        if rest.startswith("="):
            constants[name] = rest[1:]
        else:
            columns[name] = rest
    return Plan(columns, constants, when)


def _when(column: str, at: str, zone: str, form: str) -> When:
    from datetime import datetime
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from pipeline.intake.tables import When

    try:
        known = ZoneInfo(zone) if zone else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"--zone {zone}: no such zone; names are like Europe/Berlin or UTC") from error
    try:
        moment = datetime.fromisoformat(at) if at else None
    except ValueError as error:
        raise UsageError(f"--at {at}: write it like 2026-01-31T12:00:00Z") from error
    if moment is not None and moment.tzinfo is None and known is None:
        raise UsageError(f"--at {at}: no zone; add one (2026-01-31T12:00:00Z) or --zone UTC")
    return When(column, moment, known, form)


def _topic_of(plan: Plan) -> str:
    return "feedback" if plan.record.__name__ == "Feedback" else "touchpoints"


@contextmanager
def _source(file: str) -> Iterator[Any]:
    if file == "-":
        yield sys.stdin.buffer
        return
    if not Path(file).is_file():
        raise UsageError(f"{file}: no such file")
    with Path(file).open("rb") as opened:
        yield opened


@contextmanager
def _watched(json: bool, total: int | None) -> Iterator[Callable[[list[Verdict], Tally], None]]:
    """Tells verdicts and progress: every row as JSON, or the first refused ones as lines."""
    named = 0
    with progress("rows", total) as moved:

        def watch(verdicts: list[Verdict], tally: Tally) -> None:
            nonlocal named
            if json:
                emit("\n".join(orjson.dumps(verdict.document()).decode() for verdict in verdicts))
            for verdict in verdicts if not json else ():
                if verdict.rejection is not None and named < NAMED:
                    named += 1
                    note(verdict.line() + ("; more of them only in the summary" if named == NAMED else ""))
            moved(tally.rows)

        yield watch


@contextmanager
def _exits(name: str) -> Iterator[None]:
    """Errors as a line and an exit code: 2 usage, 4 Kafka unreachable, 1 everything else of ours."""
    try:
        yield
    except (UsageError, SettingsError) as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.USAGE) from error
    except Unavailable as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from error
    except TouchlineError as error:
        note(f"touchline {name}: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    except BrokenPipeError:
        # `| head` has seen enough.
        raise typer.Exit(Exit.OK) from None
