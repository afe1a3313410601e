"""What rules about shares count [I/O]: of each closed window all events that came in it, and those meant by reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import polars as pl

from pipeline.alerts.scopes import WINDOW_S
from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from schemas.vocabulary import Disposition

#: By the end of a window: how many there were, and how many of them by reason.
Shares = dict[int, tuple[int, dict[str, int]]]


class Counting(Protocol):
    """Counts for the windows that end then."""

    def __call__(self, client: ClickHouse, ends: Sequence[int]) -> Shares:
        """See Shares."""


def rejected(client: ClickHouse, ends: Sequence[int]) -> Shares:
    """Of each closed window: how many events of `feedback` came in it (broker's time), and rejected ones by reason.

    A window is closed only after every partition has passed its end, so what came in it is recorded whole.
    """
    if not ends:
        return {}
    rows = client.query(
        f"""SELECT toUInt32(intDiv(ingest_ms, {WINDOW_S * 1000}) * {WINDOW_S} + {WINDOW_S}) AS end,
            if(disposition = '{Disposition.DEAD_LETTER}', toString(reason), '') AS why, count() AS n
        FROM ledger FINAL
        WHERE topic = 'feedback' AND ingest_ms >= {{from_ms:Int64}} AND ingest_ms < {{to_ms:Int64}}
            AND day >= toDate(fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC'))
            AND day <= toDate(fromUnixTimestamp64Milli({{to_ms:Int64}}, 'UTC'))
        GROUP BY end, why ORDER BY end, why""",
        {"from_ms": (ends[0] - WINDOW_S) * 1000, "to_ms": ends[-1] * 1000},
        FINAL_BY_DAY,
    )
    return _by_end(rows, ends, among=True)


def restated(client: ClickHouse, ends: Sequence[int]) -> Shares:
    """Of each closed window: how many answers of `feedback` came in it (broker's time), and how many were corrected in
    it, by reason: answers of windows that had been closed before, whenever those were."""
    if not ends:
        return {}
    window = f"toUInt32(intDiv({{}}, {WINDOW_S * 1000}) * {WINDOW_S} + {WINDOW_S}) AS end"
    rows = client.query(
        f"""SELECT {window.format("ingest_ms")}, '' AS why, count() AS n FROM ledger FINAL
        WHERE topic = 'feedback' AND ingest_ms >= {{from_ms:Int64}} AND ingest_ms < {{to_ms:Int64}}
            AND day >= toDate(fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC'))
            AND day <= toDate(fromUnixTimestamp64Milli({{to_ms:Int64}}, 'UTC'))
            AND disposition NOT IN ('{Disposition.DEAD_LETTER}', '{Disposition.IGNORED}')
        GROUP BY end
        UNION ALL SELECT {window.format("known_ms")}, toString(reason) AS why, uniqExact(epoch, part, off) AS n
        FROM changes FINAL
        WHERE topic = 'feedback' AND known_ms >= {{from_ms:Int64}} AND known_ms < {{to_ms:Int64}}
        GROUP BY end, why""",
        {"from_ms": (ends[0] - WINDOW_S) * 1000, "to_ms": ends[-1] * 1000},
        FINAL_BY_DAY,
    )
    return _by_end(rows, ends, among=False)


def _by_end(rows: pl.DataFrame, ends: Sequence[int], *, among: bool) -> Shares:
    """Rows of end, reason ("" for the others) and number; `among`: those with a reason are a part of the whole too."""
    found: Shares = dict.fromkeys(ends, (0, {}))
    for end, why, n in rows.iter_rows() if rows.height else ():
        if end in found:
            total, reasons = found[end]
            found[end] = (total + int(n) * (among or not why), reasons | ({str(why): int(n)} if why else {}))
    return found


#: What counts for the rules about shares, by their detector.
SHARES: dict[str, Counting] = {"rejects": rejected, "restated": restated}
