"""A worker as a process of its own, looked at from outside [I/O], and waiting by condition."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.stack import tied

#: How soon a condition is looked at again, and how seldom at last: a look costs Kafka and ClickHouse 10 ms of CPU.
_LOOK_S, _MOST_LOOK_S = 0.05, 0.4


def eventually(condition: Callable[[], Any], what: str, deadline_s: float = 60.0) -> Any:
    """The first true answer of `condition`; AssertionError naming `what` after the deadline."""
    end, between = time.monotonic() + deadline_s, pauses()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(next(between))


def pauses() -> Iterator[float]:
    """Between two looks, without end: what takes long is looked at less often."""
    pause = _LOOK_S
    while True:
        yield pause
        pause = min(pause * 1.25, _MOST_LOOK_S)


class Worker:
    """One worker process. It dies with this process, however that ends."""

    def __init__(self, name: str, program: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.log")))
        self.log = folder / f"{number:03d}.log"
        pid_file = folder / "pid"
        pid_file.unlink(missing_ok=True)
        keeper = [sys.executable, "-I", "-S", tied.__file__, "--parent", str(os.getpid()), "--pid-file", str(pid_file)]
        with self.log.open("wb") as out:
            self._keeper = subprocess.Popen(
                [*keeper, "--", *program],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        eventually(pid_file.exists, f"worker {name} starts", 20)
        self.pid = int(pid_file.read_text())

    def send(self, number: signal.Signals) -> None:
        """A signal to the worker itself; nothing when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.ended(10)

    def terminate(self, deadline_s: float = 15.0) -> tuple[int, float]:
        """SIGTERM; exit code and seconds it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        code = self.ended(deadline_s)
        return code, time.monotonic() - began

    def freeze(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def ended(self, deadline_s: float = 60.0) -> int:
        """Waits for its end; the exit code (137 after SIGKILL). AssertionError with its last words otherwise."""
        try:
            return self._keeper.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline_s:.0f} s: {self.words()}") from None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._keeper.poll() is None

    def said(self, text: str) -> bool:
        """Whether its log holds the text."""
        return text in self.log.read_text(errors="replace")

    def words(self, lines: int = 8) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def port(self) -> int:
        """The port of its health pages, from its log; 0 before it serves."""
        for line in self.log.read_text(errors="replace").splitlines():
            if '"worker serves"' in line:
                return int(json.loads(line[line.index("{") :])["port"])
        return 0

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of /livez, /readyz or /metrics, as soon as it serves."""
        port = eventually(lambda: self.port, f"{self.name} serves: {self.words()}", 40)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum over all labels of a metric; 0 when it is not there."""
        lines = [line for line in self.page("/metrics")[1].splitlines() if line.startswith((name + " ", name + "{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    @property
    def in_flight(self) -> bool:
        """Whether it holds records that are not in the ledger yet: what a kill would take from it."""
        return self.port > 0 and self.metric("touchline_in_flight_records") > 0

    @property
    def memory_mb(self) -> float:
        """Resident memory, the labelling process not counted."""
        pages = int(Path("/proc", str(self.pid), "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
