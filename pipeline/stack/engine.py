"""The process that holds ClickHouse's engine [I/O]: `python -m pipeline.stack.engine --dir D --port P`.

One process per folder (chDB allows no more): a file lock is taken first, so that a second one ends with a clear
message and exit code 1 before it has touched anything. Listens on 127.0.0.1 only: its SQL can read files.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import IO

from aiohttp import web

from pipeline.errors import StackError, TouchlineError
from pipeline.stack.embedded import Embedded
from pipeline.stack.front import Access, application

_HOST = "127.0.0.1"
#: A third of the share of the others. A worker on a backlog is 3 to 13 % faster (two pairs); the engine never starves.
_NICE = 5
#: Seconds that running statements get at a stop before the process ends anyway.
_GRACE_S = 3.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 1 with a line on standard error."""
    options = _parser().parse_args(arguments)
    _behind_the_others()
    folder = Path(options.dir).resolve()
    try:
        lock = _locked(folder)
        engine = Embedded(folder / "data", options.memory_mb << 20)
        asyncio.run(_serve(engine, options.port, _access(options.password_file)))
    except (TouchlineError, OSError) as error:
        sys.stderr.write(f"touchline engine: {error}\n")
        return 1
    del lock
    return 0


def _behind_the_others() -> None:
    """Where all cores are busy, whoever shares the machine goes first: merges can wait, a worker's one loop cannot.

    Linux schedules sessions, not processes, where it is told to (autogroup): then the session's own number counts.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipeline.stack.engine", description="ClickHouse's engine over HTTP")
    parser.add_argument("--dir", required=True, help="folder of the data")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, default=4096, help="largest memory of all statements together")
    parser.add_argument("--password-file", type=Path, help="file with USER:PASSWORD; without it all may ask")
    return parser


def _locked(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "engine.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise StackError(
            f"{folder} is in use by another engine (process {holder}); "
            "`touchline status` shows it, `touchline down` ends it"
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _access(file: Path | None) -> Access:
    if file is None:
        return Access()
    user, _, password = file.read_text().strip().partition(":")
    if not user or not password:
        raise StackError(f"{file} must hold one line USER:PASSWORD")
    return Access(user, password)


async def _serve(engine: Embedded, port: int, access: Access) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        application(engine, access), access_log=None, auto_decompress=False, shutdown_timeout=_GRACE_S
    )
    await runner.setup()
    await web.TCPSite(runner, _HOST, port).start()
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # chDB's threads can hang a normal exit; every acknowledged part is on disk already
