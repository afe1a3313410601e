"""Minutes into hours [I/O]: days that are over for a while keep one window row an hour, in the table `windows_1h`.

A day of a partition is rolled as a whole: hours are written, compared with the minutes they sum, and then a row of
the table `rolled` is the moment from which everybody reads the day's hours and nobody its minutes. Only after it are
the minutes removed. Broken off anywhere, the next look goes on: what is written again is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.scores.kept import DAY_S, FINGERPRINT
from pipeline.scores.windows import COUNTS, KEY

_NONZERO = " OR ".join(f"{name} != 0" for name in COUNTS)


@dataclass(frozen=True, slots=True)
class Days:
    """Days (since 1970, UTC) of one partition of one epoch."""

    topic: str
    epoch: int
    part: int
    days: tuple[int, ...]

    def parameters(self) -> dict[str, object]:
        """For a query that names them."""
        return {"topic": self.topic, "epoch": self.epoch, "part": self.part, "days": list(self.days)}


#: The window rows of `Days`.
_OURS = (
    "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}"
    " AND intDiv(minute, 86400) IN {days:Array(UInt32)}"
)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done: days with minutes only, days whose minutes are still to be removed, and who rolled which."""

    unrolled: tuple[Days, ...]
    uncleared: tuple[Days, ...]
    rolled: pl.DataFrame


def rolled_days(client: ClickHouse, topic: str, epoch: int, part: int) -> frozenset[int]:
    """Days of a partition that are kept by the hour."""
    rows = client.query(
        """SELECT DISTINCT day FROM rolled
        WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}""",
        {"topic": topic, "epoch": epoch, "part": part},
    )
    return frozenset(rows["day"].to_list()) if rows.width else frozenset()


def due(client: ClickHouse, before: int) -> Due:
    """What the tables say of days before `before`, all partitions together."""
    rolled = client.query("SELECT topic, epoch, part, day, ver, cleared FROM rolled FINAL", long=True)
    there = client.query(
        """SELECT DISTINCT topic, epoch, part, intDiv(minute, 86400) AS day FROM windows
        PREWHERE minute < {end:UInt32}""",
        {"end": before * DAY_S},
        long=True,
    )
    key = ["topic", "epoch", "part", "day"]
    if not there.width:
        return Due((), (), rolled)
    if not rolled.width:
        return Due(_days(there), (), rolled)
    there = there.with_columns(pl.col("day").cast(rolled.schema["day"]))
    waiting = rolled.filter(pl.col("cleared") == 0)
    return Due(_days(there.join(rolled, on=key, how="anti")), _days(waiting), rolled)


def _days(rows: pl.DataFrame) -> tuple[Days, ...]:
    grouped = rows.group_by("topic", "epoch", "part").agg(pl.col("day").unique().sort()).sort("topic", "epoch", "part")
    return tuple(Days(topic, epoch, part, tuple(days)) for topic, epoch, part, days in grouped.iter_rows())


def write_hours(client: ClickHouse, days: Days, ver: int, seq: int) -> bool:
    """The days' hours, summed from their minutes; whether what stands there afterwards is just that."""
    names = ", ".join((*KEY[:-1], "topic", "epoch", "part"))
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
    hours = f"""SELECT {names}, start AS minute, {", ".join(COUNTS)} FROM (
        SELECT {names}, toUInt32(intDiv(minute, 3600) * 3600) AS start, {sums}
        FROM windows FINAL PREWHERE {_OURS} GROUP BY {names}, start)"""
    client.command(
        f"""INSERT INTO windows_1h ({names}, minute, {", ".join(COUNTS)}, ver, seq)
        SELECT *, {{ver:UInt64}}, {{seq:UInt64}} FROM ({hours})""",
        {**days.parameters(), "ver": ver, "seq": seq},
        # The same sums under a newer version are no double.
        {"insert_deduplicate": 0},
    )
    summed = client.query(f"SELECT {FINGERPRINT} FROM ({hours}) WHERE {_NONZERO}", days.parameters(), long=True)
    there = f"SELECT {FINGERPRINT} FROM windows_1h FINAL PREWHERE {_OURS} WHERE {_NONZERO}"
    return summed.rows() == client.query(there, days.parameters(), long=True).rows()


def mark(client: ClickHouse, days: Days, ver: int, *, cleared: bool) -> None:
    """From now on the days are read by the hour; or, when `cleared`, their minutes are gone for good."""
    count = len(days.days)
    rows = {"topic": [days.topic] * count, "epoch": [days.epoch] * count, "part": [days.part] * count}
    kinds: dict[str, type[pl.DataType]] = {"epoch": pl.UInt16, "part": pl.UInt16, "day": pl.UInt32, "ver": pl.UInt64}
    client.insert(
        "rolled",
        pl.DataFrame(
            {**rows, "day": list(days.days), "ver": [ver] * count, "cleared": [int(cleared)] * count},
            schema_overrides={**kinds, "cleared": pl.UInt8},
        ),
    )


def clear(client: ClickHouse, days: Days, ver: int) -> None:
    """Removes the minutes of days that are kept by the hour."""
    client.command(f"DELETE FROM windows WHERE {_OURS}", days.parameters())
    mark(client, days, ver, cleared=True)


def owner_of(client: ClickHouse, days: Days) -> int:
    """The fence under which the days were rolled."""
    rows = client.query(
        """SELECT max(ver) AS ver FROM rolled
        WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}""",
        days.parameters(),
    )
    return int(rows["ver"][0] or 0)


def leftovers(client: ClickHouse, topic: str, epoch: int) -> dict[int, int]:
    """Minutes rows by partition in days whose minutes were removed: somebody who was late wrote them; nobody reads
    them."""
    rows = client.query(
        """SELECT part, count() AS n FROM windows
        PREWHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND (part, intDiv(minute, 86400)) IN (
            SELECT part, day FROM rolled WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND cleared = 1)
        GROUP BY part""",
        {"topic": topic, "epoch": epoch},
        long=True,
    )
    return dict(rows.iter_rows()) if rows.width else {}
