"""Journeys, drivers, consistency and a customer as a table each, for `--csv` and for the API as CSV and Arrow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.journeys.customer import Customer
    from pipeline.journeys.evenness import Evenness
    from pipeline.journeys.flows import Journeys
    from pipeline.journeys.impacts import Drivers

#: Heads and rows.
Table = tuple[tuple[str, ...], list[list[Any]]]

#: The two tables of journeys.
SHOWN: Final = ("ways", "steps")
_WAYS: Final = ("from", "to", "n", "share", "low", "high", "median_seconds", "p90_seconds", "map")
_DROP: Final = ("drop_off", "drop_low", "drop_high", "decided", "removal", "removal_low", "removal_high")
_JUDGED: Final = ("quadrant", "critical", "pain", "goes_along_with")
_EVEN: Final = ("group", "n", "score", "low", "high", "shrunk", "status")
_TIMELINE: Final = (
    *("at", "event", "kind", "channel", "touchpoint", "stage", "brand", "unit", "product", "outcome", "value"),
    *("currency", "metric", "scale", "answer", "label", "disposition", "index", "worth", "weight", "points", "text"),
    "truncated",
)


def check_shown(show: str) -> None:
    """Raises UsageError for a table of journeys that there is not."""
    if show not in SHOWN:
        raise UsageError(f"--show {show!r}: there are {' and '.join(SHOWN)}")


def journeys(found: Journeys, show: str = "ways") -> Table:
    """The ways with their shares and times, or the steps with drop-off and removal effect."""
    if show == "ways":
        flat = [{**way, **{name: way["share"][name] for name in ("low", "high")}} for way in found.ways]
        return _WAYS, [[way["share"]["value"] if name == "share" else way[name] for name in _WAYS] for way in flat]
    rows = []
    for step in found.steps:
        drop, worth = step["drop_off"], step["removal_effect"]
        cells = [drop["value"], drop["low"], drop["high"], drop["n"], worth["value"], worth["low"], worth["high"]]
        rows.append([step["step"], step["journeys"], step["dropped"], *cells])
    return ("step", "journeys", "dropped", *_DROP), rows


def drivers(found: Drivers) -> Table:
    """A line a driver: reach, score, lift, impact and weight with their intervals, and what it is judged to be."""
    figures = ("lift", "impact", "weight")
    ends = [f"{name}{end}" for name in figures for end in ("", "_low", "_high")]
    rows = []
    for row in found.drivers:
        cells = [row[name][end] for name in figures for end in ("value", "low", "high")]
        judged = [row[name] for name in _JUDGED]
        rows.append([row["driver"], row["reach"]["value"], row["met"]["n"], row["met"]["score"], *cells, *judged])
    return ("driver", "reach", "n", "score", *ends, *_JUDGED), rows


def consistency(found: Evenness) -> Table:
    """A line a group, with its own and its shrunken score."""
    return _EVEN, [[row[name] for name in _EVEN] for row in found.groups]


def customer(found: Customer) -> Table:
    """The timeline, newest first."""
    return _TIMELINE, [[entry.get(name) for name in _TIMELINE] for entry in found.timeline]
