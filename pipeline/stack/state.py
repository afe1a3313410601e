"""What runs, in `D/stack.json` [I/O]: written whole, read by every command; and the lock around changes of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import orjson

from pipeline.errors import StackError
from pipeline.stack.processes import Process, is_alive

FILE = "stack.json"
_LOCK = "stack.lock"
#: Form of the file; another number is not ours to read.
_FORM = 1


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a running stack answer, and which processes they are.

    `complete` is set when all of it has come up: a start that was killed on the way leaves it unset.
    """

    bootstrap: str
    clickhouse_url: str
    processes: tuple[Process, ...] = ()
    gateway_url: str = ""
    complete: bool = False
    form: int = _FORM

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name: kafka, clickhouse, worker-1, ..."""
        return {process.name: process.pid for process in self.processes}

    def process(self, name: str) -> Process | None:
        """The process of that name, None when it was never started."""
        return next((p for p in self.processes if p.name == name), None)

    def with_process(self, process: Process) -> Addresses:
        """The same with this process in place of the one of its name."""
        others = tuple(p for p in self.processes if p.name != process.name)
        return replace(self, processes=(*others, process))


def read(folder: Path) -> Addresses | None:
    """The state that was written last; None when there is none. Says nothing about who still lives."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        state = msgspec.json.decode(file.read_bytes(), type=Addresses)
    except msgspec.MsgspecError as error:
        raise StackError(f"{file} cannot be read ({error}): `rm {file}` if no stack runs there") from error
    if state.form != _FORM:
        raise StackError(f"{file} was written by another version of touchline: end that stack with it first")
    return state


def write(folder: Path, state: Addresses) -> None:
    """Replace the file as a whole; readable by its owner only."""
    new = folder / (FILE + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
    new.replace(folder / FILE)


def remove(folder: Path) -> None:
    """Forget the stack."""
    (folder / FILE).unlink(missing_ok=True)


def living(state: Addresses) -> list[Process]:
    """The processes of the file that still run."""
    return [process for process in state.processes if is_alive(process)]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for a change: a second `up` or `down` waits here for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
