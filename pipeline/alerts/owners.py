"""Who answers: touchpoint x unit x topic x time -> division, total and checked when it is read (pure).

Lines of the rules come first, in their order; then the registry's owner of the touchpoint; then the fallback. Without
a fallback every combination that a rule can meet must be named, and each hole is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

from pipeline.customers.registry import Registry
from pipeline.customers.units import FOR_EVER

_KEYS = ("touchpoint", "unit", "topic", "valid_from", "valid_to", "owner")
#: Holes named in one message; the rest are counted.
_MOST = 5
#: Stands for every touchpoint or unit that no file names.
_OTHER = "(any other)"


@dataclass(frozen=True, slots=True)
class Line:
    """`owner` answers where touchpoint, unit and topic match ("" matches all), from `since` to before `until`."""

    touchpoint: str
    unit: str
    topic: str
    since: int
    until: int
    owner: str

    def matches(self, touchpoint: str, unit: str, topics: Collection[str], moment: int) -> bool:
        """Whether it speaks of this combination (any of the topics) at this Unix second."""
        return (
            self.touchpoint in ("", touchpoint)
            and self.unit in ("", unit)
            and (not self.topic or self.topic in topics)
            and self.since <= moment < self.until
        )


@dataclass(frozen=True, slots=True)
class Owners:
    """The resolution."""

    lines: tuple[Line, ...]
    fallback: str
    registry: Registry

    def of(self, touchpoint: str, unit: str, topics: Collection[str], moment: int) -> str:
        """The owning division; "" only where `holes` names a hole."""
        for line in self.lines:
            if line.matches(touchpoint, unit, topics, moment):
                return line.owner
        entry = self.registry.touchpoints.get(touchpoint)
        return entry.owner if entry is not None else self.fallback

    @property
    def by_topic(self) -> bool:
        """Whether any line asks for a topic."""
        return any(line.topic for line in self.lines)

    def holes(self, of_rules: Iterable[Sequence[tuple[str, ...]]]) -> list[str]:
        """A sentence for each combination of touchpoint, unit, topic and time without an owner.

        `of_rules` are the levels of the rules that name no owner themselves: a level without touchpoint meets none.
        """
        if self.fallback:
            return []
        levels = {("touchpoint" in level, "unit" in level) for levels in of_rules for level in levels}
        named = {line.touchpoint for line in self.lines} | set(self.registry.touchpoints) | {_OTHER}
        units = {line.unit for line in self.lines} | {unit.unit for unit in self.registry.units} | {_OTHER}
        topics = {line.topic for line in self.lines} | {""}
        moments = {0, *(line.since for line in self.lines), *(line.until for line in self.lines)} - {FOR_EVER}
        found = []
        for with_touchpoint, with_unit in sorted(levels):
            touchpoints = sorted(named - {""}) if with_touchpoint else [""]
            places = sorted(units - {""}) if with_unit else [""]
            for touchpoint, unit, topic, moment in product(touchpoints, places, sorted(topics), sorted(moments)):
                if not self.of(touchpoint, unit, (topic,), moment):
                    found.append(_sentence(touchpoint, unit, topic, moment))
        distinct = list(dict.fromkeys(found))
        rest = [f"and {len(distinct) - _MOST} more combinations have none"] if len(distinct) > _MOST else []
        return distinct[:_MOST] + rest


def read_owners(
    lines: object, fallback: object, registry: Registry, topics: Collection[str] | None, wrong: list[str]
) -> Owners:
    """The lines of the key `owners`; a sentence in `wrong` for each thing that is wrong with them.

    `topics` are those of the taxonomy: a line that asks for another one would never match. None: any may be meant.
    """
    if not isinstance(fallback, str) or (fallback and fallback not in registry.owners):
        wrong.append(f"fallback_owner is {fallback!r}, it must be one of {', '.join(registry.owners)}")
        fallback = ""
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        wrong.append("owners must be a list of tables, each headed [[owners]]")
        return Owners((), str(fallback), registry)
    found = [line for number, each in enumerate(lines, 1) if (line := _line(each, number, registry, wrong))]
    for line in found:
        if line.topic and topics is not None and line.topic not in topics:
            wrong.append(f"an owner line has the topic {line.topic!r}, which is none of {', '.join(topics)}")
    return Owners(tuple(found), str(fallback), registry)


def _line(line: Mapping[str, Any], number: int, registry: Registry, wrong: list[str]) -> Line | None:
    where = f"owner line {number}"
    found = [f"{where} has an unknown key {key!r}; there are {', '.join(_KEYS)}" for key in line if key not in _KEYS]
    texts = [line.get(key, "") for key in ("touchpoint", "unit", "topic", "owner")]
    found += [f"{where}: {text!r} must be a text" for text in texts if not isinstance(text, str)]
    if line.get("owner") not in registry.owners:
        found.append(f"{where} has the owner {line.get('owner')!r}, which is none of {', '.join(registry.owners)}")
    since = _second(line.get("valid_from"), 0, where, found)
    until = _second(line.get("valid_to"), FOR_EVER, where, found)
    if since >= until:
        found.append(f"{where} ends before it begins")
    wrong += found
    return None if found else Line(texts[0], texts[1], texts[2], since, until, texts[3])


def _second(value: object, absent: int, where: str, wrong: list[str]) -> int:
    """Unix second of a TOML date or moment; without a zone it is UTC."""
    if value is None:
        return absent
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        wrong.append(f"{where}: valid_from and valid_to must be dates, such as 2026-01-01")
        return absent
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def _sentence(touchpoint: str, unit: str, topic: str, moment: int) -> str:
    parts = [f"touchpoint {touchpoint or '(none)'}", f"unit {unit or '(none)'}"]
    parts += [f"topic {topic}"] if topic else []
    since = f" from {datetime.fromtimestamp(moment, UTC):%Y-%m-%d} on" if moment else ""
    return f"nobody answers for {', '.join(parts)}{since}: add a line [[owners]] or a fallback_owner"
