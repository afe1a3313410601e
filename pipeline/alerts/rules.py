"""Rules: what is watched, how, how bad it is and whom it calls, as TOML says (pure).

A file is taken as a whole or not at all: every mistake is a sentence in one SettingsError. No unknown field, no alert
without an owner, no rule that can never fire.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.alerts.classes import METRICS
from pipeline.alerts.owners import Owners, read_owners
from pipeline.alerts.parameters import BY_SHARE, DETECTORS, SEVERITIES, read_parameters
from pipeline.customers.registry import Registry
from pipeline.errors import SettingsError
from pipeline.slices import CORE, FURTHER

#: The rules that come with the package.
DEFAULT_PATH: Final = Path(__file__).with_name("rules.toml")
#: Level of everything.
TOTAL: Final = "total"
#: What a level may be made of: a segment is one of the customer's set.
DIMENSIONS: Final = (*CORE, *("segment" if name == "segments" else name for name in FURTHER))
#: Weeks in the 30 days that thresholds count in.
_WEEKS: Final = 30.0 / 7.0

_TOP = ("version", "false_alarms_per_week", "fallback_owner", "owners", "rules")
_NEEDED = ("id", "metric", "detector", "scope", "severity", "route", "runbook")
_RULE = (*_NEEDED, "scale", "parameters", "owner", "shadow", "version")

Level = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `levels` are the groups of dimensions it watches; () is everything. `severity` word -> points."""

    id: str
    metric: str
    detector: str
    levels: tuple[Level, ...]
    severity: Mapping[str, float]
    route: str
    runbook: str
    parameters: Mapping[str, Any]
    scale: str = ""
    owner: str = ""
    shadow: bool = False
    version: int = 1

    @property
    def digest(self) -> str:
        """Changes when anything that decides a verdict changes: the state of another rule is of no use to it."""
        said = (self.id, self.metric, self.scale, self.detector, self.levels, sorted(self.parameters.items()))
        return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()

    def severity_of(self, points: float) -> str:
        """The severest word whose points an effect reaches; effects are positive for harm."""
        reached = [word for word, least in self.severity.items() if points >= least]
        return max(reached or list(self.severity)[:1], key=SEVERITIES.index)


@dataclass(frozen=True, slots=True)
class Rules:
    """A valid file."""

    version: int
    false_alarms_per_week: float
    rules: tuple[Rule, ...]
    owners: Owners
    text: str = field(default="", repr=False, compare=False)

    @property
    def budget(self) -> float:
        """False alarms in 30 days for the whole installation."""
        return self.false_alarms_per_week * _WEEKS

    @property
    def digest(self) -> str:
        """One word for the whole file."""
        return hashlib.blake2b(self.text.encode(), digest_size=8).hexdigest()

    def owner_of(self, rule: Rule, scope: Mapping[str, str], moment: int, topics: Collection[str] = ()) -> str:
        """Who answers for this rule's alert of a scope, about these topics, at a Unix second; never empty."""
        return rule.owner or self.owners.of(scope.get("touchpoint", ""), scope.get("unit", ""), topics, moment)


def crossing(level: Level) -> bool:
    """A level of more than one dimension beside the brand: watched only where its volume can show a drop."""
    return len([name for name in level if name != "brand"]) > 1


def parse(text: str, registry: Registry, source: str = "rules", topics: Collection[str] | None = None) -> Rules:
    """The rules that a TOML text describes; `source` names it in errors. Raises SettingsError with every mistake.

    `topics` are those that texts may have; None leaves open which they are.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the rules {source} are not valid TOML: {error}") from error
    wrong = [f"unknown key {key!r}; there are {', '.join(_TOP)}" for key in document if key not in _TOP]
    version, budget = document.get("version", 1), document.get("false_alarms_per_week", 1.0)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        wrong.append(f"version is {version!r}, it must be a whole number from 1 on")
    if not _number(budget) or not 0 < float(budget) <= 1_000:
        wrong.append(f"false_alarms_per_week is {budget!r}, it must be a number above 0: with none, no rule can fire")
    owners = read_owners(document.get("owners", []), document.get("fallback_owner", ""), registry, topics, wrong)
    rules = _rules(document.get("rules"), registry, wrong)
    wrong += owners.holes([rule.levels for rule in rules if not rule.owner])
    if wrong:
        raise SettingsError(f"the rules {source} do not hold: " + "; ".join(wrong))
    return Rules(int(version), float(budget), rules, owners, text)


def _rules(lines: object, registry: Registry, wrong: list[str]) -> tuple[Rule, ...]:
    if not isinstance(lines, list) or not lines or not all(isinstance(line, dict) for line in lines):
        wrong.append("there is no rule: write a table [[rules]] for each")
        return ()
    rules = [rule for number, line in enumerate(lines, 1) if (rule := _rule(line, number, registry, wrong))]
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            wrong.append(f"rule {rule.id} stands twice")
        seen.add(rule.id)
    return tuple(rules)


def _rule(line: Mapping[str, Any], number: int, registry: Registry, wrong: list[str]) -> Rule | None:
    name = line.get("id")
    where = f"rule {name}" if isinstance(name, str) and name else f"rule number {number}"
    found = [f"{where} has an unknown field {key!r}; there are {', '.join(_RULE)}" for key in line if key not in _RULE]
    found += [f"{where} has no {key}" for key in _NEEDED if not line.get(key)]
    if found:
        wrong += found
        return None
    texts = ("id", "metric", "detector", "route", "runbook", "scale", "owner")
    found += [f"{where}: {key} must be a text" for key in texts if not isinstance(line.get(key, ""), str)]
    if not isinstance(line.get("shadow", False), bool):
        found.append(f"{where}: shadow must be true or false")
    if not isinstance(line.get("version", 1), int):
        found.append(f"{where}: version must be a whole number")
    if not found:
        found += _impossible(line, where, registry)
    levels = _levels(line["scope"], where, found)
    severity = _severity(line["severity"], where, found)
    parameters = {} if found else read_parameters(line["detector"], line.get("parameters", {}), where, found)
    if found:
        wrong += found
        return None
    return Rule(
        levels=levels,
        severity=severity,
        parameters=parameters,
        shadow=line.get("shadow", False),
        version=line.get("version", 1),
        **{key: line.get(key, "") for key in texts},
    )


def _impossible(line: Mapping[str, Any], where: str, registry: Registry) -> list[str]:
    """Sentences for what would never fire or call nobody."""
    metric, detector, owner = line["metric"], line["detector"], line.get("owner", "")
    if detector not in DETECTORS:
        return [f"{where}: there is no detector {detector!r}; there are {', '.join(DETECTORS)}"]
    found = []
    known = (detector,) if detector in BY_SHARE else METRICS
    if metric not in known:
        found.append(f"{where} can never fire: {detector} works on {', '.join(known)}, not on {metric!r}")
    if owner and owner not in registry.owners:
        found.append(f"{where} has the owner {owner!r}, which is none of {', '.join(registry.owners)}")
    return found


def _levels(scope: object, where: str, wrong: list[str]) -> tuple[Level, ...]:
    if not isinstance(scope, list) or not all(isinstance(level, str) for level in scope):
        wrong.append(f'{where}: scope must be a list of levels, such as ["total", "brand,unit"]')
        return ()
    levels: list[Level] = []
    for text in scope:
        level = () if text == TOTAL else tuple(name.strip() for name in text.split(","))
        for name in level:
            if name not in DIMENSIONS:
                wrong.append(f"{where}: there is no dimension {name!r}; there are {', '.join(DIMENSIONS)}, or {TOTAL}")
        if len(set(level)) != len(level) or level in levels:
            wrong.append(f"{where}: the level {text} names something twice")
        levels.append(level)
    return tuple(levels)


def _severity(table: object, where: str, wrong: list[str]) -> dict[str, float]:
    if not isinstance(table, dict) or not all(_number(value) for value in table.values()):
        wrong.append(f"{where}: severity must say from how many points on, such as {{ warning = 0, critical = 20 }}")
        return {}
    wrong += [f"{where}: no severity {word!r}; {', '.join(SEVERITIES)}" for word in table if word not in SEVERITIES]
    if not any(float(value) == 0.0 for value in table.values()):
        wrong.append(f"{where}: no severity begins at 0 points, so a small effect would have none")
    return {str(word): float(value) for word, value in table.items()}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
