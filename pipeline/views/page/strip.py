"""The status strip [I/O]: how old the newest event is, how many come, how far behind, what is refused, who works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pipeline.clickhouse import Pool
from pipeline.scores.backlog import CATCHING_UP
from pipeline.views.demo import LogEnds, Pace
from pipeline.views.page import readings
from pipeline.views.page.alarms import Alarms
from pipeline.views.page.board import Board

_HOUR_MS: Final = 3_600_000
#: The owner of `ticks` writes one a second: without one for so long no worker works.
_QUIET_S: Final = 15.0
#: From this share of its rows on the board leaves old windows out, and what it shows may be incomplete.
_NEARLY_FULL: Final = 0.9


class Strip:
    """What it says, `said`, and up to where partitions were settled then, `settled`: (epoch, part) -> offset."""

    def __init__(self, pool: Pool, board: Board, alarms: Alarms, gateway_url: str, began: float) -> None:
        self._pool = pool
        self._board = board
        self._alarms = alarms
        self._gateway_url = gateway_url
        self._began = began
        self._pace = Pace()
        self._ticked_at = 0.0
        self.said: dict[str, Any] = {}
        self.settled: dict[tuple[int, int], int] = {}

    def tock(self, now: float) -> None:
        """A tick was read: a worker works."""
        self._ticked_at = now

    async def look(self, now_ms: int, ends: LogEnds | None, trouble: Mapping[str, str]) -> None:
        """Says what is so now; `ends` is None where Kafka does not answer. Raises Unavailable."""
        try:
            at_ends = {} if ends is None else await ends.read()
            rows = await self._pool.call(readings.progress)
            found = await self._pool.call(lambda client: readings.rejected(client, now_ms - _HOUR_MS))
        finally:
            self.said = {**self.said, "at": now_ms, "trouble": sorted(trouble.values())}
        settled = {(topic, part): off for topic, part, _, off, _ in rows.iter_rows()}
        counted = sum(min(settled.get((p.topic, p.part), -1) + 1, end) for p, end in at_ends.items())
        clocks = [clock for _, _, _, _, clock in rows.iter_rows() if clock]
        lag = max(0, sum(at_ends.values()) - counted)
        self.said = {
            "at": now_ms,
            # A partition's clock is its newest event less a minute (design.md 4).
            "newest": max(clocks) + 60_000 if clocks else 0,
            "rate": round(self._pace.of(counted), 1),
            "lag": lag,
            # Only who has not sent anything yet wants to know whether somebody would take it.
            "gateway": counted > 0 or await _answers(self._gateway_url),
            "worker": self._worker(now_ms / 1000),
            "catching_up": lag > CATCHING_UP,
            "rejected": sum(found.values()),
            "reasons": found,
            "alerts": self._alarms.open(now_ms / 1000),
            "as_of": self._board.as_of,
            "trouble": sorted(trouble.values()),
            "incomplete": len(self._board) >= _NEARLY_FULL * self._board.most,
        }
        self.settled = {(epoch, part): off for topic, part, epoch, off, _ in rows.iter_rows() if topic == "feedback"}

    def _worker(self, now: float) -> bool | None:
        """Whether one counts; None as long as the server is too young to know."""
        heard = now - self._ticked_at < _QUIET_S
        return True if heard else None if now - self._began < _QUIET_S else False


async def _answers(url: str) -> bool:
    """Whether somebody listens at the address."""
    where = urlsplit(url)
    try:
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection(
                where.hostname, where.port or {"https": 443}.get(where.scheme, 80)
            )
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True
