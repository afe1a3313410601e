"""How much a worker grows while ClickHouse is down and events go on."""

from __future__ import annotations

import time

from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.load import Stream
from tests.bench.place import drop_place, make_place, running_worker, settled, until

RATE = 2_000
#: Seconds with ClickHouse before it goes, so that what only grows once has grown.
_WARM_S = 10.0


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `outage`."""
    seconds = 20 if quick else 120
    place = make_place(stack, "outage")
    client = place.client()
    with running_worker(place) as worker:
        worker.wait_ready()
        stream = Stream(place, RATE)
        stream.start()
        _wait(_WARM_S)
        until(lambda: settled(client) > 0, "it counts", worker)
        before = worker.rss_mb()
        stack.stop_engine()
        note(f"ClickHouse is down for {seconds} s")
        most, ends = before, time.monotonic() + seconds
        while time.monotonic() < ends:
            _wait(1.0)
            most = max(most, worker.rss_mb())
        stack.start_engine()
        up = time.monotonic()
        missed = stream.sent
        counted = until(lambda: settled(client) >= missed, "it has caught up", worker)
        sent = stream.stop()
        until(lambda: settled(client) >= sent, "everything is counted", worker)
        doubles = client.query("SELECT count() - uniqExact(part, off) AS n FROM ledger FINAL")["n"][0]
    client.close()
    about = f"ClickHouse down for {seconds} s at {RATE:,} events/s; {doubles} doubles in the ledger afterwards"
    report.add(Figure("outage_growth", most - before, "MB", target="< 100", about=about))
    report.add(Figure("outage_catch_up", counted - up, "s", about="from ClickHouse being back until all is counted"))
    drop_place(place)


def _wait(seconds: float) -> None:
    ends = time.monotonic() + seconds
    until(lambda: time.monotonic() >= ends, "time has passed", every_s=min(0.5, seconds))
