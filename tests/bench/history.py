"""How fast a history is loaded, as in the demo: simulator, Kafka, two workers and ClickHouse on one machine."""

from __future__ import annotations

import asyncio
import time

from pipeline.intake.loading import Loaded, Span, load_history, load_profiles
from pipeline.intake.producing import Producer
from pipeline.intake.world import World
from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.load import now_ms
from tests.bench.place import Place, Worker, drop_place, make_place, settled, until

_DAYS_MS = 28 * 86_400_000


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `history`."""
    count = 100_000 if quick else 1_000_000
    place = make_place(stack, "history", partitions=12)
    workers = [Worker(place, f"history-{number}") for number in (1, 2)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        began, cpu = time.monotonic(), [worker.cpu_s() for worker in workers]
        loaded = asyncio.run(_loaded(place, count))
        note(f"sent in {loaded.seconds:.1f} s; waiting for the workers")
        client, total = place.client(), loaded.total
        ended = until(lambda: settled(client, "touchpoints,feedback") >= total, "all is counted", workers[0])
        client.close()
        used = sum(worker.cpu_s() for worker in workers) - sum(cpu)
    finally:
        for worker in workers:
            worker.stop()
    took = ended - began
    about = f"{total:,} events in {took:.1f} s from the first event until all are counted, 12 partitions"
    report.add(
        Figure(
            "history_load",
            total / took,
            "events/s",
            cpu=used / total * 1e6,
            target="1,000,000 in < 90 s",
            about=about,
        )
    )
    report.add(Figure("history_sent", total / loaded.seconds, "events/s", about="simulator and producer, same time"))
    drop_place(place)


async def _loaded(place: Place, count: int) -> Loaded:
    world, end = World(), now_ms() - 60_000
    async with Producer(place.settings) as producer:
        await load_profiles(producer, world, end - _DAYS_MS)
        return await load_history(producer, world, Span(end - _DAYS_MS, end, count))
