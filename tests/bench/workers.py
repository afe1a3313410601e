"""Scale-out: one, two and four workers on the same load over twelve partitions."""

from __future__ import annotations

import os
import signal
import time

from pipeline.stack import processes
from pipeline.stack.launch import Stack
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import Place, Worker, drop_place, make_place, settled, stack_cpu_s, until

#: Events that every partition sees before anything is measured.
_WARM = 24_000


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `workers`."""
    count = 400_000 if quick else 1_500_000
    first = None
    for number in (1, 2, 4):
        rate, cpu, others = _measured(stack, count, number)
        first = first or rate
        about = f"12 partitions, all events waiting, until all is counted; Kafka and ClickHouse {others:.1f} us"
        report.add(Figure(f"workers_{number}", rate, "events/s", first, rate / first, cpu, about=about))
        note(f"{number} workers: {rate:,.0f}/s")
    report.say(
        f"All share {os.cpu_count()} cores with Kafka and ClickHouse: a second worker finds only what those leave. "
        "CPU is that of all workers together, in us an event."
    )


def _measured(stack: Stack, count: int, number: int) -> tuple[float, float, float]:
    """Events a second from when all workers go on until all is counted; CPU of workers and of the rest, us an event.

    They hold their partitions and stand still while the events are sent, so neither the sender nor a takeover counts.
    """
    place = make_place(stack, f"workers{number}", partitions=12)
    workers = [Worker(place, f"worker-{one}") for one in range(number)]
    client = place.client()
    try:
        for worker in workers:
            worker.start({"TOUCHLINE_SESSION_TIMEOUT_S": "120"})
        for worker in workers:
            worker.wait_ready()
        _settled_down(place, workers)
        _tell(workers, signal.SIGSTOP)
        load.produce(place, load.Plan(count, load.now_ms(), first=_WARM))
        cpu, rest = sum(worker.cpu_s() for worker in workers), sum(stack_cpu_s(stack).values())
        began = time.monotonic()
        _tell(workers, signal.SIGCONT)
        ended = until(lambda: settled(client) >= count + _WARM, "all is counted", workers[0], 0.1)
        used = sum(worker.cpu_s() for worker in workers) - cpu
        others = sum(stack_cpu_s(stack).values()) - rest
    finally:
        _tell(workers, signal.SIGCONT)
        for worker in workers:
            worker.stop()
        client.close()
        drop_place(place)
    return count / (ended - began), used / count * 1e6, others / count * 1e6


def _settled_down(place: Place, workers: list[Worker]) -> None:
    """Every worker counts: the group has given each its partitions and all is warm."""
    load.produce(place, load.Plan(_WARM, load.now_ms()))
    client = place.client()
    until(lambda: settled(client) >= _WARM and all(map(_counts, workers)), "every worker counts", workers[0], 0.2)
    client.close()


def _tell(workers: list[Worker], number: signal.Signals) -> None:
    for worker in workers:
        if worker.process is not None:
            processes.send(worker.process, number)


def _counts(worker: Worker) -> bool:
    """Whether events have come through its last step."""
    return worker.metrics()["touchline_events_out_total"].get("score", 0) > 0
