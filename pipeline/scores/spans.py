"""Windows larger than a minute (pure): tumbling, hopping, sessions, and the days of a time zone.

Everything is in Unix seconds. A window is [start, end). Minute windows are stored; these are sums of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from pipeline.errors import UsageError

_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY


def tumbling(moment: int, size: int) -> tuple[int, int]:
    """The window that a moment lies in, aligned to the epoch."""
    start = moment // size * size
    return start, start + size


def hopping(moment: int, size: int, step: int) -> list[tuple[int, int]]:
    """All windows of `size` that begin at multiples of `step` and hold a moment, oldest first."""
    last = moment // step * step
    return [(start, start + size) for start in range(last - size + step, last + 1, step)]


def zone(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database. Raises UsageError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{name!r} is not a time zone; write one like Europe/Berlin or UTC") from None


def local_edges(span: tuple[int, int], grain_s: int, tz: ZoneInfo, begins_s: int = 0) -> tuple[int, ...]:
    """Edges of the windows between which a span lies, in local time.

    Days begin `begins_s` after local midnight, weeks with Monday's day; a day of a clock change has 23 or 25 hours.
    Shorter grains count from the begin of the day in hours that pass, the last one ends with the day.
    """
    if grain_s > _DAY and grain_s % _DAY:
        raise UsageError("a grain above a day is a whole number of days")
    start, end = span
    first = _day_of(start, tz, begins_s)
    days = max(1, grain_s // _DAY)
    # Multiples of days count from a Monday, so weeks begin on it and the same day always falls into the same window.
    first -= timedelta(days=(first.toordinal() - 1) % days)
    edges: list[int] = []
    day = first
    while not edges or edges[-1] < end:
        begin, after = _second(day, tz, begins_s), _second(day + timedelta(days=days), tz, begins_s)
        edges += range(begin, after, grain_s) if grain_s < _DAY else [begin]
        day += timedelta(days=days)
        if begin >= end:
            break
    inside = [edge for edge in edges if edge > start]
    before = [edge for edge in edges if edge <= start]
    until = next((i for i, edge in enumerate(inside) if edge >= end), len(inside) - 1)
    return (before[-1], *inside[: until + 1])


def earlier(edges: Sequence[int], days: int, tz: ZoneInfo) -> tuple[int, ...]:
    """The same edges on the clock so many days before: the same hours of the week with `days` = 7."""
    found = []
    for edge in edges:
        local = datetime.fromtimestamp(edge, tz)
        found.append(int((local - timedelta(days=days)).timestamp()))
    return tuple(found)


def _day_of(moment: int, tz: ZoneInfo, begins_s: int) -> datetime:
    """Midnight (naive) of the local business day that a moment lies in."""
    local = datetime.fromtimestamp(moment, tz)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    return day if moment >= _second(day, tz, begins_s) else day - timedelta(days=1)


def _second(day: datetime, tz: ZoneInfo, begins_s: int) -> int:
    """When a local day begins. In a gap of the clock the offset before it holds, so the day begins after the gap."""
    return int((day + timedelta(seconds=begins_s)).replace(tzinfo=tz).timestamp())


def sessions(rows: pl.DataFrame, group: Sequence[str], gap_s: int) -> pl.DataFrame:
    """Rows (start = second of the answers, histogram, s1, s2) of each group joined into sessions.

    A session begins with its first answer and ends `gap_s` after its last; an answer at or after that end begins
    another. Adds `seconds`, its width. A late answer between two sessions makes one of them.
    """
    bins = [f"h{i}" for i in range(11)]
    ordered = rows.sort(*group, "start").with_columns(
        pl.col("histogram").list.to_array(11).arr.to_struct(bins).struct.unnest()
    )
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in group).fill_null(False)
    begins = ~(same & (pl.col("start") - pl.col("start").shift() < gap_s).fill_null(False))
    joined = (
        ordered.with_columns(begins.cum_sum().alias("session"))
        .group_by("session", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in group),
            pl.col("start").first(),
            (pl.col("start").last() + gap_s - pl.col("start").first()).alias("seconds"),
            pl.col(*bins, "s1", "s2").sum(),
        )
    )
    return joined.with_columns(pl.concat_list(bins).alias("histogram")).drop("session", *bins).sort("start", *group)
