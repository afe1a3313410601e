"""`python -m tests.bench [NAMES...] [--quick]`: figures as JSON lines on standard output, and docs/benchmarks.md.

--quick takes small counts, to see that the benchmarks run: it does not touch the page.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.stack.launch import Stack, running
from tests.bench import (
    alerts,
    backlog,
    figures,
    gateway,
    history,
    hot,
    importing,
    journeys,
    latency,
    memory,
    outage,
    page,
    readers,
    reads,
    rebuilding,
    startup,
    steps,
    texts,
    throughput,
    watching,
    workers,
)
from tests.bench.figures import Report, note

Benchmark = Callable[[Stack, Report, bool], None]

#: In the order of the page. Each has the shared stack to itself while it runs.
BENCHMARKS: dict[str, tuple[str, Benchmark]] = {
    "worker": ("Worker: events a second", throughput.run),
    "steps": ("Steps: pure functions, one process, slices of 5,000 events", steps.run),
    "texts": ("Texts: 30 % of the events have one", texts.run),
    "latency": ("Latency and catch-up", latency.run),
    "memory": ("Memory and assignment", memory.run),
    "hot": ("Hot window rows: memory and limit", hot.run),
    "outage": ("ClickHouse down", outage.run),
    "history": ("History: two workers", history.run),
    "alerts": ("Alerts: from a finding to its receiver", alerts.run),
    "journeys": ("Journeys, drivers, customers: time of one question", journeys.run),
    "reads": ("Reading: 30 days of 5,000,000 answers", reads.run),
    "readers": ("Fifty readers while events come in", readers.run),
    "rebuild": ("Rebuild: a day of 5,000,000 events", rebuilding.run),
    "backlog": ("After an outage of ten minutes", backlog.run),
    "workers": ("Scale-out: one, two and four workers", workers.run),
    "gateway": ("Gateway: one process, events over HTTP", gateway.run),
    "page": ("Live page", page.run),
    "import": ("Import: a CSV file into the ledger, one worker", importing.run),
    "cli": ("Command line", startup.run),
    "rules": ("Rules: 200 segments, 200 rules", watching.run),
}


def main() -> int:
    """Runs the benchmarks named, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Touchline's benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small counts, docs/benchmarks.md stays as it is")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    command = " ".join(["python -m tests.bench", *options.names])
    load = os.getloadavg()[0]
    if load > 1:
        note(f"the machine is busy (load {load:.1f}): figures will be low, ratios doubtful")
    with tempfile.TemporaryDirectory(prefix="touchline-bench-") as folder, running(Path(folder), note=note) as stack:
        for name in options.names or BENCHMARKS:
            title, run = BENCHMARKS[name]
            note(f"== {name}")
            report = Report(name, title)
            run(stack, report, options.quick)
            if not options.quick:
                figures.write(report, command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
