"""Scale-out: one, two and four workers on the same load over twelve partitions."""

from __future__ import annotations

import os
import time

from pipeline.stack.launch import Stack
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import Worker, drop_place, make_place, settled, stack_cpu_s, until


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `workers`."""
    count = 400_000 if quick else 1_500_000
    first = None
    for number in (1, 2, 4):
        rate, cpu, others = _measured(stack, count, number)
        first = first or rate
        about = (
            f"12 partitions, from when every worker counts until all is counted; Kafka and ClickHouse {others:.1f} us"
        )
        report.add(Figure(f"workers_{number}", rate, "events/s", first, rate / first, cpu, about=about))
        note(f"{number} workers: {rate:,.0f}/s")
    report.say(
        f"All share {os.cpu_count()} cores with Kafka and ClickHouse: a second worker finds only what those leave. "
        "CPU is that of all workers together, in us an event."
    )


def _measured(stack: Stack, count: int, number: int) -> tuple[float, float, float]:
    """Events a second while all workers work; CPU of workers and of the rest, us an event."""
    place = make_place(stack, f"workers{number}", partitions=12)
    load.produce(place, load.Plan(count, load.now_ms()))
    workers = [Worker(place, f"worker-{one}") for one in range(number)]
    client = place.client()
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        until(lambda: all(_counts(worker) for worker in workers), "every worker counts", workers[0], 0.1)
        before, began, cpu = settled(client), time.monotonic(), sum(worker.cpu_s() for worker in workers)
        rest = sum(stack_cpu_s(stack).values())
        ended = until(lambda: settled(client) >= count, "all is counted", workers[0], 0.1)
        used = sum(worker.cpu_s() for worker in workers) - cpu
        others = sum(stack_cpu_s(stack).values()) - rest
    finally:
        for worker in workers:
            worker.stop()
        client.close()
        drop_place(place)
    left = max(1, count - before)
    return left / (ended - began), used / left * 1e6, others / left * 1e6


def _counts(worker: Worker) -> bool:
    """Whether events have come through its last step."""
    return worker.metrics()["touchline_events_out_total"].get("score", 0) > 0
