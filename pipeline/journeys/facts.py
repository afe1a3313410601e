"""Which ledger rows a question of this room reads: conditions and parameters, the same for every reader. Pure.

Column names come from closed lists here; everything a person typed travels as a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.intervals import wilson
from pipeline.scores.meters import ENOUGH
from pipeline.slices import CORE, FURTHER
from schemas.vocabulary import MODE_OF

#: What a reader may filter by.
DIMENSIONS: tuple[str, ...] = (*CORE, "mode", *("segment" if name == "segments" else name for name in FURTHER))
DAY_S = 86_400
#: Events on the input topics are at most 30 days old when they come; one day more for the calendar.
_OLDEST_DAYS = 31
#: Readings of the ledger: an offset never changes its ingest day; what does not fit into 1 GiB goes to the disk.
SETTINGS: dict[str, Any] = {
    "do_not_merge_across_partitions_select_final": 1,
    "max_bytes_before_external_group_by": 1 << 30,
}

Filters = Mapping[str, tuple[str, ...]]


class Database(Protocol):
    """The part of pipeline.clickhouse.ClickHouse that is needed here."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        long: bool = False,
    ) -> pl.DataFrame:
        """Rows of a SELECT."""


def check_filters(filters: Filters) -> None:
    """Raises UsageError for a name that is no dimension, and for employees: with what customers did around an answer,
    a few answers are too many to tell who said what of whom."""
    if "agent" in filters:
        raise UsageError("single employees are read with `touchline scores --where agent=...`, which keeps a threshold")
    for name in filters:
        if name not in DIMENSIONS:
            raise UsageError(f"there is no dimension {name!r}; there are {', '.join(DIMENSIONS)}")


def column(name: str) -> str:
    """The SQL of a dimension of a ledger row, as a text."""
    if name == "mode":
        return "transform(toString(channel), {channels:Array(String)}, {modes:Array(String)}, '')"
    return f"toString({'segments' if name == 'segment' else name})"


def place(name: str, otherwise: str) -> str:
    """The SQL of a number for each word of a dimension: {places} of {nodes}, else `otherwise`.

    The bare column keeps its dictionary, so that each word is looked up once and not once a row.
    """
    words = "segments" if name == "segment" else name
    bare = column(name) if name == "mode" else words
    return f"transform({bare}, {{nodes:Array(String)}}, {{places:Array(UInt16)}}, toUInt16({otherwise}))"


def kept(filters: Filters) -> str:
    """` AND ...` for each filter."""
    parts = []
    for name in filters:
        if name == "segment":
            parts.append(" AND hasAny(splitByChar(',', toString(segments)), {only_segment:Array(String)})")
        else:
            parts.append(f" AND has({{only_{name}:Array(String)}}, {column(name)})")
    return "".join(parts)


def between(begin: str = "{begin_ms:Int64}", finish: str = "{finish_ms:Int64}") -> str:
    """Counted rows of known customers whose event time lies in [begin, finish), and the ingest days they can have."""
    return f"""disposition = 'aggregated' AND customer != 0 AND occurred_ms >= {begin} AND occurred_ms < {finish}
            AND {days(begin, finish)}"""


def days(begin: str = "{begin_ms:Int64}", finish: str = "{finish_ms:Int64}") -> str:
    """The ingest days that rows with an event time in [begin, finish) can have."""
    return f"""day >= toDate(fromUnixTimestamp64Milli({begin}, 'UTC')) - 1
            AND (topic = 'history' OR day <= toDate(fromUnixTimestamp64Milli({finish}, 'UTC')) + {_OLDEST_DAYS})"""


def parameters(begin_s: int, finish_s: int, filters: Filters) -> dict[str, Any]:
    """What `between`, `column` and `kept` refer to."""
    return {
        "begin_ms": begin_s * 1000,
        "finish_ms": finish_s * 1000,
        "channels": [channel.value for channel in MODE_OF],
        "modes": [mode.value for mode in MODE_OF.values()],
        **{f"only_{name}": list(values) for name, values in filters.items()},
    }


def share(hits: int, n: int) -> dict[str, Any]:
    """A share as it is shown: with n and Wilson's interval, or `insufficient` under ten."""
    if n < ENOUGH:
        return {"value": None, "low": None, "high": None, "n": n, "status": "insufficient"}
    low, high = (float(bound) for bound in wilson(hits, n))
    return {"value": hits / n, "low": low, "high": high, "n": n, "status": "ok"}
