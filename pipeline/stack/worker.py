"""Workers of the stack, waited for [I/O]: an event that is sent right after `touchline up` is seen at once."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping

from pipeline.stack import processes
from pipeline.stack.processes import Process

#: A worker imports, joins the group and takes its partitions: 5 s on a laptop, more where much else runs.
_READY_S = 60.0
_LOOK_S = 0.1


def not_ready(workers: Mapping[int, Process]) -> list[str]:
    """Waits until each worker (by its port) holds its partitions; the names of those that do not after a minute."""
    deadline = time.monotonic() + _READY_S
    waiting = dict(workers)
    while waiting and time.monotonic() < deadline:
        waiting = {port: worker for port, worker in waiting.items() if not _is_ready(port)}
        if waiting and not any(processes.is_alive(worker) for worker in waiting.values()):
            break
        time.sleep(_LOOK_S if waiting else 0)
    return [worker.name for worker in waiting.values()]


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
