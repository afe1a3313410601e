"""How far live scores are behind [I/O]: written by the owner of the whole view, said wherever scores are read.

After an outage nothing is read out of order: a score is fresh again as soon as its worker has caught up. Until then
every reader says so, and how far it has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import polars as pl

from pipeline.clickhouse import Pool
from pipeline.scores.closing import Progress

#: More events than this arrived and are not counted yet: a worker that follows has a second of them at most.
CATCHING_UP: Final = 10_000
#: How often it is written while it lasts, ms.
_EVERY_MS: Final = 5_000


class Backlog:
    """What the owner of the whole view last wrote of it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._said_ms = 0
        self._open = True  # what another owner wrote may still stand there

    def forget(self) -> None:
        """Another worker looks now."""
        self._said_ms, self._open = 0, True

    async def look(self, progress: Iterable[Progress], now_ms: int, ver: int) -> int:
        """Events behind as of `now_ms`; written every five seconds while they are many, and once when it is over."""
        behind, clock_ms = measured(progress)
        many = behind > CATCHING_UP
        if (many and now_ms - self._said_ms >= _EVERY_MS) or (self._open and not many):
            row = {"topic": "feedback", "as_of_ms": now_ms, "behind": behind if many else 0, "clock_ms": clock_ms}
            types = {"ver": pl.UInt64, "as_of_ms": pl.Int64, "behind": pl.Int64, "clock_ms": pl.Int64}
            frame = pl.DataFrame(
                {**{name: [value] for name, value in row.items()}, "ver": [ver]}, schema_overrides=types
            )
            await self._pool.insert("backlog", frame)
            self._said_ms, self._open = now_ms, many
        return behind


def measured(progress: Iterable[Progress]) -> tuple[int, int]:
    """Events that arrived and are not counted, and the clock (ms) of the partition that is farthest behind in time."""
    parts = [(max(0, part.log_end - part.settled - 1), part.clock_ms) for part in progress]
    behind = sum(n for n, _ in parts)
    return behind, min((clock for n, clock in parts if n and clock), default=0)


class Database(Protocol):
    """The part of pipeline.clickhouse.ClickHouse that is needed here."""

    def query(self, sql: str) -> pl.DataFrame:
        """Rows of a SELECT."""


def catching_up(client: Database) -> dict[str, Any] | None:
    """`behind` (events), `counted_through` (event time) and `as_of` while scores are behind; None when they are not."""
    rows = client.query("SELECT behind, clock_ms, as_of_ms FROM backlog FINAL WHERE topic = 'feedback' AND behind > 0")
    if rows.is_empty():
        return None
    behind, clock_ms, as_of_ms = rows.row(0)
    return {"behind": behind, "counted_through": _iso(clock_ms) if clock_ms else None, "as_of": _iso(as_of_ms)}


def sentence(found: Mapping[str, Any]) -> str:
    """The same for people."""
    through = f", counted through {found['counted_through']}" if found["counted_through"] else ""
    return f"catching up: {found['behind']:,} events behind{through} (as of {found['as_of']}); these scores will change"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
