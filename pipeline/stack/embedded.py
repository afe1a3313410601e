"""ClickHouse's engine inside this process [I/O]: one chDB folder, one short-lived connection per request.

A connection of its own per request keeps SET, USE and parameters of one request from every other one, as a
server does; it costs 1-2 ms (measured). Requests run at the same time on threads; the engine keeps them apart.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import StackError
from pipeline.stack.statement import (
    Insert,
    error_code,
    format_at_end,
    is_name,
    quoted,
    quoted_name,
    split_insert,
)

#: Cache of column marks; the default of 5 GB suits a server, not a laptop.
_MARK_CACHE_BYTES = 256 << 20
#: No machine code for expressions: on a laptop's volumes compiling cost more (0.4 s of the first seven) than it saved.
_INTERPRETED = "&compile_expressions=0&compile_aggregate_expressions=0&compile_sort_description=0"


@dataclass(frozen=True, slots=True)
class Request:
    """One statement with what came along in the URL: parameters and settings are values, never SQL."""

    sql: bytes
    parameters: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    database: str = ""
    format: str = "TabSeparated"


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a statement: bytes in `format`, counts of rows and bytes, seconds."""

    body: bytes
    format: str
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    result_rows: int
    seconds: float


class Refused(Exception):
    """The engine refused a statement; `code` is ClickHouse's number."""

    def __init__(self, message: str, code: int | None = None) -> None:
        start = message.find("Code: ")
        super().__init__(message[start:] if start > 0 else message)
        self.code = error_code(message) if code is None else code


class Embedded:
    """The engine over one folder. `execute` may be called from several threads at once."""

    def __init__(self, folder: Path, memory_bytes: int | None = None) -> None:
        """Open the folder (made when missing). StackError when another process has it open."""
        import chdb

        folder.mkdir(parents=True, exist_ok=True)
        self._incoming = folder.parent / "incoming"
        self._incoming.mkdir(exist_ok=True)
        for left in self._incoming.iterdir():  # of a process that was killed
            left.unlink()
        options = f"?mark_cache_size={_MARK_CACHE_BYTES}{_INTERPRETED}"
        if memory_bytes:
            options += f"&max_server_memory_usage={memory_bytes}"
        self._address = str(folder) + options
        self._connect = chdb.connect
        try:
            self._keeper = chdb.connect(self._address)  # the engine lives as long as one connection does
            first = self._keeper.query("SELECT version(), timezone()", "TSV").bytes().decode()
        except RuntimeError as error:
            raise StackError(f"ClickHouse's engine cannot open {folder}: {error}") from error
        self.version, self.timezone = first.rstrip("\n").split("\t")

    def execute(self, request: Request) -> Answer:
        """Run one statement to its end. Raises Refused with ClickHouse's code."""
        with self._connection(request) as connection:
            insert = split_insert(request.sql)
            if insert is not None:
                return _insert(connection, insert, self._incoming)
            return _query(connection, request)

    @contextlib.contextmanager
    def _connection(self, request: Request) -> Iterator[Any]:
        try:
            connection = self._connect(self._address)
        except RuntimeError as error:
            raise Refused(str(error)) from error
        try:
            _prepare(connection, request)
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Close the engine; parts written are complete at any time, so this is politeness."""
        self._keeper.close()


def _prepare(connection: Any, request: Request) -> None:
    if request.database:
        _run(connection, f"USE {quoted_name(request.database)}")
    values = dict(request.settings) | {f"param_{name}": value for name, value in request.parameters.items()}
    for name in values:
        if not is_name(name):
            raise Refused(f"Code: 115. DB::Exception: {name!r} is no name of a setting. (UNKNOWN_SETTING)")
    # `readonly` forbids further SETs, so it comes last
    ordered = sorted(values.items(), key=lambda pair: pair[0] == "readonly")
    if ordered:
        _run(connection, "SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in ordered))


def _run(connection: Any, sql: str) -> None:
    try:
        connection.query(sql, "TSV")
    except RuntimeError as error:
        _refuse(error)


def _insert(connection: Any, insert: Insert, folder: Path) -> Answer:
    """Through a file: chDB's streaming insert answers "written" also when the commit failed (full disk, constraint)."""
    began = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            file.write(insert.data)
            file.flush()
            result = connection.query(f"{insert.head} FROM INFILE {quoted(file.name)} FORMAT {insert.format}", "TSV")
        except OSError as error:
            raise Refused(f"Code: 243. DB::Exception: {error.strerror} in {folder}. (NOT_ENOUGH_SPACE)") from error
        except RuntimeError as error:
            _refuse(error)
    rows, size = int(result.rows_written()), int(result.bytes_written())
    return Answer(b"", "", rows, size, rows, size, 0, time.perf_counter() - began)


def _query(connection: Any, request: Request) -> Answer:
    began = time.perf_counter()
    chosen = format_at_end(request.sql) or request.format
    try:
        result = connection.query(request.sql.decode("utf-8", "surrogateescape"), request.format)
    except RuntimeError as error:
        _refuse(error)
    except UnicodeEncodeError as error:
        raise Refused("Code: 62. DB::Exception: the statement is not UTF-8. (SYNTAX_ERROR)") from error
    body = bytes(result.bytes() or b"")
    return Answer(
        body,
        chosen if body else "",
        int(result.storage_rows_read()),
        int(result.storage_bytes_read()),
        int(result.rows_written()),
        int(result.bytes_written()),
        int(result.rows_read()),
        time.perf_counter() - began,
    )


def _refuse(error: RuntimeError) -> NoReturn:
    raise Refused(str(error)) from error
