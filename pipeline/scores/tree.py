"""Units as a tree whose lines hold for a time: leaves summed up to their parents, as then or as now (pure).

Sums of histograms, so a parent is exactly its children and what it was given itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import polars as pl

from pipeline.errors import UsageError

View = Literal["then", "now"]
#: Separates the names on a path; sorting paths puts children under their parents.
_UNDER: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the table `units`: `unit` stands under `parent` ("" = at the top) in [valid_from, valid_to)."""

    unit: str
    parent: str
    valid_from: int
    valid_to: int


class Tree:
    """All lines; who stood above whom at a moment."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places: dict[str, list[Place]] = {}
        for place in places:
            self._places.setdefault(place.unit, []).append(place)

    def edges(self, start: int, end: int) -> list[int]:
        """Moments within a span at which a unit got another parent."""
        moments = {m for lines in self._places.values() for line in lines for m in (line.valid_from, line.valid_to)}
        return sorted(moment for moment in moments if start < moment < end)

    def path(self, unit: str, moment: int) -> tuple[str, ...]:
        """The unit with all above it at a moment, the topmost first. A unit that nobody entered stands alone."""
        found = [unit]
        while True:
            lines = self._places.get(found[0], ())
            parent = next((line.parent for line in lines if line.valid_from <= moment < line.valid_to), "")
            if not parent or parent in found:
                return tuple(found)
            found.insert(0, parent)


def finer(edges: Sequence[int], tree: Tree) -> tuple[int, ...]:
    """Edges of windows with those of the tree between them: within one of these nobody moves."""
    return tuple(sorted({*edges, *tree.edges(edges[0], edges[-1])}))


def rolled_up(rows: pl.DataFrame, edges: Sequence[int], tree: Tree, by: Sequence[str], view: View) -> pl.DataFrame:
    """Counted rows of `finer` windows, by unit, summed into the windows of `edges` and into every unit above.

    `by` are the dimensions beside the unit. Adds parent, depth and path (for sorting). As `then`: each answer goes to
    those above its unit at the time; as `now`: to those above it at the end of the span.
    """
    if rows.is_empty():
        return rows.with_columns(
            pl.lit("").alias("parent"), pl.lit(0, pl.Int64).alias("depth"), pl.lit("").alias("path")
        )
    starts = pl.Series(list(edges[:-1]))
    at = starts.search_sorted(rows["start"], side="right") - 1
    whole = rows.with_columns(starts.gather(at).alias("window"))
    moments = whole["start"].to_list() if view == "then" else [edges[-1] - 1] * rows.height
    nodes = [_nodes(tree.path(unit, moment)) for unit, moment in zip(rows["unit"].to_list(), moments, strict=True)]
    widths = dict(zip(edges, (b - a for a, b in pairwise(edges)), strict=False))
    bins = [f"h{i}" for i in range(11)]
    summed = (
        whole.with_columns(pl.Series("path", nodes))
        .explode("path")
        .with_columns(pl.col("histogram").list.to_array(11).arr.to_struct(bins).struct.unnest())
        .group_by("window", *by, "path", "scale")
        .agg(pl.col(*bins, "s1", "s2").sum())
        .rename({"window": "start"})
    )
    steps = pl.col("path").str.split(_UNDER)
    return (
        summed.with_columns(
            pl.col("start").replace_strict(widths, return_dtype=pl.Int64).alias("seconds"),
            steps.list.last().alias("unit"),
            steps.list.get(-2, null_on_oob=True).fill_null("").alias("parent"),
            (steps.list.len().cast(pl.Int64) - 1).alias("depth"),
            pl.concat_list(bins).alias("histogram"),
        )
        .drop(bins)
        .sort("start", *by, "path", "scale")
    )


def _nodes(path: tuple[str, ...]) -> list[str]:
    """Every unit on a path as the path to it."""
    return [_UNDER.join(path[: depth + 1]) for depth in range(len(path))]


def plain_edges(first: int, last: int, step: int) -> tuple[int, ...]:
    """Edges of equal windows. Raises UsageError when there are too many to be told apart in one question."""
    if (last - first) // step > _MOST:
        raise UsageError(f"a tree of units over more than {_MOST} windows: choose a larger grain")
    return tuple(range(first, last + 1, step))


#: Edges travel as a parameter of the query.
_MOST: Final = 5_000
