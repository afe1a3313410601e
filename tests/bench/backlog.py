"""After an outage of ten minutes: how soon the live score is fresh, and that it says how far it is behind till then."""

from __future__ import annotations

import time
from typing import Any

from pipeline.scores.backlog import catching_up
from pipeline.stack.launch import Stack
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import Worker, drop_place, make_place, settled, until

RATE = 2_000


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `backlog`."""
    seconds = 60 if quick else 600
    place = make_place(stack, "backlog", partitions=12)
    missed = seconds * RATE
    load.produce(place, load.Plan(missed, load.now_ms(), rate=RATE))
    note(f"{missed:,} events of {seconds} s wait; the stream goes on at {RATE:,}/s")
    stream = load.Stream(place, RATE, first=50_000_000)
    stream.start()
    client, worker = place.client(), Worker(place)
    marks: list[dict[str, Any]] = []
    try:
        worker.start()
        started = time.monotonic()
        ready = worker.wait_ready()

        def fresh() -> bool:
            """Counted all but what comes in while it is looked; collects what readers are told meanwhile."""
            said = catching_up(client)
            if said is not None and (not marks or marks[-1] != said):
                marks.append(said)
            return settled(client) >= missed + stream.sent - RATE and said is None

        caught = until(fresh, "the live score is fresh", worker, 0.2)
    finally:
        stream.stop()
        worker.stop()
        client.close()
    about = f"{missed:,} events waiting, {RATE:,}/s go on; from the start of the process until nothing is behind"
    report.add(Figure("backlog_fresh", caught - started, "s", target="< 60", about=about))
    report.add(Figure("backlog_fresh_from_ready", caught - ready, "s", about="the same from ready"))
    report.add(Figure("backlog_marks", len(marks), "times", about="how often readers were told how far it was"))
    if marks:
        report.say(f"First and last of what readers were told: {marks[0]} and {marks[-1]}.")
    drop_place(place)
