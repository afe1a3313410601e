"""How fast: the worker with every step, the worker with the fewest, and the plain Faust agent, on the same events."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass

from pipeline.stack import processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Command
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import (
    Place,
    Worker,
    drop_place,
    make_place,
    running_worker,
    settled,
    stack_cpu_s,
    until,
)

STEPS = ("accept", "enrich", "label", "record", "score")
#: How often CPU time is looked at while a worker runs.
_LOOK_S = 0.25
#: How often the engine is asked how far it is, until most is counted: each question costs it ten milliseconds.
_ASK_S, _MOST = 1.0, 0.8


@dataclass(frozen=True, slots=True)
class Rate:
    """Events a second, and CPU in us an event: of the process, of Kafka and of the engine."""

    events_s: float
    cpu: float
    kafka: float
    engine: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """CPU seconds at a moment (time.time())."""

    at: float
    worker: float
    kafka: float
    engine: float


def _sample(worker: Worker, stack: Stack) -> _Sample:
    others = stack_cpu_s(stack)
    return _Sample(time.time(), worker.cpu_s(), others["kafka"], others["clickhouse"])


def measured(worker: Worker, place: Place, count: int, topics: str = "feedback") -> Rate:
    """From the moment accept took its first slice until all `count` events are in the windows."""
    client, samples, asked = place.client(), [_sample(worker, place.stack)], (0.0, 0)

    def look() -> bool:
        nonlocal asked
        samples.append(_sample(worker, place.stack))
        before_s, counted = asked
        if counted > _MOST * count or samples[-1].at - before_s >= _ASK_S:
            asked = samples[-1].at, settled(client, topics)
        return asked[1] >= count

    until(look, f"{count:,} events are counted", worker, _LOOK_S)
    last = samples[-1]
    # prometheus-client notes when a counter was first used: here, the start of the first slice.
    began = worker.metrics()["touchline_events_in_created"]["accept"]
    first = max((sample for sample in samples if sample.at <= began), key=lambda sample: sample.at)
    client.close()
    return Rate(
        count / (last.at - began),
        (last.worker - first.worker) / count * 1e6,
        (last.kafka - first.kafka) / count * 1e6,
        (last.engine - first.engine) / count * 1e6,
    )


def plain(place: Place, count: int, name: str) -> tuple[float, float]:
    """The plain agent on `count` events: events a second, CPU in us an event."""
    variables = place.variables | {"TOUCHLINE_GROUP": name, "TOUCHLINE_STATE_DIR": str(place.folder / name)}
    log = place.folder / name / "log"
    arguments = [sys.executable, "-m", "tests.bench.baseline", str(count)]
    process = processes.start(Command(name, arguments, log, "", variables, tied=True))
    try:
        until(lambda: not processes.is_alive(process), "the plain agent is done")
    finally:
        processes.kill(process)
    said = {found[0]: found[1:] for found in re.findall(r"(first|last) ([0-9.]+) ([0-9.]+)", log.read_text())}
    if "last" not in said:
        raise RuntimeError(f"the plain agent did not count to {count}: {processes.last_words(log)}")
    wall, cpu = (float(said["last"][i]) - float(said["first"][i]) for i in (0, 1))
    return (count - 1) / wall, cpu / (count - 1) * 1e6


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `worker`."""
    # The flow fills and empties for a second: of 1,000,000 events that was a tenth of the time.
    count, few = (400_000, 40_000) if quick else (3_000_000, 100_000)
    place, lean = make_place(stack, "worker"), make_place(stack, "lean")
    sent = load.produce(place, load.Plan(count, load.now_ms()))
    load.produce(lean, load.Plan(count, load.now_ms()))
    note(f"{count:,} events in each of two topics, {sent:,.0f}/s; the plain agent counts {few:,}")
    before = plain(place, few, "plain-before")
    with running_worker(place) as worker:
        full = measured(worker, place, count)
        steps = _steps(worker)
        memory = worker.rss_mb()
    note(f"every step: {full.events_s:,.0f}/s; now decode, ledger and windows only")
    with running_worker(lean, "lean", "tests.bench.lean") as worker:
        least = measured(worker, lean, count)
    after = plain(place, few, "plain-after")
    baseline, cpu = ((before[i] + after[i]) / 2 for i in (0, 1))
    about = f"{count:,} events, 4 partitions, lz4, one process"
    report.add(Figure("plain_faust", baseline, "events/s", cpu=cpu, about="orjson, one record at a time, no ledger"))
    report.add(
        Figure("worker_full", full.events_s, "events/s", baseline, full.events_s / baseline, full.cpu, ">= 8", about)
    )
    report.add(
        Figure(
            "worker_lean",
            least.events_s,
            "events/s",
            baseline,
            least.events_s / baseline,
            least.cpu,
            ">= 14",
            "decode, ledger, windows",
        )
    )
    report.add(
        Figure("worker_cpu_ratio", full.cpu, "us/event", cpu, cpu / full.cpu, full.cpu, "", "CPU of the process")
    )
    for name, (wall, number) in steps.items():
        report.add(
            Figure(f"step_{name}", wall, "us/event", about=f"wall time in the step, waits included; {number} slices")
        )
    report.add(Figure("worker_rss", memory, "MB", about=f"after {count:,} events"))
    report.say(
        f"CPU in us an event: worker {full.cpu:.1f}, Kafka {full.kafka:.1f}, ClickHouse's engine {full.engine:.1f}; "
        f"with decode, ledger and windows only {least.cpu:.1f}, {least.kafka:.1f} and {least.engine:.1f}. "
        "All share the same cores."
    )
    for each in (place, lean):
        drop_place(each)


def _steps(worker: Worker) -> dict[str, tuple[float, int]]:
    """Of each step: wall time in us an event, and how many slices or batches it measured."""
    metrics = worker.metrics()
    return {
        name: (
            metrics["touchline_step_seconds_sum"][name] / metrics["touchline_events_in_total"][name] * 1e6,
            int(metrics["touchline_step_seconds_count"][name]),
        )
        for name in STEPS
    }
