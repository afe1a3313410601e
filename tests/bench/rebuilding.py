"""`touchline rebuild` of a day of 5,000,000 events: windows made again from the ledger, byte-equal."""

from __future__ import annotations

import time

from pipeline.ledger.rebuild import partitions, rebuild
from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.load import now_ms
from tests.bench.place import drop_place, make_place
from tests.bench.reads import LEDGER, PROGRESS, WINDOWS

_DAY = 86_400


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `rebuild`."""
    count = 200_000 if quick else 5_000_000
    place = make_place(stack, "rebuild", partitions=12)
    client = place.client()
    end = now_ms() // 1000 // 3600 * 3600
    values = {"begin": (end - _DAY) * 1000, "span": _DAY * 1000, "count": count}
    client.command(LEDGER, values)
    client.command(PROGRESS)
    for name, what in (("lost", "no window is there"), ("right", "all windows are there and right")):
        if name == "right":
            client.command("TRUNCATE TABLE windows")
            client.command(WINDOWS)
        began = time.perf_counter()
        done = [rebuild(client, part) for part in partitions(client)]
        took = time.perf_counter() - began
        if not all(one.equal for one in done):
            raise RuntimeError("a partition did not come out byte-equal")
        rows, written = sum(one.rows for one in done), sum(one.written for one in done)
        about = f"{count:,} events of a day, {what}: {rows:,} window rows, {written:,} written, byte-equal"
        report.add(Figure(f"rebuild_{name}", took, "s", target="< 60", about=about))
        note(f"{name}: {took:.1f} s")
    client.close()
    drop_place(place)
