"""Processes of the stack [I/O]: start, recognise, end; always by id and start time, never by name.

A process is its id plus the time it started (from /proc, or `ps` elsewhere): an id alone is used again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from pipeline.errors import StackError

_TIED = Path(__file__).with_name("tied.py")
#: Below the range from which systems take ports for outgoing connections: none can land on ours while a part restarts.
_PORTS = range(20_000, 30_000)
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A running part of the stack. `pid` is the program itself, `keeper` the tied.py above it (0: none)."""

    name: str
    pid: int
    started: str
    address: str = ""
    log: str = ""
    keeper: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: arguments, variables added to the environment, the file for its output, tied to us or not."""

    name: str
    arguments: Sequence[str]
    log: Path
    address: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    tied: bool = False


#: Popen objects of this process: a child that ended must be waited for, or it stays as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


@atexit.register
def _let_go() -> None:
    """Parts of a detached stack outlive this process on purpose: no warning about them."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0


def start(command: Command) -> Process:
    """Start it in a session of its own (no Ctrl-C reaches it), output appended to its log."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    arguments, pid_file = list(command.arguments), command.log.with_suffix(".pid")
    pid_file.unlink(missing_ok=True)
    if command.tied:
        keeper = [sys.executable, "-I", "-S", str(_TIED), "--parent", str(os.getpid())]
        arguments = [*keeper, "--pid-file", str(pid_file), "--", *arguments]
    with command.log.open("ab") as log:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | dict(command.variables),  # handed on, not read
        )
    _children[child.pid] = child
    pid = _reported_pid(child, pid_file, command) if command.tied else child.pid
    keeper_pid = child.pid if command.tied else 0
    return Process(command.name, pid, start_time(pid), command.address, str(command.log), keeper_pid)


def _reported_pid(child: subprocess.Popen[bytes], pid_file: Path, command: Command) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and child.poll() is None:
        if pid_file.exists():
            return int(pid_file.read_text())
        time.sleep(_LOOK_S)
    raise StackError(f"{command.name} did not start; its last words: {last_words(command.log)}")


def start_time(pid: int) -> str:
    """When the process started, as an opaque text; empty when there is no such process (or only a zombie)."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else _start_time_by_ps(pid)
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return ""


def _start_time_by_ps(pid: int) -> str:
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return "" if not shown or shown.startswith("Z") else shown.partition(" ")[2].strip()


def is_alive(process: Process) -> bool:
    """Whether this very process still runs (another one under the same id does not count)."""
    if (child := _children.get(process.pid)) is not None and child.poll() is not None:
        return False
    return bool(process.started) and start_time(process.pid) == process.started


def memory_mb(process: Process) -> float | None:
    """Resident memory in MB; None when it is gone or the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc", str(process.pid), "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return None


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal if it is still this process. False when it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def stop(process: Process, grace_s: float) -> None:
    """SIGTERM, wait at most `grace_s`, then SIGKILL; returns when it is gone."""
    if send(process, signal.SIGTERM):
        wait_gone(process, grace_s)
    kill(process)


def kill(process: Process) -> None:
    """SIGKILL (also to a stopped process) and wait until it is gone."""
    if send(process, signal.SIGKILL) and not wait_gone(process, 10):
        raise StackError(f"{process.name} (process {process.pid}) does not die: look at it with `ps`")
    _reap(process)


def wait_gone(process: Process, seconds: float) -> bool:
    """Wait until the process is gone; False when it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _reap(process: Process) -> None:
    for pid in (process.pid, process.keeper):
        child = _children.pop(pid, None)
        if child is not None:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def last_words(log: Path, lines: int = 3) -> str:
    """The last lines of a log on one line, for error texts."""
    if not log.exists():
        return f"(nothing in {log})"
    text = log.read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return " | ".join(text[-lines:]) + f" (see {log})"


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port of this machine that nothing listens on now, outside the range of outgoing connections."""
    dice = SystemRandom()
    for _ in range(200):
        port = dice.choice(_PORTS)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {_PORTS.start} and {_PORTS.stop}: choose one with --kafka-port")


def is_free(port: int) -> bool:
    """Whether a program could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
