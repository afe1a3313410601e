"""ClickHouse's engine as a process of the stack [I/O]: its command, readiness, address."""

from __future__ import annotations

import http.client
import sys
import time
from pathlib import Path

from pipeline.errors import StackError
from pipeline.stack.processes import Command, Process, is_alive, last_words

#: Opening 2 million rows after SIGKILL took 1.6 s.
_READY_S = 120.0
_LOOK_S = 0.03


def url(port: int) -> str:
    """Address for clients."""
    return f"http://127.0.0.1:{port}"


def command(folder: Path, port: int, logs: Path, tied: bool) -> Command:
    """What starts the engine on a folder."""
    arguments = [sys.executable, "-m", "pipeline.stack.engine", "--dir", str(folder), "--port", str(port)]
    return Command("clickhouse", arguments, logs / "clickhouse.out", url(port), {}, tied)


def pings(port: int) -> bool:
    """Whether the engine answers on this port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_ready(port: int, process: Process) -> None:
    """Return when it answers. StackError when it ends or takes too long."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and is_alive(process):
        if pings(port):
            return
        time.sleep(_LOOK_S)
    raise StackError(f"ClickHouse's engine did not come up: {last_words(Path(process.log))}")
