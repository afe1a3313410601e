"""Which window rows count: minutes, or hours on days that are kept by the hour (pure).

The table `rolled` says which days; pipeline/scores/rolling.py makes them so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from pipeline.scores.windows import COUNTS, KEY
from pipeline.slices import COUNTED, OTHER

DAY_S = 86_400
HOUR_S = 3_600

#: Whether a window row lies in a day that is kept by the hour; columns of the sorting key only, so it may be PREWHERE.
IS_ROLLED = "(topic, epoch, part, intDiv(minute, 86400)) IN (SELECT topic, epoch, part, day FROM rolled)"
#: Rows, and a sum of hashes that does not depend on their order: two sets of window rows in one number each.
FINGERPRINT = "count() AS n, sum(cityHash64({})) AS print".format(
    ", ".join([*(f"toString({name})" for name in KEY), *(f"toInt64({name})" for name in COUNTS)])
)


def counted_as(name: str, old: str = "") -> str:
    """SQL of the name under which a ledger row counts in a dimension; `old` is the prefix of what it takes back."""
    if name == "channel":
        return f"{old}{name}"  # a closed set
    return f"if(bitTest({old}others, {COUNTED.index(name)}), toLowCardinality('{OTHER}'), {old}{name})"


def kept_rows(columns: str, where: str) -> str:
    """SQL of the window rows that count, minutes and hours; `where` names columns of the sorting key only."""
    return f"""SELECT {columns} FROM windows FINAL PREWHERE {where} AND NOT {IS_ROLLED}
        UNION ALL SELECT {columns} FROM windows_1h FINAL PREWHERE {where} AND {IS_ROLLED}"""


def by_width(rows: pl.DataFrame, rolled: Collection[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Window rows apart: those of the table `windows`, and those of days that are kept by the hour."""
    if not rolled:
        return rows, rows.clear()
    hourly = (pl.col("minute") // DAY_S).is_in(list(rolled))
    return rows.filter(~hourly), rows.filter(hourly)


def starts(minutes: Sequence[int], rolled: Collection[int]) -> tuple[list[int], list[int]]:
    """Where the rows of these minutes (seconds) begin: minutes, and hours in days that are kept by the hour."""
    hours = sorted({minute // HOUR_S * HOUR_S for minute in minutes if minute // DAY_S in rolled})
    return [minute for minute in minutes if minute // DAY_S not in rolled], hours
