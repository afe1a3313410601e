"""The journey as it is meant to be: the table [journey] of the touchpoint registry (pure).

It says how long a silence ends a journey, at which touchpoints a journey has arrived, and from which stage customers
are meant to go on to which. What they do beyond that is discovered and shown as undeclared; nothing is rejected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Days of silence after which the next event begins a new journey, where the registry says nothing.
SILENCE_DAYS = 14
#: The longest silence that can be asked for: events older than this before a window are not read.
MOST_SILENCE_DAYS = 365


@dataclass(frozen=True, slots=True)
class Declared:
    """The declared journey. `ways` maps a stage to the stages that may follow it; {} declares nothing."""

    silence_days: int = SILENCE_DAYS
    arrived: tuple[str, ...] = ()
    ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_declared(table: object, stages: Collection[str], touchpoints: Collection[str]) -> tuple[Declared, list[str]]:
    """What the table says, and a sentence for each thing that is wrong with it."""
    if not isinstance(table, dict):
        return Declared(), ["[journey] must be a table"]
    wrong = [f"[journey] has an unknown key {key!r}" for key in table if key not in ("silence_days", "arrived", "map")]
    days = table.get("silence_days", SILENCE_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_SILENCE_DAYS:
        wrong.append(f"[journey] silence_days is {days!r}, it must be a whole number from 1 to {MOST_SILENCE_DAYS}")
        days = SILENCE_DAYS
    arrived = _words(table.get("arrived", []))
    if arrived is None:
        wrong.append("[journey] arrived must be a list of touchpoints")
        arrived = ()
    wrong += [f"[journey] arrived names {name}, which is no touchpoint" for name in arrived if name not in touchpoints]
    return Declared(days, arrived, _ways(table.get("map", {}), stages, wrong)), wrong


def _ways(table: Any, stages: Collection[str], wrong: list[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        wrong.append("[journey.map] must be a table: stage = [stages that follow]")
        return {}
    ways: dict[str, tuple[str, ...]] = {}
    for stage, following in table.items():
        words = _words(following)
        if words is None:
            wrong.append(f"[journey.map] {stage} must be a list of stages")
            continue
        wrong += [f"[journey.map] names {name}, which is no stage" for name in (stage, *words) if name not in stages]
        ways[stage] = words
    return ways


def _words(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        return None
    return tuple(value)
