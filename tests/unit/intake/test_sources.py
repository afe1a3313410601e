"""Files as tables: what spreadsheets do to CSV, NDJSON with nested objects, Parquet with types."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import UsageError
from pipeline.intake.sources import Layout, header_of, layout_of, rows_of

#: Nothing is said: separator, encoding and form are read off the file.
AUTO = Layout(separator="", encoding="", form="")
HEADER = ["when", "stars", "comment"]
ROWS = [["2026-01-31", "4", "fine; really, fine"], ["2026-02-01", "2", "zu spät"]]


def read(file: Path, given: Layout = AUTO) -> tuple[list[str], list[list[str]]]:
    layout = layout_of(file, given)
    return header_of(file, layout), list(rows_of(file, layout))


def lines(separator: str, end: str = "\r\n") -> str:
    rows = [HEADER, *ROWS]
    return "".join(separator.join(f'"{cell}"' if " " in cell else cell for cell in row) + end for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        lines(",").encode(),
        lines(",", "\n").encode("utf-8-sig"),
        lines(";").encode("utf-8-sig"),
        lines("\t").encode("utf-16"),
        ("sep=;\r\n" + lines(";")).encode("utf-8-sig"),
        (lines(";") + "\r\n\r\n").encode(),
    ],
    ids=["comma, CRLF", "mark, LF", "semicolon", "UTF-16 with tabs", "sep= line", "empty lines at the end"],
)
def test_a_table_is_read_as_a_spreadsheet_wrote_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    assert read(file) == (HEADER, ROWS)


def test_what_is_said_of_a_table_is_not_read_off_it(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a;b\n1;2\n")
    assert read(file, Layout(separator=",", encoding="", form="")) == (["a;b"], [["1;2"]])


def test_ndjson_gives_a_column_for_each_key_nested_ones_with_dots(tmp_path: Path) -> None:
    file = tmp_path / "table.ndjson"
    file.write_text('{"id": 1, "a": {"score": 9, "text": null}}\n\nnot json\n[1]\n{"a": {"score": 7.5}, "b": true}\n')
    header, rows = read(file)
    assert header == ["id", "a.score", "a.text", "b"]
    assert rows == [["1", "9", "", ""], [], [], ["", "7.5", "", "true"]]


def test_parquet_gives_whole_numbers_and_times_as_text(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    at = [datetime(2026, 1, 31, 12, tzinfo=UTC), None]
    frame = {"score": [9.0, 7.5], "at": at, "n": [1, None], "text": ["fine", None]}
    pl.DataFrame(frame).write_parquet(file)
    header, rows = read(file)
    assert header == ["score", "at", "n", "text"]
    assert rows == [["9", "2026-01-31T12:00:00+00:00", "1", "fine"], ["7.5", "", "", ""]]


@pytest.mark.parametrize("name", ["nothing.csv", "empty.csv", "empty.ndjson", "text.parquet"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str) -> None:
    if name != "nothing.csv":
        (tmp_path / name).write_text("" if name.startswith("empty") else "text")
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        read(tmp_path / name)
