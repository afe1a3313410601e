"""The live part of the demo [I/O]: a stream, a planted incident, a killed worker, and the table that shows it all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.errors import StackError
from pipeline.stack.launch import Stack
from pipeline.stack.processes import free_port, last_words

if TYPE_CHECKING:
    pass

#: When things happen without an end in sight: the incident and the kill, seconds after the start.
_INCIDENT_S, _KILL_S = 20.0, 40.0
#: The new worker comes this long after the kill: long enough to see one missing.
_REPLACE_S = 3.0
#: How often the table is drawn anew: its scores come from ClickHouse, so not more often than they change.
_DRAW_S = 1.0
#: How often a line is written where no terminal is.
_LINE_S = 5.0
#: Longest wait for the workers to take their partitions, and for the last events to be counted.
_READY_S = 180.0
_SETTLE_S = 180.0


class Crew:
    """The workers of the demo."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ports: dict[str, int] = {}
        self.killed: set[str] = set()

    def start(self, name: str) -> None:
        """Starts a worker with a folder and a port of its own."""
        self._ports[name] = free_port(frozenset(self._ports.values()))
        self._stack.start_worker(
            name,
            {
                "TOUCHLINE_WEB_PORT": str(self._ports[name]),
                "TOUCHLINE_STATE_DIR": str(self._stack.folder / name),
            },
        )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.killed.add(name)
        self._stack.kill_worker(name)

    def wait_ready(self) -> None:
        """Until each worker has joined the group and holds its partitions. Raises StackError."""
        began = time.monotonic()
        while not all(_is_ready(port) for port in self._ports.values()):
            self.check(time.monotonic() - began, _READY_S, "the workers have not taken their partitions yet")
            time.sleep(0.2)

    def check(self, passed: float, limit: float, what: str) -> None:
        """Raises StackError when a worker ended by itself, or when it takes too long."""
        for row in self._workers():
            if not row["alive"] and row["name"] not in self.killed:
                raise StackError(f"{row['name']} ended by itself: {last_words(self._log(str(row['name'])))}")
        if passed > limit:
            logs = self._stack.folder / "logs"
            raise StackError(f"after {passed:.0f} s {what}: see the workers' logs in {logs}")

    def states(self) -> list[tuple[str, str]]:
        """Each worker and what it does."""
        found = []
        for row in self._workers():
            memory = f"runs, {row['memory_mb']:.0f} MB" if row["memory_mb"] is not None else "gone"
            found.append((str(row["name"]), "killed" if row["name"] in self.killed else memory))
        return sorted(found)

    def _workers(self) -> list[dict[str, object]]:
        return [row for row in self._stack.status() if row["name"].startswith("worker")]
