"""`touchline demo` [I/O]: a stack, two workers, history, a day with an incident, a killed worker, and the proof."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import StackError

if TYPE_CHECKING:
    from pipeline.command.demo_live import Crew, Shown
    from pipeline.intake.loading import Loaded
    from pipeline.ledger.audit import Audit
    from pipeline.settings import Settings
    from pipeline.stack.launch import Stack

app = typer.Typer(rich_markup_mode=None)

#: The live part where nobody watches.
SECONDS = 60.0
DAYS = 28
_HOUR_MS = 3_600_000
#: Events of the history, and of its last day, which comes as live events: a busy one. Half an hour of trouble in a
#: quarter of the deliveries of an average day would be a handful of answers: too few for anybody to see.
EVENTS, EVENTS_OF_DAY = 1_000_000, 300_000
#: Hours of that day; the last two, with the incident, are told slowly.
HOURS, _LEAST_HOURS = 24, 3
#: The day is told within this time, a third of it for all but the last two hours.
_TELL_S, _LEAST_TELL_S = 36.0, 18.0
CUSTOMERS = 100_000
#: Share of bad events, planted among the others: enough to see, far from what stops a partition.
BAD = 0.005
#: A killed worker is missed after this time; shorter ones mistake a busy laptop for a dead one.
_SESSION_S = 12
#: Window rows that one event of a month of history makes, at most; as many as can stay in memory while it is loaded.
_ROWS_AN_EVENT = 5
#: Longest wait until all is counted after a stage; far above what any machine needs.
_SETTLE_S = 900.0
_LOOK_S = 0.5
#: An event for whoever watches to send, as it stands between the quotes of a shell.
_MINE = (
    """{"event_id": "mine-1", "occurred_at": "'$(date -u +%FT%TZ)'", "channel": "web", "touchpoint": "mine","""
    """ "customer_id": "c-me", "metric": "nps", "score": 9}"""
)
#: A line of progress this often.
_SAY_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, and when it began; `seconds` None goes on until Ctrl-C."""

    seconds: float | None
    folder: Path | None
    events: int
    rate: float
    json: bool
    begun_ms: int
    day: int = EVENTS_OF_DAY
    hours: int = HOURS
    bad: float = BAD
    picture: Path | None = None

    @property
    def telling(self) -> tuple[float, float]:
        """Seconds for the quiet part of the last day, and for its last two hours."""
        whole = min(_TELL_S, max(_LEAST_TELL_S, self.seconds or _TELL_S))
        return whole / 3, whole * 2 / 3

    @property
    def customers(self) -> int:
        """Four events a customer in the history, up to a number whose profiles load in seconds."""
        return min(CUSTOMERS, max(1_000, self.events // 4))


@app.command("demo")
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="the live part; on a terminal until Ctrl-C")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="keep the data here; else a temporary folder")] = None,
    events: Annotated[
        int, typer.Option(min=1_000, help="events of the history: four weeks up to --hours ago")
    ] = EVENTS,
    day: Annotated[
        int, typer.Option(min=1_000, help="events of the last --hours, told live within half a minute")
    ] = EVENTS_OF_DAY,
    hours: Annotated[
        int, typer.Option(min=_LEAST_HOURS, max=HOURS, help="of the last day, told live: fewer are judged sooner")
    ] = HOURS,
    rate: Annotated[float, typer.Option(min=1, max=5_000, help="live events a second")] = 200.0,
    picture: Annotated[Path | None, typer.Option(help="draw the last table into this file (SVG)")] = None,
    json: AsJson = False,
) -> None:
    """Show it all on this machine: Kafka, ClickHouse's engine, history, an incident, live scores, the audit.

    Exit codes: 0 the audit holds, 3 it does not, 1 something could not be started. Nothing stays behind.
    """
    lasting = seconds or (None if sys.stdout.isatty() and not json else SECONDS)
    plan = Plan(
        lasting, folder, events, rate, json, begun_ms=int(time.time() * 1000), picture=picture, day=day, hours=hours
    )
    guarded(lambda: _run(plan))


def _run(plan: Plan) -> int:
    from pipeline.command.demo_live import Crew
    from pipeline.settings import load_settings, only
    from pipeline.stack.launch import running
    from pipeline.telemetry import mute_libraries

    mute_libraries()
    only(variables(plan))
    signal.signal(signal.SIGTERM, _terminated)
    with _folder(plan.folder) as folder, running(folder, prepared=True, note=note) as stack:
        settings = load_settings(bootstrap_servers=stack.bootstrap, clickhouse_url=stack.clickhouse_url)
        crew = Crew(stack)
        note(f"stack in {folder}: Kafka {stack.bootstrap}, ClickHouse {stack.clickhouse_url}")
        _open_gateway(stack, settings)
        page = stack.start_page()
        note("starting two workers")
        crew.start("worker-1")
        crew.start("worker-2")
        crew.wait_ready()
        stack.wait_page()
        note(f"the live page: {page} (scores move there as soon as events come)")
        history = asyncio.run(_load(plan, settings, crew))
        shown = asyncio.run(_live(plan, settings, crew))
        if plan.picture is not None and shown.picture is not None:
            from pipeline.views.live import svg

            plan.picture.write_text(svg(shown.picture))
            note(f"the table as it stood at the end of the live part: {plan.picture}")
        return concluded(plan, settings, history, shown)


def variables(plan: Plan) -> dict[str, str]:
    """The settings of a demo, for its workers too; none of the caller's own."""
    from pipeline.settings import MOST_HOT_ROWS

    return {
        "TOUCHLINE_INSECURE_KEYS": "true",
        "TOUCHLINE_SESSION_TIMEOUT_S": str(_SESSION_S),
        "TOUCHLINE_HOT_ROWS": str(min(MOST_HOT_ROWS, max(1_000_000, _ROWS_AN_EVENT * plan.events))),
    }


def _open_gateway(stack: Stack, settings: Settings) -> None:
    """Starts the gateway with a key for whoever watches, and says how to send an event and to see it."""
    from pipeline.access import store
    from pipeline.access.keys import Grant, Right
    from pipeline.clickhouse import ClickHouse

    client = ClickHouse(settings)
    name = f"demo-{int(time.time())}"  # a folder used before has keys of which nobody knows the tokens
    _, token = store.create(client, Grant("", name, frozenset({Right.WRITE})), 0)
    client.close()
    where = stack.start_gateway().address
    note("send an event of your own, and see it within a second or two:")
    note(f"  curl -s {where}/v1/events -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\")
    note(f"    -d '{_MINE}'")
    note(f'  eval "$(touchline env --dir {stack.folder})"; touchline scores --metric nps --where touchpoint=mine')


def concluded(plan: Plan, settings: Settings, history: Loaded, shown: Shown) -> Exit:
    """The results, and the proof of them: the same as `touchline audit`. Only what holds ends well."""
    from pipeline.ledger.audit import audit

    note("audit: every offset against the ledger, every window against a recomputation")
    found = audit(settings)
    _tell(plan, history, shown, found)
    return Exit.OK if found.holds else Exit.DIFFERENCE


async def _load(plan: Plan, settings: Settings, crew: Crew) -> Loaded:
    """Profiles and the history up to the last hours as fast as they go; returns when all of it is counted."""
    from pipeline.intake.loading import Span, load_history, load_profiles
    from pipeline.intake.producing import Producer
    from pipeline.intake.world import World
    from pipeline.views.demo import LogEnds, Reader

    now_ms = int(time.time() * 1000)
    start_ms = now_ms - DAYS * 24 * _HOUR_MS
    world = World(customers=plan.customers, bad=plan.bad)
    reader = Reader(settings)
    async with Producer(settings) as producer, LogEnds(settings) as ends:
        profiles = await load_profiles(producer, world, start_ms)
        asked = f"{plan.events:,} events of four weeks up to {plan.hours} hours ago"
        note(f"{profiles:,} customer profiles sent; now {asked}")
        began = time.monotonic()
        before = (await asyncio.to_thread(reader.progress, await ends.read())).counted
        loading = asyncio.create_task(
            load_history(producer, world, Span(start_ms, now_ms - plan.hours * _HOUR_MS, plan.events), to="history")
        )
        said = began
        while True:
            progress = await asyncio.to_thread(reader.progress, await ends.read())
            passed = time.monotonic() - began
            if loading.done() and progress.behind == 0:
                break
            if time.monotonic() - said >= _SAY_S:
                said = time.monotonic()
                counted = progress.counted - before
                note(f"{passed:4.0f} s  {counted:>9,} events in ledger and windows, {counted / passed:,.0f} events/s")
            crew.check(passed, _SETTLE_S, f"{progress.behind:,} events of the history are not counted yet")
            await asyncio.wait({loading}, timeout=_LOOK_S)
            if loading.done():
                loading.result()
                await asyncio.sleep(_LOOK_S)
    done = await loading
    done.seconds = passed
    reader.close()
    return done


async def _live(plan: Plan, settings: Settings, crew: Crew) -> Shown:
    from pipeline.command.demo_live import Act

    return await Act(plan, settings, crew).run()


def _tell(plan: Plan, history: Loaded, shown: Shown, audit: Audit) -> None:
    """The results: on standard output."""
    from pipeline.command.proof import report
    from pipeline.views.live import report as scores

    if plan.json:
        emit_json(_document(history, shown, audit))
        return
    emit("")
    proof = [*_equation(audit), report(audit)[-1]] if audit.holds else report(audit)
    for line in (*scores(shown.rows), "", *_sums(plan, history, shown), "", *proof):
        emit(line)


def _sums(plan: Plan, history: Loaded, shown: Shown) -> list[str]:
    """What went in, and what was found of the bad ones."""
    planted = history.planted + shown.told.planted + shown.planted
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in sorted(planted.items()))
    found = ", ".join(f"{reason} {n:,}" for reason, n in sorted(shown.refused.items()))
    return [
        f"history   {history.total:,} events in {history.seconds:.1f} s until counted:"
        f" {history.total / history.seconds:,.0f} events/s",
        f"last day  {shown.told.total:,} events of {plan.hours} hours in {shown.told.seconds:.0f} s, as live ones",
        shown.alarms.summary() if shown.alarms is not None else "alerts    none",
        f"live      {shown.sent:,} events in {shown.seconds:.0f} s; all counted {shown.settle_s:.1f} s after the last",
        f"planted   {planted.total():,} bad events: {kinds}",
        f"found     {shown.refused.total():,}: {found}",
    ]


def _equation(audit: Audit) -> list[str]:
    """The equation of each topic, all partitions together; `touchline audit` shows each partition."""
    lines = []
    for topic in sorted({account.topic for account in audit.accounts}):
        accounts = [account for account in audit.accounts if account.topic == topic]
        span = sum(account.hi - account.lo + 1 for account in accounts)
        terms = [(name, sum(account.dispositions[name] for account in accounts)) for name in accounts[0].dispositions]
        terms.append(("gaps", sum(account.gaps for account in accounts)))
        lines.append(
            f"{topic:<12} {span:>11,} offsets = "
            + " + ".join(f"{n:,} {name}" for name, n in terms if n)
            + f"; {sum(account.windows for account in accounts):,} window rows"
        )
    return lines


def _document(history: Loaded, shown: Shown, audit: Audit) -> dict[str, Any]:
    """All of it, for `--json`."""
    from dataclasses import asdict

    return {
        "history": {
            "events": history.total,
            "seconds": round(history.seconds, 2),
            "events_per_s": round(history.total / history.seconds),
        },
        "live": {"events": shown.sent, "seconds": round(shown.seconds, 2), "settle_s": round(shown.settle_s, 2)},
        "last_day": {"events": shown.told.total, "seconds": round(shown.told.seconds, 2)},
        "alerts": shown.alarms.documents() if shown.alarms is not None else [],
        "planted": dict(history.planted + shown.told.planted + shown.planted),
        "found": dict(shown.refused),
        "done_on_purpose": list(shown.notes),
        "scores": [asdict(row) for row in shown.rows],
        "audit": audit.document(),
    }


@contextlib.contextmanager
def _folder(asked: Path | None) -> Iterator[Path]:
    """The folder of the stack; a temporary one is removed at the end, but kept with its logs after a failure."""
    from pipeline.stack.launch import Stack

    if asked is not None:
        if any(row["alive"] for row in Stack(asked).status()):
            raise StackError(
                f"a stack runs in {asked}: end it with `touchline down --dir {asked}`, or name another --dir"
            )
        yield asked
        return
    made = Path(tempfile.mkdtemp(prefix="touchline-demo-"))
    try:
        yield made
    except Exception:
        note(f"logs of this demo stay in {made}/logs")
        raise
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    shutil.rmtree(made, ignore_errors=True)


def _terminated(number: int, _: object) -> NoReturn:
    """SIGTERM ends the demo like Ctrl-C: the stack is taken down on the way out."""
    sys.exit(128 + number)
