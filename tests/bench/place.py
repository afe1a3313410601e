"""Where a benchmark runs [I/O]: topics and tables of its own on the shared stack, and worker processes to measure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.clickhouse import ClickHouse
from pipeline.errors import Unavailable
from pipeline.ledger.migrate import migrate
from pipeline.settings import Settings, load_settings
from pipeline.stack import processes
from pipeline.stack.launch import Stack
from pipeline.stack.prepare import environment
from pipeline.stack.processes import Command, Process
from pipeline.topics import Topics
from tests.bench.figures import note

#: Longest wait for anything: a loaded machine may be slow, a hang must end.
PATIENCE_S = 600.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Place:
    """One benchmark's share of the stack."""

    stack: Stack
    settings: Settings
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of processes that work here."""
        settings = self.settings
        return environment(self.stack.addresses) | {
            "TOUCHLINE_TOPIC_PREFIX": settings.topic_prefix,
            "TOUCHLINE_GROUP": settings.group,
            "TOUCHLINE_CLICKHOUSE_DATABASE": settings.clickhouse_database,
            "TOUCHLINE_TOPIC_PARTITIONS": str(settings.topic_partitions),
            "TOUCHLINE_LOG_FORMAT": "json",
        }

    def client(self) -> ClickHouse:
        """A connection to this place's database."""
        return ClickHouse(self.settings)


def make_place(stack: Stack, name: str, partitions: int = 4) -> Place:
    """Topics and tables under a name that no other benchmark has."""
    settings = load_settings(
        bootstrap_servers=stack.bootstrap,
        clickhouse_url=stack.clickhouse_url,
        topic_prefix=f"{name}.",
        group=name,
        clickhouse_database=f"bench_{name}",
        topic_partitions=partitions,
        insecure_keys=True,
        state_dir=stack.folder / "state" / name,
    )
    admin = ClickHouse(settings.model_copy(update={"clickhouse_database": "default"}))
    admin.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}")
    admin.close()
    client = ClickHouse(settings)
    migrate(client, settings, unlock=True)
    client.close()
    asyncio.run(_topics(settings))
    return Place(stack, settings, stack.folder / "bench" / name)


def drop_place(place: Place) -> None:
    """Its tables and topics go, so that their merges and files do not weigh on the next benchmark."""
    admin = ClickHouse(place.settings.model_copy(update={"clickhouse_database": "default"}))
    admin.command(f"DROP DATABASE IF EXISTS {place.settings.clickhouse_database} SYNC")
    admin.close()


async def _topics(settings: Settings) -> None:
    async with Topics(settings) as topics:
        await topics.apply()


class Worker:
    """One process under measurement: `python -m MODULE` in a place."""

    def __init__(self, place: Place, name: str = "worker", module: str = "agents") -> None:
        self._place = place
        self._name = name
        self._module = module
        self._port = processes.free_port()
        self.process: Process | None = None

    def start(self, variables: Mapping[str, str] | None = None) -> None:
        """Starts it; does not wait."""
        folder = self._place.folder / self._name
        own = {"TOUCHLINE_WEB_PORT": str(self._port), "TOUCHLINE_STATE_DIR": str(folder)}
        environment_ = self._place.variables | own | dict(variables or {})
        arguments = [sys.executable, "-m", self._module]
        self.process = processes.start(Command(self._name, arguments, folder / "log", "", environment_, tied=True))

    @property
    def log(self) -> Path:
        """What it printed."""
        return self._place.folder / self._name / "log"

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and processes.is_alive(self.process)

    def wait_live(self) -> float:
        """Waits for /livez, the end of imports; the moment (time.monotonic) when it answered."""
        return until(lambda: self._answers("/livez"), "the worker is live", self)

    def wait_ready(self) -> float:
        """Waits for /readyz; the moment (time.monotonic) when it was ready."""
        return until(lambda: self._answers("/readyz"), "the worker is ready", self)

    def metrics(self) -> dict[str, dict[str, float]]:
        """/metrics: name -> value of the first label ("" where there is none) -> number."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for line in self._get("/metrics").splitlines():
            read = re.fullmatch(r'(\w+)(?:\{\w+="([^"]*)"[^}]*\})? (\S+)', line)
            if read:
                found[read[1]][read[2] or ""] = float(read[3])
        return found

    def cpu_s(self) -> float:
        """CPU time of the process so far, seconds; children not counted."""
        return cpu_s(self.process) if self.process else 0.0

    def rss_mb(self) -> float:
        """Resident memory in MB."""
        return (processes.memory_mb(self.process) or 0.0) if self.process else 0.0

    def peak_mb(self) -> float:
        """The most that was resident at any time so far, in MB."""
        if self.process is None:
            return 0.0
        status = Path("/proc", str(self.process.pid), "status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def stop(self) -> None:
        """SIGTERM, then SIGKILL when it takes too long."""
        if self.process is not None:
            processes.stop(self.process, 20.0)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            processes.kill(self.process)

    def _answers(self, path: str) -> bool:
        with contextlib.suppress(OSError):  # urllib's errors are OSErrors: refused, 503
            return self._get(path) != ""
        return False

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text


@contextlib.contextmanager
def running_worker(
    place: Place, name: str = "worker", module: str = "agents", variables: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """A worker for a block of code, started, not waited for."""
    worker = Worker(place, name, module)
    worker.start(variables)
    try:
        yield worker
    finally:
        worker.stop()


def cpu_s(process: Process) -> float:
    """User and system time of a process in seconds. RuntimeError when it is gone."""
    if not processes.is_alive(process):
        raise RuntimeError(f"{process.name} ended; {processes.last_words(Path(process.log), 8)}")
    fields = Path("/proc", str(process.pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def stack_cpu_s(stack: Stack) -> dict[str, float]:
    """CPU time of Kafka and of the engine so far."""
    return {p.name: cpu_s(p) for p in stack.addresses.processes if processes.is_alive(p)}


def settled(client: ClickHouse, topics: str = "feedback") -> int:
    """How many offsets of topics (names, comma between) stand in the windows, by what the worker says in `progress`."""
    rows = client.query(
        "SELECT sum(settled + 1) AS n FROM progress FINAL WHERE has(splitByChar(',', {topics:String}), topic)",
        {"topics": topics},
    )
    return int(rows["n"][0] or 0)


def until(done: Callable[[], bool], what: str, worker: Worker | None = None, every_s: float = 0.05) -> float:
    """Waits for a condition; the moment (time.monotonic) when it held. RuntimeError when it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            if done():
                return time.monotonic()
        if worker is not None and not worker.alive():
            raise RuntimeError(f"waiting until {what}: the worker ended; {processes.last_words(worker.log)}")
        time.sleep(every_s)
    if worker is not None:
        note(processes.last_words(worker.log, 10))
    raise RuntimeError(f"waited {PATIENCE_S:.0f} s in vain until {what}")
