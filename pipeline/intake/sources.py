"""Files as tables [I/O]: CSV, NDJSON and Parquet, each a header and rows of texts.

What spreadsheets do to CSV is taken as it comes: a byte order mark, UTF-16, semicolons or tabs between the cells, CRLF,
a first line `sep=;`. A nested object of NDJSON becomes columns with dots in their names (`comment.text`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipeline.errors import UsageError

#: Lines of NDJSON whose keys become the columns; keys that only later lines have are no columns.
_LOOKED_AT = 1_000
#: Rows of Parquet that are texts in memory at once.
_ROWS = 50_000
#: Bytes of a file that are looked at together.
_PART = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r"\ufeff?sep=(.)\r?\n?\Z")
#: How a file may be named.
FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written. `columns` names them where the file has no header; `quote` "" means none.

    `form` is csv, ndjson or parquet; `skip` first lines are none of the table.
    """

    separator: str = ","
    columns: tuple[str, ...] = ()
    quote: str = '"'
    encoding: str = "utf-8-sig"
    form: str = "csv"
    skip: int = 0


def layout_of(path: Path, given: Layout) -> Layout:
    """The layout with what was not said ("" for separator, encoding and form) read off the file's name and beginning.

    Raises UsageError when the file cannot be read.
    """
    form = given.form or FORMATS.get(path.suffix.lower(), "csv")
    if form != "csv":
        return replace(given, form=form, separator=",", encoding="utf-8-sig")
    encoding = given.encoding or _encoding_of(path)
    first, skip = _first_line(path, encoding), 0
    told = _SEP_LINE.match(first)
    if told:
        skip, first = 1, ""
    separator = given.separator or (told[1] if told else _separator_of(first, given.quote))
    return replace(given, form=form, encoding=encoding, separator=separator, skip=skip)


def header_of(path: Path, layout: Layout) -> list[str]:
    """The names of the columns. UsageError for a file that is empty or no such table."""
    if layout.form == "parquet":
        return list(_parquet(path).collect_schema())
    if layout.form == "ndjson":
        found = dict.fromkeys(key for row in islice(_objects(path), _LOOKED_AT) for key in (row or {}))
        if not found:
            raise UsageError(f"{path}: no JSON object in it, or the file is empty")
        return list(found)
    if layout.columns:
        return list(layout.columns)
    header = next(_cells(path, layout), None)
    if header is None:
        raise UsageError(f"{path}: the file is empty")
    return [name.strip() for name in header]


def rows_of(path: Path, layout: Layout) -> Iterator[list[str]]:
    """All rows of cells of a table, without the header; empty lines are no rows. A row that is broken has no cells."""
    if layout.form == "parquet":
        yield from _parquet_rows(path)
    elif layout.form == "ndjson":
        header = header_of(path, layout)
        for row in _objects(path):
            yield [row.get(name, "") for name in header] if row is not None else []
    else:
        yield from islice(_cells(path, layout), 0 if layout.columns else 1, None)


def rows_about(path: Path, layout: Layout) -> int:
    """How many rows there are, for a bar: exactly of Parquet, else lines, of which a quoted cell may hold several."""
    if layout.form == "parquet":
        return int(_parquet(path).select(pl.len()).collect().item())
    with path.open("rb") as file:
        lines = sum(part.count(b"\n") for part in iter(lambda: file.read(_PART), b""))
    return max(0, lines - layout.skip - (layout.form == "csv" and not layout.columns))


def _cells(path: Path, layout: Layout) -> Iterator[list[str]]:
    # A cell that is not in the encoding becomes surrogates and is refused by itself, not the whole file.
    with path.open(encoding=layout.encoding, errors="surrogateescape", newline="") as file:
        csv.field_size_limit(2**31 - 1)  # the codec has its own limit and names it
        for _ in range(layout.skip):
            file.readline()
        yield from filter(
            None,
            csv.reader(
                file,
                delimiter=layout.separator,
                quotechar=layout.quote or None,
                quoting=csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE,
            ),
        )


def _objects(path: Path) -> Iterator[dict[str, str] | None]:
    """The object of each line that is not empty; None for a line that is none."""
    with path.open("rb") as file:
        for line in file:
            if not (stripped := line.strip()):
                continue
            try:
                document = orjson.loads(stripped.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError:
                yield None
                continue
            yield _flat(document) if isinstance(document, dict) else None


def _flat(document: dict[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = _text(value)
    return found


def _text(value: Any) -> str:
    """A cell as text: nothing is "", a number as it is written, a moment as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat()
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else str(value)


def _parquet(path: Path) -> pl.LazyFrame:
    try:
        found = pl.scan_parquet(path)
        found.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"{path}: no Parquet file ({type(error).__name__})") from error
    return found


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    frame, start = _parquet(path), 0
    while not (part := frame.slice(start, _ROWS).collect()).is_empty():
        columns = [[_text(value) for value in part[name].to_list()] for name in part.columns]
        yield from map(list, zip(*columns, strict=True))
        start += part.height


def _encoding_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _first_line(path: Path, encoding: str) -> str:
    try:
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            return file.readline(1_000_000)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except LookupError as error:
        raise UsageError(f"--encoding {encoding}: no such encoding") from error


def _separator_of(line: str, quote: str) -> str:
    """The sign that parts the header's cells: the most frequent one outside of quotes; a comma where none is there."""
    bare = re.sub(f"{re.escape(quote)}[^{re.escape(quote)}]*{re.escape(quote)}", "", line) if quote else line
    return max(_SEPARATORS, key=bare.count)
