"""The weekly report as one HTML file: what moved, how sure, where, why, what was done. Pure: cells in, text out.

Self-contained: styles and charts (SVG) stand in the file, nothing is loaded, nothing runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Any, Final

import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.meters import bounds
from pipeline.views.figures import CUT, difference, number
from pipeline.views.page import frames
from pipeline.views.page.frames import Cells
from pipeline.views.week_deeds import Deed, done, why

_NAMES: Final = {"nps": "NPS", "csat": "CSAT", "ces": "CES", "sentiment": "Net sentiment"}
_VERDICTS: Final = {"worse": "a real drop", "better": "a real rise", "steady": "within chance"}
#: Places that are listed: who reads a report acts on a few.
MOST_PLACES: Final = 12
#: Size of a chart, in its own units.
_WIDE, _HIGH = 640, 150
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Week:
    """One ISO week in UTC."""

    name: str
    first: int

    @property
    def end(self) -> int:
        """Its end, not included."""
        return self.first + 7 * _DAY


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is made of: the week's cells, the places of the week before, what was said at the worst place, the
    drivers of the leading score (their document), what was done about alerts."""

    week: Week
    cells: Cells
    places_before: pl.DataFrame
    owners: Mapping[str, str]
    default_owner: str
    said: Sequence[Mapping[str, Any]]
    drivers: Mapping[str, Any] | None = None
    deeds: Sequence[Deed] = ()


def week_of(text: str, today: date) -> Week:
    """The week of "2026-W47"; of "" the last one that is over. Raises UsageError."""
    if text:
        try:
            monday = datetime.strptime(text + "-1", "%G-W%V-%u").replace(tzinfo=UTC)
        except ValueError:
            raise UsageError(f"{text!r} is no week; write 2026-W47") from None
    else:
        past = today - timedelta(days=today.weekday() + 7)
        monday = datetime(past.year, past.month, past.day, tzinfo=UTC)
    year, number_, _ = monday.isocalendar()
    return Week(f"{year}-W{number_:02}", int(monday.timestamp()))


def report(facts: Facts) -> str:
    """The whole file."""
    week = facts.week
    tiles = frames.tiles(facts.cells)
    line = frames.line(facts.cells, week.first, 3600, week.end)
    title = f"Touchline, week {week.name}"
    span = f"{_day(week.first)} to {_day(week.end - 1)}, UTC"
    charts = "".join(_measure(tile, line) for tile in tiles)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1><p>{escape(span)}</p>"
        f"<h2>What moved, and how sure</h2>{charts}"
        f"<h2>Where</h2>{_places(facts)}"
        f"{_said(facts)}"
        f"{why(facts.drivers, _NAMES[str((facts.drivers or {}).get('metric', 'nps'))])}"
        f"{done(facts.deeds)}"
        "<footer>Every score stands with its 95 % interval and its number of answers; under ten answers none is shown. "
        "A difference is called real when chance alone would show it less than once in twenty times.</footer>"
        "</main></body></html>"
    )


def _measure(tile: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    name = _NAMES[tile["metric"]]
    if tile["score"] is None:
        return f'<section><h3>{name}</h3><p class="few">too few answers (n {tile["n"]})</p></section>'
    unit, changed = tile["unit"], tile["change"]
    moved = "There is nothing to compare it with." if changed is None else _moved(changed, unit)
    figure = f"{number(tile['score'], unit)} <small>({_interval(tile, unit)}, n {tile['n']:,})</small>"
    series = line["series"].get(tile["metric"])
    drawn = chart(series, name) if series else ""
    scale = escape(tile["scale"])
    return (
        f"<section><h3>{name} <small>scale {scale}</small></h3><p class=big>{figure}</p><p>{moved}</p>{drawn}</section>"
    )


def _moved(changed: Mapping[str, Any], unit: str) -> str:
    ends = f"{difference(changed['low'], unit)} to {difference(changed['high'], unit)}"
    verdict = _VERDICTS[changed["verdict"]]
    return f"<b>{difference(changed['value'], unit)}</b> against the week before ({ends}): {verdict}."


def _interval(reading: Mapping[str, Any], unit: str) -> str:
    return f"{number(reading['low'], unit)} to {number(reading['high'], unit)}"


def chart(series: Mapping[str, Any], name: str) -> str:
    """A score over the week with its interval as a band; a break where there are too few answers."""
    unit, scale = series["unit"], series["scale"]
    known = [value for values in (series["low"], series["high"]) for value in values if value is not None]
    if not known:
        return '<p class="few">too few answers for a line</p>'
    floor, ceiling = {"points": (-100.0, 100.0), "share": (0.0, 1.0)}.get(unit, bounds(scale))
    low, high = max(min(known), floor), min(max(known), ceiling)
    reach = (high - low) or 1.0
    steps = max(1, len(series["score"]) - 1)

    def at(i: int, value: float) -> str:
        return f"{i / steps * _WIDE:.1f},{_HIGH - (value - low) / reach * _HIGH:.1f}"

    bands, lines = [], []
    for run in _runs(series["score"]):
        top = [at(i, series["high"][i]) for i in run]
        bottom = [at(i, series["low"][i]) for i in reversed(run)]
        bands.append(f'<polygon class="band" points="{" ".join(top + bottom)}"/>')
        lines.append(f'<polyline points="{" ".join(at(i, series["score"][i]) for i in run)}"/>')
    label = f"{name} hour by hour, between {number(low, unit)} and {number(high, unit)} with its interval"
    axis = f'<text x="0" y="12">{number(high, unit)}</text><text x="0" y="{_HIGH - 4}">{number(low, unit)}</text>'
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(label)}">'
        f"{''.join(bands)}{''.join(lines)}{axis}</svg>"
    )


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Places of scores that follow each other without a break."""
    runs: list[list[int]] = []
    for i, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _places(facts: Facts) -> str:
    """Places of the leading measure that have a score, worst pull first, with the change against the week before."""
    lead = frames.headline(facts.cells, facts.owners, facts.default_owner)
    if lead is None:
        return '<p class="few">too few answers</p>'
    metric, scale, unit = lead["metric"], lead["scale"], lead["unit"]
    whole = next(tile for tile in frames.tiles(facts.cells) if tile["metric"] == metric)
    rows = [row for row in frames.heat(facts.cells)[metric] if row[3] is not None]
    rows.sort(key=lambda row: -(whole["score"] - row[3]) * row[2])
    lines = []
    for touchpoint, channel, n, score, low, high in rows[:MOST_PLACES]:
        mine = (pl.col("touchpoint") == touchpoint) & (pl.col("channel") == channel)
        same = mine & (pl.col("metric") == metric) & (pl.col("scale") == scale)
        changed = frames.change(metric, scale, facts.places_before.filter(same), facts.cells.heat.filter(same))
        moved = "-" if changed is None else f"{difference(changed['value'], unit)}, {_VERDICTS[changed['verdict']]}"
        owner = facts.owners.get(touchpoint, facts.default_owner)
        cells = (touchpoint or "-", channel or "-", number(score, unit), f"{number(low, unit)} to {number(high, unit)}")
        lines.append("".join(f"<td>{escape(text)}</td>" for text in (*cells, f"{n:,}", moved, owner)))
    heads = "".join(
        f"<th>{text}</th>"
        for text in (
            "Touchpoint",
            "Channel",
            _NAMES[metric],
            "95 % interval",
            "n",
            "Against the week before",
            "Who acts",
        )
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _said(facts: Facts) -> str:
    texts = [item for item in facts.said if item["text"]]
    if not texts:
        return ""
    items = "".join(
        f"<li>{escape(item['text'] + (CUT if item['truncated'] else ''))}"
        f" <small>{escape(' · '.join(filter(None, (item['touchpoint'], item['channel']))))}</small></li>"
        for item in texts
    )
    return f"<h2>What was said there</h2><ul>{items}</ul>"


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%A, %d %B %Y")


_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#15202b;margin:0;font-variant-numeric:tabular-nums}"
    "main{max-width:720px;margin:32px auto;padding:0 20px}h1{font-size:26px;margin:0}h2{margin:32px 0 8px}"
    "h3{margin:20px 0 0}small{color:#556270;font-weight:400}.big{font-size:26px;font-weight:700;margin:0}"
    ".big small{font-size:15px}p{margin:4px 0}.few{color:#556270}"
    "svg{width:100%;height:auto;margin:8px 0;overflow:visible}"
    "polyline{fill:none;stroke:#0b6e6e;stroke-width:1.5}.band{fill:#0b6e6e24}text{font-size:11px;fill:#556270}"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}td,th{padding:5px 8px;border-bottom:1px solid #dde3e9;"
    "text-align:left}li{margin:6px 0}section{break-inside:avoid}footer{margin:32px 0;color:#556270;font-size:12.5px}"
)
