"""The newest scores of the topic `scores` as columns, bounded; any view is summed from them. Pure.

The cut brand x channel x touchpoint is kept. The wider scopes that are published are sums of its histograms, so they
are not kept; scores themselves are never added or averaged.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.limits import MAX_BINS
from schemas.outgoing import Score

#: Rows that are kept at most: two brands with 108 places and six measures make 31,000 in the two hours that are kept.
MOST_KEYS: Final = 100_000
#: Windows older than this before the newest one are let go: the page shows an hour of them, late ones included.
KEPT_S: Final = 2 * 3600
BINS: Final = tuple(f"b{i}" for i in range(MAX_BINS))
#: The dimensions of the scopes that are kept.
DIMS: Final = ("brand", "channel", "touchpoint")
SCHEMA: Final = {
    "start": pl.Int64(),
    "metric": pl.String(),
    "scale": pl.String(),
    **dict.fromkeys(DIMS, pl.String()),
    **dict.fromkeys(BINS, pl.Int64()),
    "final": pl.Boolean(),
    "restated": pl.Boolean(),
}

_Key = tuple[int, str, str, str, str, str]


class Board:
    """Scores by key, the highest (`ver`, `revision`) of each; grows to `most` rows, then lets the oldest windows go."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self.most = most
        self._rows: dict[_Key, int] = {}
        self._counts: NDArray[np.int64] = np.zeros((1024, MAX_BINS), dtype=np.int64)
        self._marks: NDArray[np.bool_] = np.zeros((1024, 2), dtype=np.bool_)
        self._held: list[tuple[int, int]] = []
        self._newest = 0
        self._frame: pl.DataFrame | None = None
        self.as_of = ""
        self.changes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, score: Score) -> bool:
        """Keeps a score unless a newer one of its key is there; False when nothing changed."""
        if len(score.scope) != len(DIMS) or not all(name in score.scope for name in DIMS):
            return False
        start = int(datetime.fromisoformat(score.start).timestamp())
        if start < self._newest - KEPT_S:
            return False
        scope = score.scope
        key = (start, score.metric, score.scale, scope["brand"], scope["channel"], scope["touchpoint"])
        row = self._rows.get(key)
        if row is None:
            row = self._add(key)
        elif self._held[row] >= (score.ver, score.revision):
            return False
        self._held[row] = (score.ver, score.revision)
        self._counts[row] = score.histogram
        self._marks[row] = (score.final, score.reason is not None)
        self._newest = max(self._newest, start)
        self.as_of = max(self.as_of, score.as_of)
        self.changes += 1
        self._frame = None
        return True

    def frame(self) -> pl.DataFrame:
        """All rows, columns as in SCHEMA; made anew only after a change."""
        if self._frame is None:
            self._trim()
            rows = len(self._rows)
            names = list(zip(*self._rows, strict=True)) if rows else [()] * 6
            heads = ("start", "metric", "scale", *DIMS)
            columns: dict[str, object] = dict(zip(heads, names, strict=True))
            columns |= {name: self._counts[:rows, i] for i, name in enumerate(BINS)}
            columns |= {"final": self._marks[:rows, 0], "restated": self._marks[:rows, 1]}
            self._frame = pl.DataFrame(columns, schema=SCHEMA)
        return self._frame

    def _add(self, key: _Key) -> int:
        if len(self._rows) >= self.most:
            self._trim(spare=self.most // 10)
        row = len(self._rows)
        if row == len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._marks = np.concatenate([self._marks, np.zeros_like(self._marks)])
        self._rows[key] = row
        self._held.append((0, 0))
        return row

    def _trim(self, spare: int = 0) -> None:
        """Lets windows go that are too old, then the oldest ones until `spare` rows are free."""
        starts = np.fromiter((key[0] for key in self._rows), dtype=np.int64, count=len(self._rows))
        limit = self._newest - KEPT_S
        if spare and len(starts) > self.most - spare:
            oldest_first = np.sort(starts)
            limit = max(limit, int(oldest_first[len(starts) - (self.most - spare) - 1]) + 1)
        kept = np.flatnonzero(starts >= limit)
        if len(kept) == len(starts):
            return
        self.dropped += len(starts) - len(kept)
        keys = list(self._rows)
        self._rows = {keys[old]: new for new, old in enumerate(kept.tolist())}
        self._held = [self._held[old] for old in kept.tolist()]
        self._counts[: len(kept)] = self._counts[kept]
        self._marks[: len(kept)] = self._marks[kept]
