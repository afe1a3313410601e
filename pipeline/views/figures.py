"""A score as people read it: its number by unit, its place on the axis, its interval as a bar of characters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: A spreadsheet takes a cell that begins so for a formula (ASVS 5.0 1.2.10); names come from producers.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00")
#: Stands behind a text of which only the beginning is kept.
CUT: Final = " [cut: more was written]"


def harmless(cell: Any) -> Any:
    """The cell, or its text with an apostrophe before what a spreadsheet would run; a reader takes it away again."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def number(value: float, unit: str) -> str:
    """Points with a sign (and no -0.0), shares in per cent, means with two digits, counts whole."""
    texts = {"points": f"{round(value, 1) + 0.0:+.1f}", "share": f"{100 * value:.1f} %", "mean": f"{value:.2f}"}
    return texts.get(unit, f"{value:.0f}")


def difference(value: float, unit: str) -> str:
    """A change of a score, always with its sign; a share changes by percentage points."""
    texts = {"points": f"{round(value, 1) + 0.0:+.1f}", "share": f"{round(100 * value, 1) + 0.0:+.1f} pp"}
    return texts.get(unit, f"{round(value, 2) + 0.0:+.2f}")


def place(value: float, unit: str, scale: str) -> float:
    """Where a value lies on its axis, 0 to 1."""
    from pipeline.scores.meters import bounds

    low, high = {"points": (-100, 100), "share": (0, 1)}.get(unit, bounds(scale))
    return (value - low) / (high - low) if high > low else 0.0


def bar(places: tuple[float, float, float], width: int, plain: bool) -> str:
    """An interval (low, score, high as places on the axis) as `..--o--..`; `plain` for terminals without UTF-8."""
    axis, inside, mark = (".", "-", "o") if plain else ("·", "━", "●")
    low, score, high = (round(at * (width - 1)) for at in places)
    return "".join(mark if at == score else inside if low <= at <= high else axis for at in range(width))


def sparkline(values: Sequence[float | None], plain: bool) -> str:
    """Values in their order as heights between the lowest and the highest; a gap where there is none."""
    heights = "_.-=+*#@" if plain else "▁▂▃▄▅▆▇█"
    there = [value for value in values if value is not None]
    low, span = (min(there), max(there) - min(there)) if there else (0.0, 0.0)
    places = (None if v is None else (v - low) / span if span else 0.5 for v in values)
    return "".join(" " if at is None else heights[round(at * (len(heights) - 1))] for at in places)
