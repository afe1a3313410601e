"""How fast a file gets into the ledger: `touchline import` of a CSV, one worker beside it, from start to last row."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.place import Place, Worker, drop_place, make_place, settled, until

#: Every so many rows has a comment, each of them another text: what surveys and reviews look like.
_COMMENTED = 3
_MAPPING = ["submission_id=id", "score=stars", "text=comment", "customer_id=customer"]
_MAPPING += ["metric==rating", "channel==review", "source==review", "touchpoint==review.shop"]


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `import`."""
    rows = 50_000 if quick else 1_000_000
    place = make_place(stack, "import")
    file = place.folder / "reviews.csv"
    _write(file, rows)
    worker = Worker(place)
    try:
        worker.start()
        worker.wait_ready()
        began = time.monotonic()
        checked = _import(place, file, "--dry-run")
        note(f"checked in {checked:.1f} s")
        began, cpu = time.monotonic(), worker.cpu_s()
        sent = _import(place, file)
        note(f"sent in {sent:.1f} s; waiting for the worker")
        client = place.client()
        ended = until(lambda: settled(client, "history") >= rows, "all rows are in the ledger", worker)
        client.close()
        used = worker.cpu_s() - cpu
    finally:
        worker.stop()
    took = ended - began
    size = file.stat().st_size / 1e6
    about = f"{rows:,} rows ({size:.0f} MB) in {took:.1f} s from the command until all are in ledger and windows"
    report.add(
        Figure("import", rows / took, "rows/s", cpu=used / rows * 1e6, target="1,000,000 in < 60 s", about=about)
    )
    report.add(Figure("import_sent", rows / sent, "rows/s", about="read, checked, sent, acknowledged; same time"))
    report.add(Figure("import_checked", rows / checked, "rows/s", about="--dry-run"))
    drop_place(place)


def _write(file: Path, rows: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "when", "stars", "comment", "customer"])
        for number in range(rows):
            when = f"2026-{number % 9 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:00Z"
            comment = "" if number % _COMMENTED else f"Order {number}: quick, friendly, arrived in two days"
            writer.writerow([f"r{number}", when, number % 5 + 1, comment, f"c{number % 100_000}"])


def _import(place: Place, file: Path, *more: str) -> float:
    """Runs the command as a person would; the seconds it took."""
    command = [str(Path(sys.executable).with_name("touchline")), "import", str(file), "--time", "when", *more]
    command += [word for entry in _MAPPING for word in ("--map", entry)]
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, **place.variables}, check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began
