"""Units: stores, branches and teams as a tree whose lines hold for a time (pure).

A unit that moves to another parent has two lines, one after the other. Times are whole minutes since 1970 as seconds,
the grain of the table `units`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise

#: A line without an end holds for ever: the highest value of the column.
FOR_EVER = 2**32 - 1
_MINUTE = 60
_KEYS = ("unit", "parent", "name", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Unit:
    """One line: `unit` stands under `parent` ("" = at the top) from `valid_from` to before `valid_to` (seconds)."""

    unit: str
    parent: str
    valid_from: int
    valid_to: int
    name: str


def read_units(lines: object) -> tuple[tuple[Unit, ...], list[str]]:
    """The lines of the key `units` and a sentence for each thing that is wrong with them."""
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        return (), ["units must be a list of tables, each headed [[units]]"]
    wrong: list[str] = []
    units = [unit for number, line in enumerate(lines, 1) if (unit := _unit(line, f"unit line {number}", wrong))]
    spans: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        spans[unit.unit].append(unit)
    wrong += [
        f"unit {one.unit}: two lines hold at the same time"
        for lines_of in spans.values()
        for one, other in pairwise(sorted(lines_of, key=lambda unit: unit.valid_from))
        if other.valid_from < one.valid_to
    ]
    wrong += _circles(spans)
    return tuple(units), wrong


def _unit(line: Mapping[str, object], where: str, wrong: list[str]) -> Unit | None:
    found = [f"{where} has an unknown key {key!r}" for key in line if key not in _KEYS]
    texts = {key: line.get(key, "") for key in ("unit", "parent", "name")}
    found += [f"{where}: {key} must be a text" for key, value in texts.items() if not isinstance(value, str)]
    if not texts["unit"]:
        found.append(f"{where} has no unit")
    start = _seconds(line.get("valid_from", 0), 0, found, where)
    end = _seconds(line.get("valid_to", FOR_EVER), FOR_EVER, found, where)
    if start >= end:
        found.append(f"{where} ends before it begins")
    wrong += found
    return None if found else Unit(str(texts["unit"]), str(texts["parent"]), start, end, str(texts["name"]))


def _seconds(value: object, absent: int, wrong: list[str], where: str) -> int:
    """Seconds since 1970 of a TOML date or moment; a moment without a zone and a date are UTC."""
    if value == absent:
        return absent
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        wrong.append(f"{where}: valid_from and valid_to must be dates, such as 2024-01-01")
        return absent
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return min(max(int(moment.timestamp()) // _MINUTE * _MINUTE, 0), FOR_EVER)


def _circles(spans: Mapping[str, Sequence[Unit]]) -> Iterable[str]:
    """A sentence for each unit that stands above itself at the moment when one of its lines begins."""
    for name, lines in spans.items():
        for line in lines:
            if _above_itself(name, line.valid_from, spans):
                yield f"unit {name} stands above itself: follow its parents"
                break


def _above_itself(name: str, moment: int, spans: Mapping[str, Sequence[Unit]]) -> bool:
    seen, at = {name}, name
    while at:
        at = next((u.parent for u in spans.get(at, ()) if u.valid_from <= moment < u.valid_to), "")
        if at == name:
            return True
        if at in seen:
            return False
        seen.add(at)
    return False
