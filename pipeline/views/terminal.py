"""The page in a terminal: what `touchline top` and `touchline tail` write. Pure: cells and rows in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.views.figures import CUT, bar, difference, number, place
from pipeline.views.page import frames
from pipeline.views.page.frames import MEASURES, Cells

#: How the places may be sorted, in the order of the key `s`.
SORTS: Final = ("n", "score", "name")
#: Columns that stand beside the spark line, and its least length: a longer line would squeeze the numbers.
_BESIDE_SPARK, _LEAST_SPARK = 64, 8
#: Steps of a spark line, lowest first; the plain ones for terminals without UTF-8.
_SPARKS: Final = ("▁▂▃▄▅▆▇█", ".:-=+*#@")
_NAMES: Final = {"nps": "NPS", "csat": "CSAT", "ces": "CES", "sentiment": "net sentiment"}
_BAR: Final = 21
#: Columns from which the bar of an interval has room.
_WIDE: Final = 100
#: Lines that are no places.
_FRAME: Final = 14
_VERDICTS: Final = {"worse": "real drop", "better": "real rise", "steady": "within chance"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person at the keys has chosen."""

    measure: str = "nps"
    sort: str = "n"
    span: str = "1h"
    text: str = ""
    typing: bool = False

    def pressed(self, key: str) -> Choice:
        """The choice after a key: m measure, s sort, 1-4 span, / begins a text to filter by; others change nothing."""
        if self.typing:
            if key in ("\n", "\r", "\x1b"):
                return replace(self, typing=False)
            text = self.text[:-1] if key in ("\x7f", "\b") else self.text + (key if key.isprintable() else "")
            return replace(self, text=text)
        if key == "/":
            return replace(self, typing=True, text="")
        if key == "m":
            return replace(self, measure=MEASURES[(MEASURES.index(self.measure) + 1) % len(MEASURES)])
        if key == "s":
            return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)])
        spans = ("1h", "24h", "7d", "28d")
        return replace(self, span=spans[int(key) - 1]) if key in ("1", "2", "3", "4") else self


@dataclass(frozen=True, slots=True)
class Screen:
    """How large the terminal is, and whether it has no UTF-8."""

    width: int = 120
    height: int = 40
    plain: bool = False


def spark(values: Sequence[float | None], plain: bool, room: int = 1 << 16) -> str:
    """One sign a step between the lowest and the highest; a blank where there is no score.

    Where there are more steps than `room`, a sign stands for several: it is the newest score among them.
    """
    each = -(-len(values) // room) or 1
    several = (values[max(0, end - each) : end] for end in range(len(values), 0, -each))
    values = [next((value for value in reversed(some) if value is not None), None) for some in several][::-1]
    known = [value for value in values if value is not None]
    if not known:
        return ""
    signs = _SPARKS[plain]
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(
        " " if value is None else signs[min(len(signs) - 1, int((value - low) / span * len(signs)))] for value in values
    )


def places(cells: Cells, choice: Choice) -> list[list[Any]]:
    """[touchpoint, channel, n, score, low, high] of the chosen measure, sorted and kept as chosen."""
    found: list[list[Any]] = frames.heat(cells).get(choice.measure, [])
    wanted = [row for row in found if choice.text.lower() in f"{row[0]} {row[1]}".lower()]
    keys = {
        "n": lambda row: (-row[2], row[0], row[1]),
        "score": lambda row: (row[3] is None, row[3] if row[3] is not None else 0.0, row[0]),
        "name": lambda row: (row[0], row[1]),
    }
    return sorted(wanted, key=keys[choice.sort])


def table(cells: Cells, line: Mapping[str, Any], choice: Choice, screen: Screen, at: float) -> RenderableType:
    """Everything that `touchline top` shows at one moment."""
    tiles = {tile["metric"]: tile for tile in frames.tiles(cells)}
    scores = Table(box=None, header_style="bold", pad_edge=False)
    for name, right in (
        ("last " + choice.span, 0),
        ("score", 1),
        ("95 % interval", 1),
        ("n", 1),
        ("change", 1),
        ("", 0),
    ):
        scores.add_column(name, justify="right" if right else "left", no_wrap=True)
    for metric, tile in tiles.items():
        series = line["series"].get(metric, {}).get("score", [])
        figure, interval, changed = _figures(tile)
        style = "bright_black" if tile["score"] is None else "bold" if metric == choice.measure else ""
        cells_ = (
            _NAMES[metric],
            figure,
            interval,
            f"{tile['n']:,}",
            changed,
            spark(series, screen.plain, max(_LEAST_SPARK, screen.width - _BESIDE_SPARK)),
        )
        scores.add_row(*(Text(cell) for cell in cells_), style=style)
    rows = places(cells, choice)
    lead = tiles[choice.measure]
    seen = Table(box=None, header_style="bold", pad_edge=False)
    wide = screen.width >= _WIDE
    for name, right in (("touchpoint", 0), ("channel", 0), ("score", 1), ("95 % interval", 1), ("n", 1)):
        seen.add_column(name, justify="right" if right else "left", no_wrap=True)
    if wide:
        seen.add_column("", no_wrap=True)
    for row in rows[: max(1, screen.height - _FRAME)]:
        texts = _place(row, lead["unit"])
        drawn = _drawn(row, lead, screen.plain)
        seen.add_row(*(Text(text) for text in (*texts, *((drawn,) if wide else ()))), style=_tone(row))
    moment = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
    kept = f", only {choice.text!r}" if choice.text or choice.typing else ""
    return Group(
        Text(f"Touchline at {moment} UTC", style="bold"),
        scores,
        Text(""),
        Text(f"{_NAMES[choice.measure]} by place, by {choice.sort}{kept}", style="bold"),
        seen,
        Text("m measure  s sort  1-4 time  / filter  q quit", style="bright_black"),
    )


def lines(cells: Cells, choice: Choice, at: float) -> list[str]:
    """The same where no terminal is: a line a measure and a line a place, each with n and interval."""
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for tile in frames.tiles(cells):
        figure, interval, changed = _figures(tile)
        found.append(f"{moment}  {tile['metric']}  {figure}  [{interval}]  n {tile['n']}  change {changed}")
    unit = next(tile["unit"] for tile in frames.tiles(cells) if tile["metric"] == choice.measure)
    for row in places(cells, choice):
        touchpoint, channel, figure, interval, n = _place(row, unit)
        found.append(f"{moment}  {choice.measure}  {touchpoint}  {channel}  {figure}  [{interval}]  n {n}")
    return found


def said(item: Mapping[str, Any]) -> str:
    """One feedback on one line."""
    when = datetime.fromtimestamp(item["occurred_ms"] / 1000, UTC).strftime("%H:%M:%S")
    where = " ".join(item[name] for name in ("channel", "touchpoint", "unit") if item[name])
    answer = (
        ""
        if item["answer"] is None or item["answer"] < 0
        else f"  {item['metric']} {item['answer']} of {item['scale']}"
    )
    label = f"  {item['label']} {100 * item['confidence']:.0f} %" if item["label"] not in ("", "unscored") else ""
    text = " ".join(printable(item["text"]).split())
    about = f"  about {', '.join(item['topics'])}" if item["topics"] else ""
    return (
        f"{when}  {printable(where)}{answer}{label}{about}"
        + (f"  {text}" if text else "")
        + (CUT if item["truncated"] else "")
    )


def alarm(step: Mapping[str, Any]) -> str:
    """One step of an alert on one line."""
    where = ", ".join(f"{name}={value}" for name, value in step["scope"].items()) or "everywhere"
    return printable(f"{step['at']}  {step['state']}  {step['rule']}  {where}  owner {step['owner']}")


def printable(text: str) -> str:
    """The text without signs that would move a cursor, turn the writing or hide: they are shown as escapes."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in text
    )


def _figures(tile: Mapping[str, Any]) -> tuple[str, str, str]:
    changed = tile["change"]
    shown = "-" if changed is None else f"{difference(changed['value'], tile['unit'])} {_VERDICTS[changed['verdict']]}"
    if tile["score"] is None:
        return "too few answers", "", shown
    return number(tile["score"], tile["unit"]), _interval(tile["low"], tile["high"], tile["unit"]), shown


def _interval(low: float, high: float, unit: str) -> str:
    return f"{number(low, unit)} .. {number(high, unit)}"


def _place(row: Sequence[Any], unit: str) -> tuple[str, str, str, str, str]:
    touchpoint, channel, n, score, low, high = row
    figure = "too few" if score is None else number(score, unit)
    interval = "" if score is None else _interval(low, high, unit)
    return printable(touchpoint) or "-", printable(channel) or "-", figure, interval, f"{n:,}"


def _drawn(row: Sequence[Any], lead: Mapping[str, Any], plain: bool) -> str:
    if row[3] is None:
        return ""
    low, score, high = (place(value, lead["unit"], lead["scale"]) for value in (row[4], row[3], row[5]))
    return bar((low, score, high), _BAR, plain)


def _tone(row: Sequence[Any]) -> str:
    return "bright_black" if row[3] is None else ""
