"""ClickHouse over HTTP [I/O]: frames in, frames out. One client a thread, or one here with sessions switched off."""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from pipeline.errors import RefusedRows, Unavailable
from pipeline.settings import Settings
from pipeline.slices import FURTHER, LABELLED, OLD

Result = TypeVar("Result")

#: Codes of ClickHouse that mean "these rows can never be stored"; everything else may go through later.
#: 6 CANNOT_PARSE_TEXT, 26/27 CANNOT_PARSE_*, 53 TYPE_MISMATCH, 69 ARGUMENT_OUT_OF_BOUND, 70 CANNOT_CONVERT_TYPE,
#: 117 INCORRECT_DATA, 321 VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, 349 CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN,
#: 469 VIOLATED_CONSTRAINT, 691 UNKNOWN_ELEMENT_OF_ENUM.
DATA_ERRORS = frozenset({6, 26, 27, 53, 69, 70, 117, 321, 349, 469, 691})

#: Every insert: no asynchronous buffer (its defaults drop the deduplication token), the answer means "stored". No block
#: of ours holds a key twice, so looking for such rows while inserting finds nothing: a third of what an insert costs.
_INSERT_SETTINGS: dict[str, Any] = {"async_insert": 0, "insert_deduplicate": 1, "optimize_on_insert": 0}

#: Readings of ReplacingMergeTree: an offset never changes its ingest day, so parts of different days need no merge.
FINAL_BY_DAY: dict[str, Any] = {"do_not_merge_across_partitions_select_final": 1}


#: Columns of the ledger with a DEFAULT in the table, which most blocks hold from top to bottom: nothing was revised,
#: nobody wrote a text. Such a column is left out of the insert: 1.5 us an event less here, 3 us in ClickHouse.
LEDGER_DEFAULTS: dict[str, str | int] = {
    **dict.fromkeys(("failed_at", *FURTHER, "owner", "currency"), ""),
    **dict.fromkeys(("value", "duration_ms", "answer_hash", "revision", "others"), 0),
    **{name: "" if dtype == pl.String() else 0 for name, dtype in {**LABELLED, **OLD}.items()},
    "old_off": -1,
    "old_bin": -1,
}
#: Tables in which every column of words is LowCardinality.
_CODED = frozenset({"ledger", "windows", "windows_1h"})
#: Below this a dictionary for each column costs more than it saves.
_MANY_ROWS = 1_000
_DEFAULTS: dict[str, dict[str, str | int]] = {"ledger": LEDGER_DEFAULTS}


def without_defaults(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without the columns that hold nothing but the table's own default."""
    defaults = _DEFAULTS.get(table, {}) if rows.height else {}
    return rows.drop(name for name, default in defaults.items() if name in rows.columns and _only(rows[name], default))


def coded(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with their words as codes where the table keeps them so (LowCardinality): half the work on both sides.

    Each column has a dictionary of its own, which goes with it: nothing is kept from block to block.
    """
    if table not in _CODED or rows.height < _MANY_ROWS:
        return rows
    return rows.with_columns(_codes(rows[name]) for name, dtype in rows.schema.items() if dtype == pl.String)


def _codes(words: pl.Series) -> pl.Series:
    """Words as codes. Where there is one word from top to bottom, which is common, no row is looked up."""
    kind = pl.Categorical(pl.Categories.random())
    if words.len() and words[0] is not None and _only(words, words[0]):
        return words.head(1).cast(kind).new_from_index(0, words.len())
    return words.cast(kind)


def _only(column: pl.Series, value: str | int) -> bool:
    return column[0] == value and not column.null_count() and bool((column == value).all())


class ClickHouse:
    """A connection for one thread at a time; blocking. Errors: Unavailable (try again), RefusedRows (never will)."""

    def __init__(self, settings: Settings, *, timeout_s: float = 10.0, long_timeout_s: float = 600.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._long_timeout_s = long_timeout_s
        self._made: dict[float, Client] = {}

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        long: bool = False,
    ) -> pl.DataFrame:
        """Rows of a SELECT. User text goes into `parameters` ({name:Type}) only, never into `sql`."""
        try:
            body = self._client(long).raw_query(
                sql,
                parameters=dict(parameters or {}),
                settings={"output_format_arrow_string_as_string": 1, **(settings or {})},
                fmt="ArrowStream",
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._translate(error) from error
        if not body:
            return pl.DataFrame()
        return pl.read_ipc_stream(io.BytesIO(body))

    def command(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        """A statement without rows: DDL, a mutation."""
        try:
            self._client(True).command(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._translate(error) from error

    def insert(self, table: str, rows: pl.DataFrame, token: str = "") -> None:
        """One block of rows into one table, whole or not at all; the same `token` again changes nothing."""
        if rows.is_empty():
            return
        rows = coded(table, without_defaults(table, rows))
        body = io.BytesIO()
        rows.write_ipc_stream(body, compat_level=pl.CompatLevel.oldest())
        settings = {**_INSERT_SETTINGS, **({"insert_deduplication_token": token} if token else {})}
        try:
            self._client(False).raw_insert(
                table, column_names=rows.columns, insert_block=body.getvalue(), settings=settings, fmt="ArrowStream"
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._translate(error) from error

    def close(self) -> None:
        """Lets the sockets go."""
        for client in self._made.values():
            client.close()
        self._made.clear()

    def _client(self, long: bool) -> Client:
        timeout = self._long_timeout_s if long else self._timeout_s
        if timeout not in self._made:
            self._made[timeout] = self._connect(timeout)
        return self._made[timeout]

    def _connect(self, timeout_s: float) -> Client:
        url = urlsplit(self._settings.clickhouse_url)
        try:
            return clickhouse_connect.get_client(
                host=url.hostname or "127.0.0.1",
                port=url.port or (8443 if url.scheme == "https" else 8123),
                secure=url.scheme == "https",
                ca_cert=str(self._settings.clickhouse_ca) if self._settings.clickhouse_ca else None,
                username=self._settings.clickhouse_user,
                password=self._settings.clickhouse_password.get_secret_value(),
                database=self._settings.clickhouse_database,
                connect_timeout=5,
                send_receive_timeout=int(timeout_s),
                autogenerate_session_id=False,
                query_retries=0,
                compress=False,
                client_name="touchline",
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> Exception:
        code = getattr(error, "code", None)
        if code is None and isinstance(error, DatabaseError):
            code = _code_in(str(error))
        where = urlsplit(self._settings.clickhouse_url).netloc.rpartition("@")[2]
        if code in DATA_ERRORS:
            return RefusedRows(f"ClickHouse at {where} refused the rows: {_first_line(error)}")
        if isinstance(error, OperationalError | OSError | HTTPError):
            return Unavailable(f"ClickHouse at {where} does not answer: {_first_line(error)}; see `touchline doctor`")
        return Unavailable(f"ClickHouse at {where}: {_first_line(error)}")


def _code_in(text: str) -> int | None:
    """The number after 'code' or 'Code:' in ClickHouse's error text."""
    for marker in ("error code ", "Code: ", "code: "):
        _, found, rest = text.partition(marker)
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        if found and digits:
            return int(digits)
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


class Pool:
    """The same calls for the event loop: each runs in one of a few threads, each thread with a client of its own."""

    #: Loading, inserting and folding may each wait for ClickHouse at the same time; one more for the health check.
    THREADS = 4

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = threading.local()
        self._executor = ThreadPoolExecutor(self.THREADS, thread_name_prefix="clickhouse")
        self._calls = itertools.count()
        self._begun: dict[int, float] = {}
        #: Calls that were not answered.
        self.failures = 0

    async def call(self, work: Callable[[ClickHouse], Result]) -> Result:
        """Runs `work` with a client in a thread; raises what it raises."""
        call = next(self._calls)
        self._begun[call] = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, work)
        except Unavailable:
            self.failures += 1
            raise
        finally:
            del self._begun[call]

    def oldest(self) -> float | None:
        """When the oldest call that waits for its answer began, monotonic seconds; None when none waits."""
        return min(self._begun.values(), default=None)

    async def insert(self, table: str, rows: pl.DataFrame, token: str = "") -> None:
        """See ClickHouse.insert."""
        await self.call(lambda client: client.insert(table, rows, token))

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """See ClickHouse.query."""
        return await self.call(lambda client: client.query(sql, parameters))

    def close(self) -> None:
        """Takes no more work; does not wait for calls that hang."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[ClickHouse], Result]) -> Result:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = ClickHouse(self._settings)
        try:
            return work(client)
        except Unavailable:
            # A broken connection is not to be used again.
            client.close()
            self._local.client = None
            raise
