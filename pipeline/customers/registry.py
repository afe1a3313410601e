"""The touchpoint registry: journey stage and owning division of each touchpoint, as TOML says (pure).

A registry is read as a whole or not at all: every mistake is named in one SettingsError. Touchpoints that are not in it
have the stage "unknown" and the default owner; `Unknown` counts them and keeps their names for the log.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.customers.declared import Declared, read_declared
from pipeline.customers.masking import mask_text
from pipeline.customers.units import Unit, read_units
from pipeline.errors import SettingsError

#: Stage of a touchpoint that is not in the registry; no registry may use the word for a stage of its own.
UNKNOWN: Final = "unknown"
#: The registry that comes with the package.
DEFAULT_PATH: Final = Path(__file__).with_name("registry.toml")
#: Names of unknown touchpoints that are kept; the rest are counted only, or a hostile producer would fill the memory.
MOST_NAMES: Final = 100

_TOP: Final = ("default_owner", "stages", "owners", "touchpoints", "units", "journey")
_TOUCHPOINT: Final = ("stage", "owner", "critical")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the registry says of one touchpoint; `critical` ones weigh more when an alert is ranked."""

    stage: str
    owner: str
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """A valid registry. `owners` maps a division to its name for people; `stages` is in the journey's order."""

    touchpoints: Mapping[str, Entry]
    stages: tuple[str, ...]
    owners: Mapping[str, str]
    default_owner: str
    units: tuple[Unit, ...] = ()
    journey: Declared = field(default_factory=Declared)
    #: Names that are declared, by dimension: they count by name, however many others there are.
    declared: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        units = frozenset(line.unit for line in self.units)
        stated = {"touchpoint": frozenset(self.touchpoints), "unit": units, "stage": frozenset((*self.stages, UNKNOWN))}
        object.__setattr__(self, "declared", stated)

    @classmethod
    def parse(cls, text: str, source: str = "registry") -> Registry:
        """The registry that a TOML text describes; `source` names it in errors."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"the touchpoint registry {source} is not valid TOML: {error}") from error
        wrong: list[str] = [f"unknown key {key!r}" for key in document if key not in _TOP]
        stages = _stages(document.get("stages"), wrong)
        owners = _owners(document.get("owners", {}), wrong)
        default = document.get("default_owner")
        if not isinstance(default, str) or default not in owners:
            wrong.append(f"default_owner is {default!r}, it must be one of the owners {_listed(owners)}")
        touchpoints = _touchpoints(document.get("touchpoints", {}), stages, owners, wrong)
        units, wrong_units = read_units(document.get("units", []))
        declared, wrong_journey = read_declared(document.get("journey", {}), stages, touchpoints)
        wrong += wrong_units + wrong_journey
        if wrong:
            raise SettingsError(f"the touchpoint registry {source} does not hold: " + "; ".join(wrong))
        return cls(touchpoints, stages, owners, str(default), units, declared)

    def columns(self, touchpoint: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Columns `stage` and `owner` (String) of a column of touchpoints; null counts as not known."""
        # Looked up by the few names of a slice: a search in the whole registry for each row took three times as long.
        names = touchpoint.unique().drop_nulls()
        entries = [self.touchpoints.get(name) for name in names]
        at = touchpoint.cast(pl.Enum(names)).to_physical()
        if at.has_nulls():
            at = at.fill_null(len(entries))
        stages = [*(entry.stage if entry else UNKNOWN for entry in entries), UNKNOWN]
        owners = [*(entry.owner if entry else self.default_owner for entry in entries), self.default_owner]
        stage, owner = pl.Series("stage", stages, pl.String), pl.Series("owner", owners, pl.String)
        return stage.gather(at), owner.gather(at)


@dataclass(slots=True)
class Unknown:
    """Counts events of unknown touchpoints, and keeps the first MOST_NAMES (masked) names of them, in order."""

    events: int = 0
    names: list[str] = field(default_factory=list)
    _told: int = 0

    def news(self) -> list[str]:
        """Names that came for the first time since this was asked last."""
        new = self.names[self._told :]
        self._told += len(new)
        return new

    def add(self, touchpoints: pl.Series) -> None:
        """Count a column of touchpoints that the registry does not have ("" = the event named none: not counted)."""
        named = touchpoints.filter(touchpoints != "")
        self.events += named.len()
        if len(self.names) >= MOST_NAMES:
            return  # names that are made up for each event cost nothing more
        for name in map(mask_text, named.unique(maintain_order=True)):
            if name not in self.names and len(self.names) < MOST_NAMES:
                self.names.append(name)


def _stages(table: object, wrong: list[str]) -> tuple[str, ...]:
    order = table.get("order") if isinstance(table, dict) else None
    if not isinstance(order, list) or not order or not all(isinstance(stage, str) and stage for stage in order):
        wrong.append('[stages] needs order = ["...", ...], the stages of the journey from first to last')
        return ()
    if isinstance(table, dict):
        wrong += [f"[stages] has an unknown key {key!r}" for key in table if key != "order"]
    wrong += [f"stage {stage} stands twice in the order" for stage, count in Counter(order).items() if count > 1]
    if UNKNOWN in order:
        wrong.append(f"a stage may not be called {UNKNOWN!r}: that is the stage of unknown touchpoints")
    return tuple(order)


def _owners(table: object, wrong: list[str]) -> dict[str, str]:
    if not isinstance(table, dict) or not table:
        wrong.append("there is no owner: write a table [owners.<division>] for each division")
        return {}
    owners: dict[str, str] = {}
    for division, entry in table.items():
        entry = entry if isinstance(entry, dict) else {"": entry}
        wrong += [f"owner {division} has an unknown key {key!r}" for key in entry if key != "name"]
        name = entry.get("name", division)
        if not isinstance(name, str) or not name:
            wrong.append(f"owner {division}: name must be a text")
        owners[division] = str(name)
    return owners


def _touchpoints(
    table: object, stages: tuple[str, ...], owners: Mapping[str, str], wrong: list[str]
) -> dict[str, Entry]:
    if not isinstance(table, dict) or not table:
        wrong.append("there is no touchpoint: write a table [touchpoints.<name>] for each")
        return {}
    entries: dict[str, Entry] = {}
    folded: dict[str, str] = {}
    for name, entry in table.items():
        if not isinstance(entry, dict):
            wrong.append(f"touchpoint {name} must be a table with stage and owner")
            continue
        wrong += [f"touchpoint {name} has an unknown key {key!r}" for key in entry if key not in _TOUCHPOINT]
        if (other := folded.setdefault(name.strip().lower(), name)) != name:
            wrong.append(f"touchpoints {other} and {name} are the same but for capitals or spaces")
        entries[name] = _entry(name, entry, stages, owners, wrong)
    return entries


def _entry(
    name: str, entry: Mapping[str, object], stages: tuple[str, ...], owners: Mapping[str, str], wrong: list[str]
) -> Entry:
    stage, owner, critical = entry.get("stage"), entry.get("owner"), entry.get("critical", False)
    if not owner:
        wrong.append(f"touchpoint {name} has no owner")
    elif owner not in owners:
        wrong.append(f"touchpoint {name} has the owner {owner!r}, which is none of {_listed(owners)}")
    if stage not in stages:
        wrong.append(f"touchpoint {name} has the stage {stage!r}, which is none of {_listed(stages)}")
    if not isinstance(critical, bool):
        wrong.append(f"touchpoint {name}: critical must be true or false")
    return Entry(str(stage), str(owner), bool(critical))


def _listed(names: Mapping[str, str] | tuple[str, ...]) -> str:
    return ", ".join(names) or "(none)"
