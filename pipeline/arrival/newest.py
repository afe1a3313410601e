"""The newest rows of several partitions together: each is read page by page from its end, and they are merged by time.

Pure: who is asked for a page is an argument. Read is little more than what is taken, however much the ledger holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.arrival.fingerprints import NO_INTS, Ints
from pipeline.arrival.ring import Column, Numbers

#: Columns of rows, all of the same length; `off` and `ingest_ms` are among them.
Columns = dict[str, Column]
#: (number of the partition, lowest offset, offset above the highest, most rows): the rows there, newest first.
Ask = Callable[[int, int, int, int], Columns]

#: Pages that all partitions together may have waiting: this share of what is wanted.
_WAITING = 4
#: Rows of a page: fewer would be a question for a handful, more would weigh while they wait.
_LEAST, _MOST = 5_000, 65_536
#: A span of offsets with hardly a row that is asked for (all dead letters, say) makes the next one so much wider.
_WIDER = 8


class Batch(NamedTuple):
    """Rows newest first; `which` says of each whose it is, by the number of its partition."""

    which: Numbers
    columns: Columns


@dataclass(slots=True)
class _Source:
    """One partition: what was read and not yet taken; all that was not read lies below `below`."""

    below: int
    span: int
    reach_ms: int = np.iinfo(np.int64).max
    columns: Columns = field(default_factory=dict)
    times: Ints = field(default_factory=lambda: NO_INTS)

    def take(self, count: int) -> Columns:
        taken = {name: values[:count] for name, values in self.columns.items()}
        self.columns = {name: values[count:] for name, values in self.columns.items()}
        self.times = self.times[count:]
        return taken


class Newest:
    """Reads what lies below `starts`, one offset for each partition; about `wanted` rows are going to be taken."""

    def __init__(self, starts: Sequence[int], wanted: int, ask: Ask) -> None:
        self._size = min(_MOST, max(_LEAST, wanted // (_WAITING * max(1, len(starts)))))
        self._sources = [_Source(start, self._size) for start in starts]
        self._ask = ask

    def batches(self) -> Iterator[Batch]:
        """All rows, newest first over all batches. Stop when there are enough."""
        while True:
            for number, source in enumerate(self._sources):
                self._fill(number, source)
            waiting = [(number, source) for number, source in enumerate(self._sources) if source.times.size]
            if not waiting:
                return
            # Nothing that is still to be read is newer than this.
            reach = max((source.reach_ms for _, source in waiting if source.below > 0), default=np.iinfo(np.int64).min)
            counts = [int(np.count_nonzero(source.times >= reach)) for _, source in waiting]
            times = [source.times[:count] for (_, source), count in zip(waiting, counts, strict=True)]
            taken = [source.take(count) for (_, source), count in zip(waiting, counts, strict=True)]
            order = np.argsort(-np.concatenate(times), kind="stable")
            which = np.repeat(np.array([number for number, _ in waiting], dtype=np.uint16), counts)
            columns = {name: np.concatenate([each[name] for each in taken])[order] for name in taken[0]}
            yield Batch(which[order], columns)

    def left(self) -> set[int]:
        """Numbers of the partitions of which rows may not have been given out."""
        return {number for number, source in enumerate(self._sources) if source.below > 0 or source.times.size}

    def _fill(self, number: int, source: _Source) -> None:
        while source.below > 0 and not source.times.size:
            low = max(0, source.below - source.span)
            columns = self._ask(number, low, source.below, self._size)
            found = len(columns["off"])
            source.below = int(columns["off"][-1]) if found == self._size else low
            source.span = max(self._size, source.span // 2) if found * 4 > self._size else source.span * _WIDER
            if found:
                source.columns = columns
                # The broker's clock may have been set back: older rows never count as newer than what came after them.
                times = np.minimum.accumulate(columns["ingest_ms"])
                source.times = np.minimum(times, source.reach_ms)
                source.reach_ms = int(source.times[-1])
