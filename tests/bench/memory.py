"""Memory with 2,000,000 event ids, 100,000 profiles and 1,000,000 hot window rows, and taking that over."""

from __future__ import annotations

import asyncio
import time

from pipeline.intake.loading import load_profiles
from pipeline.intake.producing import Producer
from pipeline.intake.world import World
from pipeline.stack.launch import Stack
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import Place, Worker, drop_place, make_place, running_worker, settled, until

PROFILES = 100_000
_GAUGES = ("hot_window_rows", "profiles", "remembered_ids")
#: Minutes that the events spread over: with 4 partitions and 8,640 cells a minute they fill a million window rows.
_MINUTES = 41
#: Of the stream while memory is looked at, and for how long, seconds. What a backlog took goes back to the system
#: within ten seconds: before that it is another figure.
RATE, _LEAD_S, _LIVE_S = 2_000, 10.0, 20.0
#: So that a million rows are held: at the limit the oldest minute leaves.
_ROOM = {"TOUCHLINE_HOT_ROWS": "1100000"}


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `memory`."""
    count, people = (200_000, PROFILES // 10) if quick else (2_000_000, PROFILES)
    place = make_place(stack, "memory")
    asyncio.run(_profiles(place, people))
    load.produce(place, load.Plan(count, load.now_ms(), rate=count / _MINUTES / 60))
    note(f"{count:,} events in the topic")
    client = place.client()
    with running_worker(place, "first", variables=_ROOM) as worker:
        until(lambda: settled(client) >= count, "the memory is full", worker, 0.5)
        until(lambda: _held(worker)[1] >= people, "the profiles are there", worker, 0.5)
        until(lambda: _held(worker)[2] >= count, "the ids are counted", worker, 0.5)
        behind, held = worker.peak_mb(), _held(worker)
        stream = load.Stream(place, RATE, first=2 * count)
        stream.start()
        wait, look = (1.0, 5.0) if quick else (_LEAD_S, _LIVE_S)
        _most(worker, wait)
        live = _most(worker, look)
        stream.stop()
    with running_worker(place, "second", variables=_ROOM) as worker:
        joins, ready = worker.wait_live(), worker.wait_ready()
        note(f"ready after {ready - joins:.1f} s; one more event for each partition")
        load.produce(place, load.Plan(400, load.now_ms(), first=count))
        sent = count + stream.sent + 400
        counted = until(lambda: settled(client) >= sent, "the next events are counted", worker)
        until(lambda: _held(worker)[2] > 0, "the ids are counted", worker)
        again, taken = worker.peak_mb(), _held(worker)
        _most(worker, wait)
        after = _most(worker, look)
    client.close()
    about = f"the most in {_LIVE_S:.0f} s of {RATE:,} events/s; {_about(held)}"
    report.add(Figure("memory_live", live, "MB", target="< 500", about=about))
    about = f"another worker that took it over; {_about(taken)}"
    report.add(Figure("memory_assigned", after, "MB", target="< 500", about=about))
    report.add(Figure("memory_behind", behind, "MB", about=f"while {count:,} events that waited came at once"))
    report.add(Figure("memory_taking", again, "MB", about="while it took over"))
    about = f"from joining the group until it counts new events; ready after {ready - joins:.1f} s"
    report.add(Figure("assignment", counted - joins, "s", target="< 10", about=about))
    report.say(
        "The most that the worker's process had resident in that time; the process of the labels is apart. `live` and"
        " `assigned` begin ten seconds after the peak. Event ids are those that it remembers."
    )
    drop_place(place)


async def _profiles(place: Place, count: int) -> None:
    async with Producer(place.settings) as producer:
        await load_profiles(producer, World(customers=count), load.now_ms() - 86_400_000)


def _held(worker: Worker) -> tuple[float, float, float]:
    """Hot window rows, profiles and event ids, as the worker counts them."""
    metrics = worker.metrics()
    rows, profiles, ids = (metrics[f"touchline_{name}"].get("", 0.0) for name in _GAUGES)
    return rows, profiles, ids


def _most(worker: Worker, seconds: float) -> float:
    """The most that is resident at any time of the next seconds, in MB."""
    found, ends = 0.0, time.monotonic() + seconds

    def over() -> bool:
        nonlocal found
        found = max(found, worker.rss_mb())
        return time.monotonic() >= ends

    until(over, "time has passed", worker, 0.25)
    return found


def _about(held: tuple[float, float, float]) -> str:
    rows, profiles, ids = held
    return f"{rows:,.0f} hot window rows, {profiles:,.0f} profiles, {ids:,.0f} event ids"
