"""How soon who sends a first event by HTTP sees it: acknowledged, as a line of `touchline tail`, in the scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure, Report, quantile
from tests.bench.place import Place, until

#: Between two events, seconds: at no fixed beat against what looks once a second.
_APART_S = 0.73
#: How often the scores are asked for the newest event; part of what is reported.
_LOOK_S = 0.02


class Tail:
    """`touchline tail` as a process: when each unit was first said, by time.perf_counter."""

    def __init__(self, place: Place) -> None:
        program = str(Path(sys.executable).with_name("touchline"))
        self._process = subprocess.Popen(
            [program, "tail", "--json"], env={**os.environ, **place.variables}, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.said: dict[str, float] = {}

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.setdefault(json.loads(line)["unit"], time.perf_counter())


@contextmanager
def tailing(place: Place) -> Iterator[Tail]:
    """A tail for a block."""
    tail = Tail(place)
    try:
        yield tail
    finally:
        tail.stop()


def sightings(report: Report, place: Place, url: str, token: str, count: int) -> None:
    """Figures of single events at a low rate; a worker and a gateway run, and nothing else comes."""
    client = place.client()

    def counted(unit: str) -> bool:
        sql = "SELECT count() AS n FROM scores_1m WHERE cut = 'core' AND unit = {unit:String}"
        return bool(client.query(sql, {"unit": unit})["n"][0])

    waits: dict[str, list[float]] = {"accepted": [], "counted": [], "tailed": []}
    with tailing(place) as tail:
        _send(url, token, "first")
        until(lambda: "first" in tail.said, "the tail follows")
        for number in range(count):
            unit = f"u{number}"
            began = time.perf_counter()
            _send(url, token, unit)
            waits["accepted"].append(time.perf_counter() - began)
            _wait(partial(counted, unit), unit)
            waits["counted"].append(time.perf_counter() - began)
            _wait(partial(tail.said.__contains__, unit), unit)
            waits["tailed"].append(tail.said[unit] - began)
            time.sleep(_APART_S)
    client.close()
    for name, what in (
        ("accepted", "answered with 202"),
        ("counted", "n = 1 in the scores"),
        ("tailed", "said by `touchline tail`"),
    ):
        for share, target in ((0.5, ""), (0.95, "< 2")):
            about = f"{count} single events by HTTP, from before the request until {what}"
            figure = quantile(waits[name], share)
            report.add(Figure(f"first_event_{name}_p{share * 100:.0f}", figure, "s", target=target, about=about))


def _wait(done: Callable[[], bool], unit: str) -> None:
    until(done, f"the event of {unit} is seen", every_s=_LOOK_S)


def _send(url: str, token: str, unit: str) -> None:
    """One event, as the README has it."""
    event: dict[str, str | int] = {"event_id": unit, "occurred_at": datetime.now(UTC).isoformat(), "channel": "web"}
    event |= {"unit": unit, "touchpoint": "checkout", "customer_id": "c-1", "metric": "nps", "score": 9}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/events", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
