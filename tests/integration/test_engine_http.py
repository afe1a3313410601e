"""ClickHouse's engine behind HTTP, through clickhouse-connect: what our code and its users rely on."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import threading
import time
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import lz4.frame
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.stack.launch import Stack
from tests.conftest import client_of

pytestmark = pytest.mark.clickhouse

_TABLE = """CREATE TABLE rows (off UInt64, delta Int64, kind LowCardinality(String), text String,
    marks Array(UInt32), at DateTime64(3, 'UTC'), maybe Nullable(Int32))
    ENGINE = ReplacingMergeTree(delta) ORDER BY off SETTINGS non_replicated_deduplication_window = 1000"""
_HOSTILE = ["a'b", "a\\b", "a\nb\tc", "{x:String}", "\\N", "", "\\", "'; DROP TABLE rows; --", "a\0b", "é€😀", "%27"]


def frame(count: int, first: int = 0) -> pl.DataFrame:
    """Rows of the table above, with every kind of column our slices have."""
    return pl.DataFrame(
        {
            "off": pl.Series(range(first, first + count), dtype=pl.UInt64),
            "delta": pl.Series([-1] * count, dtype=pl.Int64),
            "kind": pl.Series(["nps", "csat"] * (count // 2) + ["nps"] * (count % 2)).cast(pl.Categorical),
            "text": [f"größer {number}" for number in range(count)],
            "marks": pl.Series([[1, 2]] * count, dtype=pl.List(pl.UInt32)),
            "at": pl.Series([datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)] * count, dtype=pl.Datetime("ms", "UTC")),
            "maybe": pl.Series([None] * count, dtype=pl.Int32),
        }
    )


def ipc(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    rows.write_ipc_stream(body, compat_level=pl.CompatLevel.oldest())
    return body.getvalue()


def insert(client: Client, rows: pl.DataFrame, token: str) -> None:
    settings = {"async_insert": 0, "insert_deduplication_token": token}
    client.raw_insert("rows", rows.columns, ipc(rows), settings=settings, fmt="ArrowStream")


def count(client: Client, table: str = "rows") -> int:
    return int(client.query(f"SELECT count() FROM {table}").result_rows[0][0])


def test_a_frame_of_every_type_comes_back_as_it_went_in(client: Client) -> None:
    client.command(_TABLE)
    insert(client, frame(101), "a")
    body = client.raw_query(
        "SELECT * FROM rows ORDER BY off", settings={"output_format_arrow_string_as_string": 1}, fmt="ArrowStream"
    )
    back = pl.read_ipc_stream(io.BytesIO(body)).with_columns(pl.col("kind").cast(pl.String))
    assert back.equals(frame(101).with_columns(pl.col("kind").cast(pl.String)))


def test_a_reading_without_rows_still_has_its_columns(client: Client) -> None:
    client.command(_TABLE)
    empty = pl.read_ipc_stream(io.BytesIO(client.raw_query("SELECT off, delta FROM rows", fmt="ArrowStream")))
    assert (empty.columns, empty.height) == (["off", "delta"], 0)


@pytest.mark.parametrize("text", _HOSTILE)
def test_a_parameter_arrives_as_the_value_it_is(client: Client, text: str) -> None:
    assert client.query("SELECT {x:String} AS x", parameters={"x": text}).first_item == {"x": text}
    got = client.query("SELECT {x:Array(String)} AS x", parameters={"x": [text, "b"]}).first_item
    assert got == {"x": [text, "b"]}


def test_numbers_dates_and_absent_values_are_parameters_too(client: Client) -> None:
    values: dict[str, Any] = {"big": 2**64 - 1, "low": -5, "none": None, "day": date(2026, 1, 2)}
    sql = "SELECT {big:UInt64} AS big, {low:Int64} AS low, {none:Nullable(String)} AS none, {day:Date} AS day"
    row = client.query(sql, parameters=values).result_rows[0]
    assert tuple(row) == (2**64 - 1, -5, None, date(2026, 1, 2))


def test_many_long_parameters_go_as_a_form(client: Client) -> None:
    text = "x" * 20_000
    assert client.query("SELECT length({x:String}) AS n", parameters={"x": text}).first_item == {"n": 20_000}


def test_the_same_token_again_stores_nothing_again(client: Client) -> None:
    client.command(_TABLE)
    insert(client, frame(100), "t:0:1")
    insert(client, frame(100), "t:0:1")
    insert(client, frame(50), "t:0:1")
    assert count(client) == 100
    insert(client, frame(100), "t:0:2")
    assert count(client) == 200


def test_the_table_works_as_a_replacing_one_with_final(client: Client) -> None:
    client.command(_TABLE)
    insert(client, frame(10), "a")
    insert(client, frame(10).with_columns(delta=pl.lit(5, pl.Int64)), "b")
    assert client.query("SELECT count(), sum(delta) FROM rows FINAL").result_rows == [(10, 50)]


def test_mutations_are_done_when_the_answer_comes(client: Client) -> None:
    client.command(_TABLE)
    insert(client, frame(10), "a")
    client.command("ALTER TABLE rows UPDATE text = 'gone' WHERE off = 3", settings={"mutations_sync": 1})
    client.command("ALTER TABLE rows DELETE WHERE off = 4", settings={"mutations_sync": 1})
    client.command("DELETE FROM rows WHERE off = 5")
    assert client.query("SELECT count(), countIf(text = 'gone') FROM rows").result_rows == [(8, 1)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELECT nothing", 47),
        ("SELEC 1", 62),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("SELECT * FROM nowhere.rows", 81),
        ("SELECT throwIf(1)", 395),
        ("INSERT INTO nowhere FORMAT JSONEachRow {}", 60),
    ],
)
def test_a_refusal_carries_the_code_of_clickhouse(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.command(sql)
    assert refused.value.code == code


def test_rows_of_the_wrong_kind_are_refused_whole(client: Client) -> None:
    client.command(_TABLE)
    good, bad = '{"off": 1, "text": "a"}\n' * 5, '{"off": "x"}\n'
    with pytest.raises(DatabaseError) as refused:
        client.raw_insert("rows", ["off", "text"], good + bad, fmt="JSONEachRow")
    assert refused.value.code in (26, 27, 117)
    with pytest.raises(DatabaseError) as refused:
        client.raw_insert("rows", ["off"], b"no arrow at all", fmt="ArrowStream")
    assert refused.value.code == 117
    assert count(client) == 0


def test_native_inserts_and_readings_work(client: Client) -> None:
    client.command("CREATE TABLE plain (a UInt8, b LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
    summary = client.insert("plain", [[1, "x"], [2, "y"]], column_names=["a", "b"])
    assert summary.written_rows == 2
    assert client.query("SELECT a, b FROM plain ORDER BY a").result_rows == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("encoding", ["lz4", "gzip", "zstd"])
def test_packed_bodies_are_understood(client: Client, encoding: str) -> None:
    from backports import zstd

    client.command(_TABLE)
    pack = {"lz4": lz4.frame.compress, "gzip": gzip.compress, "zstd": zstd.compress}[encoding]
    client.raw_insert("rows", frame(7).columns, pack(ipc(frame(7))), fmt="ArrowStream", compression=encoding)
    assert count(client) == 7


def test_settings_of_one_request_are_gone_in_the_next(client: Client) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_rows_to_read'"
    assert client.query(asked, settings={"max_rows_to_read": 123_456}).result_rows == [("123456",)]
    client.command("SET max_rows_to_read = 7")
    assert client.query(asked).result_rows == [("0",)]


def test_a_statement_that_takes_too_long_is_ended(client: Client) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.query("SELECT count() FROM numbers(100000000000)", settings={"max_execution_time": 1})
    assert refused.value.code == 159


def test_ping_and_short_queries_answer_while_a_long_one_runs(stack: Stack, client: Client, database: str) -> None:
    done: list[str] = []

    def long() -> None:
        slow = client_of(stack, database)
        slow.query("SELECT sum(sipHash64(number)) FROM numbers(60000000) SETTINGS max_threads = 1")
        done.append("long")
        slow.close()

    asking = threading.Thread(target=long)
    asking.start()
    time.sleep(0.2)  # until it runs
    assert client.ping()
    assert client.query("SELECT 1").result_rows == [(1,)]
    done.append("short")
    asking.join()
    assert done == ["short", "long"]


def test_four_writers_and_a_reader_at_once_lose_nothing(stack: Stack, client: Client, database: str) -> None:
    client.command(_TABLE)

    def write(number: int) -> None:
        mine = client_of(stack, database)
        for block in range(10):
            insert(mine, frame(500, (number * 10 + block) * 500), f"{number}:{block}")
        mine.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert count(client) % 500 == 0  # a block is visible whole or not at all
    assert client.query("SELECT count(), uniqExact(off) FROM rows").result_rows == [(20_000, 20_000)]


def ask(stack: Stack, method: str, query: dict[str, str], headers: dict[str, str] | None = None) -> tuple[int, str]:
    """A bare HTTP request: status and the exception code of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(stack.clickhouse_url).port or 0)
    connection.request(method, "/?" + urlencode(query), headers=headers or {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("X-ClickHouse-Exception-Code", "")


def test_a_get_changes_nothing(stack: Stack, database: str) -> None:
    made = "CREATE TABLE t (a UInt8) ENGINE = Memory"
    status, code = ask(stack, "GET", {"query": made, "database": database})
    assert (status, code) == (500, "164")
    assert ask(stack, "POST", {"query": made, "database": database}) == (200, "")


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:80"}])
def test_web_pages_are_refused(stack: Stack, headers: dict[str, str]) -> None:
    assert ask(stack, "POST", {"query": "SELECT 1"}, headers) == (403, "497")


def test_statuses_are_those_of_clickhouse(stack: Stack) -> None:
    assert ask(stack, "POST", {"query": "SELECT * FROM nowhere"}) == (404, "60")
    assert ask(stack, "POST", {"query": "SELEC 1"}) == (400, "62")
    assert ask(stack, "POST", {}) == (400, "62")
    assert ask(stack, "POST", {"query": "SELECT 1", "x y": "1"}) == (404, "115")


def test_the_format_asked_for_is_named_in_the_answer(stack: Stack) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(stack.clickhouse_url).port or 0)
    connection.request("GET", "/?" + urlencode({"query": "SELECT 1 AS a", "default_format": "JSONEachRow"}))
    answer = connection.getresponse()
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert json.loads(answer.read()) == {"a": 1}
    connection.close()
