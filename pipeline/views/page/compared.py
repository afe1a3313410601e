"""What a view is compared with [I/O]: the time before, what is usual at these hours, what was restated.

It is read beside what is shown: a page that lives from the topic shows its scores at once and gets these when they are
there, also where ClickHouse is slow or away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.views.page import readings
from pipeline.views.page.view import View

#: The time before is read anew after so many seconds; what was restated sooner, for it is said as news.
BEFORE_S: Final = 60
_CHANGES_S: Final = 15

#: A question to ClickHouse in a thread.
Call = Callable[[Callable[[ClickHouse], Any]], Awaitable[Any]]


class Compared:
    """Of one view; `turn` grows with each answer. `before` is None as long as nothing is known.

    `earlier` are the cells of the line before the step `earlier_to`, where an alert makes it reach back.
    """

    def __init__(self) -> None:
        self.before: pl.DataFrame | None = None
        self.earlier: pl.DataFrame | None = None
        self.earlier_to = 0
        self.usual = pl.DataFrame()
        self.changes: dict[int, dict[str, int]] = {}
        self.turn = 0
        self._before_at = self._changes_at = self._earlier_at = 0
        self._usual_of: int | None = None

    def due(self, view: View, now: int, since: int) -> bool:
        """Whether anything wants to be read anew for a line from `since` on."""
        if self._before_due(now) or self._earlier_due(view, now, since):
            return True
        return self._usual_of != view.first(now) or self._changes_due(view, now)

    def took(self, before: pl.DataFrame, now: int) -> None:
        """The time before, as it was read together with the rest."""
        self.before, self._before_at = before, now

    async def ask(self, call: Call, view: View, now: int, since: int) -> None:
        """Reads what is due. Raises Unavailable; what was known stays."""
        if self._earlier_due(view, now, since):
            self.earlier = await call(lambda client: readings.earlier_of(client, view, now))
            self.earlier_to, self._earlier_at = view.first(now), now
            self.turn += 1
        if self._before_due(now):
            self.took(await call(lambda client: readings.before_of(client, view, now)), now)
            self.turn += 1
        if self._usual_of != view.first(now):
            self.usual = await call(lambda client: readings.usual_of(client, view, now))
            self._usual_of = view.first(now)
            self.turn += 1
        if self._changes_due(view, now):
            self.changes = await call(lambda client: readings.restated(client, view, now))
            self._changes_at = now
            self.turn += 1

    def _before_due(self, now: int) -> bool:
        return self.before is None or now - self._before_at >= BEFORE_S

    def _earlier_due(self, view: View, now: int, since: int) -> bool:
        late = self.earlier is None or now - self._earlier_at >= BEFORE_S
        return since < view.first(now) and (late or self.earlier_to != view.first(now))

    def _changes_due(self, view: View, now: int) -> bool:
        # Windows are restated as a whole: nothing is known of a selection.
        return not view.filters and now - self._changes_at >= _CHANGES_S
