"""Where a partition stands according to the tables [I/O]: epoch, position, fence, and accept's memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.slices import Partition
from schemas.vocabulary import Disposition


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition in the tables. `position` is the last offset with a ledger row or in a gap, lo - 1 when none."""

    epoch: int
    lo: int
    position: int
    ver: int
    ingest_ms: int
    clock_ms: int
    known: bool


def standings(client: ClickHouse, partitions: Iterable[Partition]) -> dict[Partition, Standing]:
    """Standing of each partition; `known` is False where nothing was ever written. Raises Unavailable."""
    wanted = set(partitions)
    found: dict[Partition, Standing] = {}
    for topic in sorted({partition.topic for partition in wanted}):
        epoch = epoch_of(client, topic)
        rows = client.query(_STANDING, {"topic": topic, "epoch": epoch}, FINAL_BY_DAY)
        stored = {row["part"]: max(row["lo"] - 1, row["top"]) for row in rows.iter_rows(named=True)}
        above = any(row["gap"] > stored[row["part"]] for row in rows.iter_rows(named=True))
        gaps = _gaps_above(client, topic, epoch, stored) if above else {}
        for row in rows.iter_rows(named=True):
            partition = Partition(topic, row["part"])
            if partition in wanted:
                found[partition] = Standing(
                    epoch=epoch,
                    lo=row["lo"],
                    position=beyond(stored[row["part"]], gaps.get(row["part"], ())),
                    ver=row["ver"],
                    ingest_ms=row["ingest"],
                    clock_ms=row["clock"],
                    known=True,
                )
        for partition in wanted:
            if partition.topic == topic and partition not in found:
                found[partition] = Standing(epoch, 0, -1, 0, 0, 0, False)
    return found


def beyond(position: int, gaps: Iterable[tuple[int, int]]) -> int:
    """The position moved over the gaps (lo, hi) that follow it, by lo. A gap is written when it is found, before all
    that lies below it is stored: one that does not join on says nothing yet."""
    for lo, hi in gaps:
        if lo <= position + 1:
            position = max(position, hi)
    return position


def _gaps_above(client: ClickHouse, topic: str, epoch: int, stored: dict[int, int]) -> dict[int, list[tuple[int, int]]]:
    parts, tops = list(stored), list(stored.values())
    rows = client.query(
        """SELECT part, lo, hi FROM gaps FINAL WHERE topic = {topic:String} AND epoch = {epoch:UInt16}
            AND hi > transform(toInt64(part), {parts:Array(Int64)}, {tops:Array(Int64)}, toInt64(-1))
            ORDER BY part, lo""",
        {"topic": topic, "epoch": epoch, "parts": parts, "tops": tops},
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for part, lo, hi in rows.iter_rows():
        found.setdefault(part, []).append((lo, hi))
    return found


def epoch_of(client: ClickHouse, topic: str) -> int:
    """The present epoch of a topic: 1 until an operator begins another."""
    rows = client.query("SELECT max(epoch) AS e FROM epochs WHERE topic = {topic:String}", {"topic": topic})
    return max(1, int(rows["e"][0] or 0))


def begin_epoch(client: ClickHouse, partition: Partition, epoch: int, lo: int, ver: int, reason: str = "first") -> bool:
    """Writes down where an epoch of a partition begins."""
    client.insert("epochs", _row(partition, epoch, ver, {"lo": lo, "reason": reason}))
    return True


def write_gap(
    client: ClickHouse, partition: Partition, epoch: int, gap: tuple[int, int, str], ver: int, now_ms: int
) -> bool:
    """A hole of offsets that was shown to be real, in writing; lies before the ledger rows that follow it."""
    lo, hi, reason = gap
    row = _row(partition, epoch, ver, {"lo": lo, "hi": hi, "reason": reason, "known_ms": now_ms})
    client.insert("gaps", row, f"gap:{partition.topic}:{epoch}:{partition.part}:{lo}:{hi}:{ver}")
    return True


def _row(partition: Partition, epoch: int, ver: int, more: dict[str, int | str]) -> pl.DataFrame:
    types = {"epoch": pl.UInt16, "part": pl.UInt16, "ver": pl.UInt64}
    named = {"topic": partition.topic, "epoch": epoch, "part": partition.part, "ver": ver, **more}
    return pl.DataFrame({name: [value] for name, value in named.items()}, schema_overrides=types)


def predecessors(client: ClickHouse, partition: Partition, epoch: int, offsets: list[int]) -> pl.DataFrame:
    """Ledger rows of the answers that are superseded, by offset."""
    return client.query(
        """SELECT * FROM ledger FINAL
            WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}
              AND off IN {offsets:Array(Int64)}""",
        {"topic": partition.topic, "epoch": epoch, "part": partition.part, "offsets": offsets},
        FINAL_BY_DAY,
    )


_STANDING = f"""
SELECT part, max(lo) AS lo, max(top) AS top, max(gap) AS gap, max(ver) AS ver,
    max(ingest) AS ingest, max(clock) AS clock
FROM (
    SELECT part, lo, toInt64(-1) AS top, toInt64(-1) AS gap, ver,
        toInt64(0) AS ingest, toInt64(0) AS clock
    FROM epochs FINAL WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}}
    UNION ALL
    SELECT part, toInt64(0), max(off), toInt64(-1), max(ver), max(ingest_ms),
        maxIf(least(occurred_ms, ingest_ms), disposition NOT IN ('{Disposition.DEAD_LETTER}', '{Disposition.IGNORED}'))
    FROM ledger WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} GROUP BY part
    UNION ALL
    SELECT part, toInt64(0), toInt64(-1), max(hi), max(ver), toInt64(0), toInt64(0)
    FROM gaps WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} GROUP BY part
    UNION ALL
    SELECT part, toInt64(0), toInt64(-1), toInt64(-1), max(ver), toInt64(0), toInt64(0)
    FROM progress WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} GROUP BY part
)
GROUP BY part
"""
