"""Tables on standard output [I/O]: plain columns for people, CSV for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.command.output import emit
from pipeline.views.figures import harmless


def csv_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Comma-separated values with a header; a text that a spreadsheet would run gets an apostrophe before it."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(heads)
    for row in rows:
        table.writerow([harmless(cell) for cell in row])


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Columns under each other; the first `left` stand at the left edge, the others at the right."""
    every = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(heads))]
    for row in every:
        cells = (
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        emit("  ".join(cells).rstrip())
