"""Where an INSERT ends and its data begin, quoting, codes."""

from __future__ import annotations

import pytest

from pipeline.stack.statement import (
    UNKNOWN,
    error_code,
    format_at_end,
    http_status,
    is_name,
    quoted,
    quoted_name,
    split_insert,
)


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (b"INSERT INTO t (a, b) FORMAT ArrowStream\n\xff\xff", "INSERT INTO t (a, b) ", "ArrowStream", b"\xff\xff"),
        (b'insert into t format JSONEachRow {"a":1}', "insert into t ", "JSONEachRow", b'{"a":1}'),
        (b"INSERT INTO t FORMAT TSV\r\n1\t2\n", "INSERT INTO t ", "TSV", b"1\t2\n"),
        (b"INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", b""),
        (b"INSERT INTO t FORMAT CSV\n\nFORMAT x", "INSERT INTO t ", "CSV", b"\nFORMAT x"),
        (b"/* format */ INSERT INTO `format x` FORMAT CSV\n1", "/* format */ INSERT INTO `format x` ", "CSV", b"1"),
        (b"-- a 'note\nINSERT INTO t (`values`) FORMAT CSV\n1", "-- a 'note\nINSERT INTO t (`values`) ", "CSV", b"1"),
        (b"INSERT INTO t (format) FORMAT CSV\n1", "INSERT INTO t (format) ", "CSV", b"1"),
        (
            b"INSERT INTO t SETTINGS a = 'FORMAT x' FORMAT CSV 1",
            "INSERT INTO t SETTINGS a = 'FORMAT x' ",
            "CSV",
            b"1",
        ),
    ],
)
def test_data_begin_after_the_format(text: bytes, head: str, name: str, data: bytes) -> None:
    insert = split_insert(text)
    assert insert is not None
    assert (insert.head, insert.format, bytes(insert.data)) == (head, name, data)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1 FORMAT Native",
        b"INSERT INTO t VALUES (1), ('FORMAT CSV')",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t FORMAT Values (1)",
        b"INSERT INTO t WITH 1 AS a SELECT a",
        b"INSERT INTO t",
        b"(SELECT 1) FORMAT CSV",
        b"'INSERT INTO t FORMAT CSV'",
        b"",
    ],
)
def test_other_statements_are_left_to_the_engine(text: bytes) -> None:
    assert split_insert(text) is None


def test_a_long_text_without_end_is_read_in_one_pass() -> None:
    assert split_insert(b"INSERT INTO t (" + b"a, " * 50_000) is None


def test_only_a_format_at_the_end_counts() -> None:
    assert format_at_end(b"SELECT 1\n FORMAT Native ;\n") == "Native"
    assert format_at_end(b"SELECT ' FORMAT Native' AS a") is None


@pytest.mark.parametrize(
    ("value", "literal"), [("a'b", r"'a\'b'"), ("a\\", r"'a\\'"), ("\\' OR 1", r"'\\\' OR 1'"), ("", "''")]
)
def test_a_quoted_value_cannot_leave_its_quotes(value: str, literal: str) -> None:
    assert quoted(value) == literal


def test_a_quoted_name_cannot_leave_its_quotes() -> None:
    assert quoted_name("a`b\\") == r"`a\`b\\`"


@pytest.mark.parametrize("text", ["a b", "a=1, b", "1a", "", "a-b", "a\n", "ä"])
def test_what_is_no_name_stays_out_of_a_set(text: str) -> None:
    assert not is_name(text)


def test_codes_and_statuses_are_those_of_clickhouse() -> None:
    assert error_code("Streaming insert: Code: 60. DB::Exception: Table x") == 60
    assert error_code("something else") == UNKNOWN
    assert [http_status(code) for code in (60, 62, 516, 48, UNKNOWN)] == [404, 400, 403, 501, 500]
