"""The embedded stack of one folder [I/O]: Kafka, ClickHouse's engine, gateway and workers, up, down, one by one.

D/stack.json   what runs (state.py)        D/kafka        Kafka's configuration and data
D/ports.json   ports taken last time       D/clickhouse   the engine's data
D/logs         logs of every process
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import StackError
from pipeline.stack import clickhouse, gateway, kafka, processes, state, worker
from pipeline.stack.jars import Note
from pipeline.stack.prepare import environment, prepare
from pipeline.stack.processes import Command, Process
from pipeline.stack.state import Addresses

#: SIGTERM to SIGKILL: a worker flushes and leaves its group; Kafka writes its clean-shutdown marks.
_GRACE_S = {"gateway": 12.0, "worker": 15.0, "page": 5.0, "kafka": 10.0, "clickhouse": 5.0}
#: The page imports and listens; a loaded laptop takes its time.
_PAGE_S = 60.0
#: How often it is looked whether something answers.
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """How to start: 0 picks a free port; `bootstrap` names another Kafka to use instead of one of ours."""

    workers: int = 0
    kafka_port: int = 0
    clickhouse_port: int = 0
    bootstrap: str = ""
    prepared: bool = True
    gateway: bool = False
    page: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a folder, kept from one start to the next as long as nobody else took them."""

    kafka: int
    controller: int
    clickhouse: int
    gateway: int = 0
    page: int = 0


def _silent(line: str) -> None:
    pass


class Stack:
    """The stack of one folder. Parts can be ended and started alone: `kill_engine`, `start_kafka`, ...

    `tied`: everything dies with this process, however it ends; otherwise it runs on until `down`. `behind`: see
    kafka.Broker; for tests with a proxy.
    """

    def __init__(
        self, folder: Path, *, tied: bool = False, note: Note = _silent, behind: tuple[int, int] | None = None
    ) -> None:
        self.folder = folder.resolve()
        self._tied = tied
        self._behind = behind
        self._note = note

    # --- all of it -------------------------------------------------------------------------------
    def up(self, options: Options = Options()) -> Addresses:
        """Start what does not run and wait until it answers. A running stack is left as it is."""
        with state.locked(self.folder):
            running_now = self._running_state()
            if running_now is not None:
                self._note(f"already running in {self.folder}: nothing was changed")
                return running_now
            self._clean_up()
            try:
                return self._start_all(options)
            except BaseException:
                self._clean_up()
                raise

    def down(self) -> list[str]:
        """End every process of the stack; data stay. Returns the names of those that were running."""
        if not self.folder.exists():
            return []
        with state.locked(self.folder):
            return self._clean_up()

    def status(self) -> list[dict[str, Any]]:
        """Each process: name, pid, address, alive, memory_mb."""
        known = state.read(self.folder)
        if known is None:
            return []
        return [
            {
                "name": process.name,
                "pid": process.pid,
                "address": process.address,
                "alive": processes.is_alive(process),
                "memory_mb": processes.memory_mb(process) if processes.is_alive(process) else None,
                "log": process.log,
            }
            for process in known.processes
        ]

    @property
    def addresses(self) -> Addresses:
        """Of the running stack. StackError when none was started."""
        known = state.read(self.folder)
        if known is None:
            raise StackError(f"no stack runs in {self.folder}: start it with `touchline up --dir {self.folder}`")
        return known

    @property
    def bootstrap(self) -> str:
        """Kafka's address."""
        return self.addresses.bootstrap

    @property
    def clickhouse_url(self) -> str:
        """ClickHouse's address."""
        return self.addresses.clickhouse_url

    # --- single parts ----------------------------------------------------------------------------
    def start_engine(self) -> Process:
        """Start ClickHouse's engine on its port and data, and wait until it answers."""
        port = self._ports().clickhouse
        process = self._start(clickhouse.command(self.folder / "clickhouse", port, self._logs, self._tied))
        clickhouse.wait_ready(port, process)
        return process

    def stop_engine(self) -> None:
        """End it cleanly (SIGTERM)."""
        processes.stop(self._process("clickhouse"), _GRACE_S["clickhouse"])

    def kill_engine(self) -> None:
        """SIGKILL it and wait until it is gone."""
        processes.kill(self._process("clickhouse"))

    def start_kafka(self) -> Process:
        """Start Kafka on its ports and data, and wait until it answers."""
        broker = self._broker(self._ports())
        process = self._start(kafka.command(broker, self._note, self._tied))
        kafka.wait_ready(broker, process)
        return process

    def stop_kafka(self) -> None:
        """End it cleanly (SIGTERM)."""
        processes.stop(self._process("kafka"), _GRACE_S["kafka"])

    def kill_kafka(self) -> None:
        """SIGKILL it and wait until it is gone."""
        processes.kill(self._process("kafka"))

    def wipe_kafka(self) -> None:
        """Remove all of Kafka's data; it must not be running. The next start is of an empty cluster."""
        if processes.is_alive(self._process("kafka")):
            raise StackError("Kafka is running: stop it before its data are removed")
        shutil.rmtree(self.folder / "kafka")

    def pause(self, name: str) -> None:
        """SIGSTOP: the process keeps its connections and does nothing."""
        processes.send(self._process(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        processes.send(self._process(name), signal.SIGCONT)

    def start_worker(self, name: str, variables: dict[str, str] | None = None) -> Process:
        """Start `python -m agents` against this stack; does not wait for it to be ready."""
        settings = environment(self.addresses) | {"TOUCHLINE_WEB_PORT": "0"} | (variables or {})
        log = self._logs / f"{name}.log"
        return self._start(Command(name, [sys.executable, "-m", "agents"], log, "", settings, self._tied))

    def start_page(self) -> str:
        """Start the live page; its address, at which it answers within a second or two (see `wait_page`)."""
        port = self._ports().page
        where = f"http://localhost:{port}/"
        state.write(self.folder, replace(self.addresses, page_url=where))
        settings = environment(self.addresses)
        program = [sys.executable, "-m", "pipeline.command.main", "page"]
        self._start(Command("page", program, self._logs / "page.log", where, settings, self._tied))
        return where

    def wait_page(self) -> None:
        """Return when the page answers. StackError when it ended or takes too long."""
        page, port = self._process("page"), self._ports().page
        deadline = time.monotonic() + _PAGE_S
        while not processes.answers(port):
            if time.monotonic() > deadline or not processes.is_alive(page):
                raise StackError(f"the live page did not come up: {processes.last_words(Path(page.log))}")
            time.sleep(_LOOK_S)

    def kill_worker(self, name: str) -> None:
        """SIGKILL it and wait until it is gone."""
        processes.kill(self._process(name))

    def stop_worker(self, name: str) -> None:
        """End it cleanly (SIGTERM)."""
        processes.stop(self._process(name), _GRACE_S["worker"])

    def start_gateway(self) -> Process:
        """Start the gateway on its port, and wait until it takes events."""
        port = self._ports().gateway
        state.write(self.folder, replace(self.addresses, gateway_url=gateway.url(port)))
        process = self._start(gateway.command(port, environment(self.addresses), self._logs, self._tied))
        gateway.wait_ready(port, process)
        return process

    def kill_gateway(self) -> None:
        """SIGKILL it and wait until it is gone."""
        processes.kill(self._process("gateway"))

    # --- inside ----------------------------------------------------------------------------------
    @property
    def _logs(self) -> Path:
        return self.folder / "logs"

    def _broker(self, ports: Ports) -> kafka.Broker:
        return kafka.Broker(self.folder / "kafka", self._logs, ports.kafka, ports.controller, self._behind)

    def _process(self, name: str) -> Process:
        process = self.addresses.process(name)
        if process is None:
            raise StackError(f"the stack in {self.folder} has no {name}")
        return process

    def _start(self, command: Command) -> Process:
        known = self.addresses.process(command.name)
        if known is not None and processes.is_alive(known):
            raise StackError(f"{command.name} runs already as process {known.pid}")
        if known is not None:
            processes.kill(known)  # it is gone; what kept it goes too
        process = processes.start(command)
        state.write(self.folder, self.addresses.with_process(process))
        return process

    def _start_all(self, options: Options) -> Addresses:
        ports = self._choose_ports(options)
        bootstrap = options.bootstrap or f"127.0.0.1:{ports.kafka}"
        # The gateway's address is known to all from the start: the page shows how to send to it.
        entrance = gateway.url(ports.gateway) if options.gateway else ""
        state.write(self.folder, Addresses(bootstrap, clickhouse.url(ports.clickhouse), gateway_url=entrance))
        self._note("starting ClickHouse's engine and Kafka")
        engine = self._start(clickhouse.command(self.folder / "clickhouse", ports.clickhouse, self._logs, self._tied))
        if not options.bootstrap:
            self.start_kafka()
        clickhouse.wait_ready(ports.clickhouse, engine)
        if options.prepared:
            prepare(self.addresses, self._note)
        if options.page:
            self.start_page()
        workers: dict[int, Process] = {}
        for number in range(1, options.workers + 1):
            self._note(f"starting worker {number} of {options.workers}")
            port = processes.free_port(frozenset(workers))
            workers[port] = self.start_worker(f"worker-{number}", {"TOUCHLINE_WEB_PORT": str(port)})
        if options.gateway:
            self._note("starting the gateway")
            self.start_gateway()
        if options.page:
            self.wait_page()
        for name in worker.not_ready(workers) if options.prepared else ():
            self._note(f"{name} is not ready yet: see {self._logs / name}.log")
        state.write(self.folder, replace(self.addresses, complete=True))
        return self.addresses

    def _running_state(self) -> Addresses | None:
        """The state when all of it came up and still runs; None when anything is missing."""
        known = state.read(self.folder)
        if known is None or not known.complete or len(state.living(known)) < len(known.processes):
            return None
        return known

    def _clean_up(self) -> list[str]:
        """End what still runs of the last stack, workers first; forget it."""
        known = state.read(self.folder)
        if known is None:
            return []
        alive = state.living(known)
        parts = ("gateway", "worker", "page", "kafka", "clickhouse")
        for part in parts:
            group = [p for p in alive if p.name.partition("-")[0] == part]
            for process in group:  # all hear it at once, then each is waited for
                processes.send(process, signal.SIGCONT)
                processes.send(process, signal.SIGTERM)
            for process in group:
                processes.wait_gone(process, _GRACE_S[part])
                processes.kill(process)
        for process in known.processes:
            processes.kill(process)
        state.remove(self.folder)
        return [process.name for process in alive]

    def _ports(self) -> Ports:
        return Ports(**orjson.loads((self.folder / "ports.json").read_bytes()))

    def _choose_ports(self, options: Options) -> Ports:
        file = self.folder / "ports.json"
        before = self._ports() if file.exists() else Ports(0, 0, 0, 0)
        wanted = replace(
            before,
            kafka=options.kafka_port or before.kafka,
            clickhouse=options.clickhouse_port or before.clickhouse,
        )
        chosen: dict[str, int] = {}
        for name, port in asdict(wanted).items():
            asked = port and port in (options.kafka_port, options.clickhouse_port)
            if asked and not processes.is_free(port):
                raise StackError(f"port {port} is taken by another program: choose another one, or none")
            if not port or not processes.is_free(port) or port in chosen.values():
                port = processes.free_port(frozenset(chosen.values()))
            chosen[name] = port
        file.write_bytes(orjson.dumps(chosen))
        return Ports(**chosen)


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    workers: int = 0,
    prepared: bool = False,
    note: Note = _silent,
    behind: tuple[int, int] | None = None,
) -> Iterator[Stack]:
    """A stack for a block of code: up at its start, gone at its end, and gone if this process is killed.

    Yields the Stack; it has `bootstrap` and `clickhouse_url`, and parts that can be killed and started.
    """
    stack = Stack(folder, tied=True, note=note, behind=behind)
    stack.up(Options(workers=workers, prepared=prepared))
    try:
        yield stack
    finally:
        stack.down()
