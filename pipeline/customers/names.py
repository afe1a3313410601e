"""Which names windows count by name, and which ones under `other` (pure): first come, first served, up to a limit.

Whether a row's name is one of them is decided once, here, and stands on the ledger's row (`others`, a bit for each
dimension). So windows stay a function of the ledger alone: memory, recomputation, audit and the next owner agree,
whatever each worker remembers. The ledger keeps the true name.

Names that the registry declares always count by name and take nobody's place. A name gives its place back when it has
not come for a month, else a year of campaigns would leave no place for the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import polars as pl

from pipeline import blanks
from pipeline.slices import COUNTED

#: Days after which a name that has not come has no place any more.
FORGET_DAYS: Final = 30
#: The channels are a closed set: each of them has its name.
NAMED: Final = tuple(name for name in COUNTED if name != "channel")
_DAY_MS: Final = 86_400_000


class Names:
    """The names of each dimension that have a place, `most` of them, and the day on which each came last."""

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        #: Events that were counted under `other`, by dimension.
        self.others: Counter[str] = Counter()
        self._last: dict[str, dict[str, int]] = {name: {} for name in NAMED}
        self._news: dict[tuple[str, str], int] = {}
        self._day = 0

    def learn(self, known: Iterable[tuple[str, str, int]]) -> None:
        """Names that another worker, or this one before its restart, gave a place: dimension, name, day."""
        for dimension, name, day in known:
            last = self._last.get(dimension)
            if last is not None:
                last[name] = max(day, last.get(name, 0))

    def news(self) -> dict[tuple[str, str], int]:
        """Dimension and name -> day, of names that came anew, or on another day, since this was asked last."""
        news, self._news = self._news, {}
        return news

    def unsaid(self, news: Mapping[tuple[str, str], int]) -> None:
        """These could not be passed on: they are news still."""
        self._news = {**news, **self._news}

    def decide(self, rows: pl.DataFrame, declared: Mapping[str, Collection[str]]) -> pl.Series:
        """Column `others` of rows with ingest_ms and the dimensions: the bits of those that count under `other`."""
        found = blanks.blank(0, pl.UInt16(), rows.height).alias("others")
        if not rows.height:
            return found
        day = int(rows["ingest_ms"][-1]) // _DAY_MS
        if day > self._day:
            self._day = day
            self._forget()
        for name in NAMED:
            column = rows[name]
            refused = self._refused(name, column, declared.get(name, ()), day)
            if refused:
                fell = column.is_in(refused)
                self.others[name] += int(fell.sum())
                found = found | fell.cast(pl.UInt16) * (1 << COUNTED.index(name))
        return found

    def _refused(self, dimension: str, column: pl.Series, declared: Collection[str], day: int) -> list[str]:
        """Names in the column that have no place and find none."""
        last, refused = self._last[dimension], []
        for name in _distinct(column):
            came = last.get(name, -1)
            if came >= day or not name or name in declared:
                continue
            if came < 0 and len(last) >= self.most:
                refused.append(name)
            else:
                last[name] = self._news[dimension, name] = day
        return refused

    def _forget(self) -> None:
        for last in self._last.values():
            for name in [name for name, day in last.items() if day < self._day - FORGET_DAYS]:
                del last[name]


def _distinct(column: pl.Series) -> list[str]:
    """The names in a column; of most dimensions a slice has one, and then no row is hashed."""
    if (column == column[0]).all():
        return [column[0]]
    return column.unique(maintain_order=True).to_list()
