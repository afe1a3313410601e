"""How soon an event is seen in the view of scores, and how soon a worker has caught up after an outage."""

from __future__ import annotations

import time

from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note, quantile
from tests.bench.load import Stream
from tests.bench.place import Place, Worker, drop_place, make_place, running_worker, settled, until

RATE = 2_000
#: How often the view is asked for markers that are not seen yet; part of the latency that is reported.
_LOOK_S = 0.05


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `latency`."""
    seconds, outage = (8, 8) if quick else (30, 60)
    place = make_place(stack, "latency")
    with running_worker(place) as worker:
        worker.wait_ready()
        stream = Stream(place, RATE)
        stream.start()
        until(lambda: len(stream.marked) > 20, "the stream runs")
        waits = _watched(place, stream, seconds)
        sent = stream.stop()
        client = place.client()
        until(lambda: settled(client) >= sent, "everything is counted", worker)
        client.close()
    for share, target in ((0.5, ""), (0.95, "< 2"), (1.0, "")):
        name = {0.5: "p50", 0.95: "p95", 1.0: "max"}[share]
        about = f"{len(waits):,} marked events in {seconds} s at {RATE:,} events/s"
        report.add(Figure(f"visible_{name}", quantile(waits, share), "s", target=target, about=about))
    _catch_up(place, report, sent, outage)
    drop_place(place)


def _watched(place: Place, stream: Stream, seconds: float) -> list[float]:
    """Seconds from producing to being in `scores_1m`, of the markers of this span."""
    client, seen = place.client(), len(stream.marked)
    ends = time.monotonic() + seconds
    waits: list[float] = []
    while True:
        marked = stream.marked[seen:]
        if not marked and time.monotonic() > ends:
            return waits
        found = set(
            client.query(
                "SELECT unit FROM scores_1m WHERE cut = 'core' AND unit IN {units:Array(String)}",
                {"units": [unit for unit, _ in marked] or [""]},
            )["unit"].to_list()
        )
        now = time.monotonic()
        arrived = next((at for at, (unit, _) in enumerate(marked) if unit not in found), len(marked))
        waits += [now - handed for _, handed in marked[:arrived]]
        seen += arrived
        if now > ends:
            return waits
        time.sleep(_LOOK_S)


def _catch_up(place: Place, report: Report, sent: int, outage: float) -> None:
    """The worker is away for a while, events go on; then it starts and has to count them all."""
    note(f"an outage of {outage:.0f} s at {RATE:,} events/s")
    stream = Stream(place, RATE, first=50_000_000)
    stream.start()
    ends = time.monotonic() + outage
    until(lambda: time.monotonic() > ends, "the outage is over", every_s=0.5)
    worker, client = Worker(place, "late"), place.client()
    try:
        worker.start()
        started = time.monotonic()
        ready = worker.wait_ready()
        missed = stream.sent
        caught = until(lambda: settled(client) >= sent + missed, "the worker has caught up", worker)
    finally:
        stream.stop()
        worker.stop()
        client.close()
    about = f"{missed:,} events, from ready until all sent before that are counted; the stream goes on meanwhile"
    report.add(Figure("catch_up", caught - ready, "s", target="< 5", about=about))
    report.add(Figure("catch_up_from_start", caught - started, "s", about="the same from the start of the process"))
