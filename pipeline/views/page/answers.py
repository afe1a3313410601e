"""The answers of the reading API: rows as JSON, CSV or Arrow, the same digits in each. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import polars as pl

from pipeline.scores.reading import Question
from pipeline.views.beside import LEADING, weighs_voices
from pipeline.views.figures import harmless
from pipeline.views.flat import Table
from pipeline.views.score_lines import Extra, document, iso

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
#: The header of each form.
CONTENT: Final = {JSON: JSON, CSV: f"{CSV}; charset=utf-8", ARROW: ARROW}
_FIGURES: Final = ("n", "score", "low", "high")


def preferred(accept: str) -> str | None:
    """The type to answer with for an Accept header; None when none of ours is wanted."""
    found: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept.split(",") if accept.strip() else ["*/*"]):
        name, *options = (piece.strip() for piece in part.split(";"))
        quality = next((_number(o[2:]) for o in options if o.startswith("q=")), 1.0)
        for mine, also in ((JSON, ("*/*", "application/*")), (CSV, ("text/*",)), (ARROW, ())):
            if quality > 0 and (name.lower() == mine or name in also):
                found.append((-quality, position, mine))
    return min(found)[2] if found else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def as_json(question: Question, rows: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> bytes:
    """The document that `touchline scores --json` gives, and `more`."""
    return orjson.dumps({**document(question, rows, _extras(question)), **more})


def _extras(question: Question) -> Sequence[Extra]:
    return LEADING if weighs_voices(question) else ()


def as_csv(question: Question, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Lines as RFC 4180 has them, with a header; numbers in full, words that look like formulas after a '."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    figures = (*_FIGURES, "score_unit", "method", "status")
    beside = ["detectable", *(key for extra in _extras(question) for key in extra.keys)]
    table.writerow(
        ["start", "seconds", "metric", *question.by, "scale", *figures, *(f"b{i}" for i in range(11)), *beside]
    )
    for row in rows:
        words = [harmless(str(row[name])) for name in (*question.by, "scale")]
        numbers = [row[name] for name in figures]
        further = [row.get(key) for key in beside]
        table.writerow(
            [iso(row["start"]), row["seconds"], question.metric, *words, *numbers, *row["histogram"], *further]
        )
    return out.getvalue().encode()


def formed(kind: str, document: Mapping[str, Any], table: Table) -> bytes:
    """An answer that is a document, as JSON, or the table that stands for it, as CSV or Arrow."""
    heads, rows = table
    if kind == JSON:
        return orjson.dumps(document)
    if kind == ARROW:
        columns = {head: pl.Series([row[i] for row in rows], strict=False) for i, head in enumerate(heads)}
        return as_arrow(pl.DataFrame(columns))
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(heads)
    lines.writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def as_arrow(rows: pl.DataFrame) -> bytes:
    """The rows as an Arrow stream."""
    out = io.BytesIO()
    rows.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
    return out.getvalue()
