"""A column step that raises is narrowed down to the rows that make it raise: those are rejected, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Step = Callable[[pl.DataFrame], pl.DataFrame]


def isolate(rows: pl.DataFrame, step: Step) -> dict[int, str]:
    """Offsets at which `step` raises, with the kind of error; found by halving, so few bad rows cost few calls.

    Called after the step has raised on all of `rows`. An empty answer means that no row alone is to blame.
    """
    if rows.height == 1:
        try:
            step(rows)
        # Whatever a row makes a column step raise is that row's fault: it is rejected with its reason, never lost.
        except Exception as error:  # noqa: BLE001
            return {int(rows["off"][0]): type(error).__name__}
        return {}
    half = rows.height // 2
    found: dict[int, str] = {}
    for part in (rows[:half], rows[half:]):
        try:
            step(part)
        except Exception:  # noqa: BLE001  # narrowed down further, see above
            found |= isolate(part, step)
    return found
