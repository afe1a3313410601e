"""The gateway as a process of the stack [I/O]."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import StackError
from pipeline.stack import processes
from pipeline.stack.processes import Command, Process

#: Kafka and ClickHouse answer already; the rest is the interpreter's start on a busy machine.
_READY_S = 30.0
_LOOK_S = 0.05


def url(port: int) -> str:
    """Its address."""
    return f"http://127.0.0.1:{port}"


def command(port: int, settings: Mapping[str, str], logs: Path, tied: bool) -> Command:
    """How it is started; `settings` are those of everything that uses the stack."""
    variables = {**settings, "TOUCHLINE_GATEWAY_PORT": str(port), "TOUCHLINE_GATEWAY_HEALTH_PORT": "0"}
    arguments = [sys.executable, "-m", "pipeline.command.main", "gateway"]
    return Command("gateway", arguments, logs / "gateway.log", url(port), variables, tied)


def wait_ready(port: int, process: Process) -> None:
    """Waits until it is ready to send; StackError with its last words otherwise."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and processes.is_alive(process):
        try:
            with urllib.request.urlopen(f"{url(port)}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK_S)
    raise StackError(f"the gateway is not ready: {processes.last_words(Path(process.log))}")
