"""How a table becomes events, written down [I/O]: a TOML file, one that comes along, options, or a guess.

[columns]            our field = their column
score = "Review Stars"
[constants]          our field = the same for all rows
metric = "rating"
[time]               column (or at), zone, format: a strptime format, "day first", "month first", "unix", "unix ms"
column = "Review Created (UTC)"
zone = "UTC"
[layout]             separator, encoding, quote, decimal = "comma"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import UsageError
from pipeline.intake.guessing import Guess
from pipeline.intake.tables import Plan, When

#: Mappings of exports that we know, one file each.
FOLDER = Path(__file__).with_name("exports")
_KEYS = {
    "columns": None,
    "constants": None,
    "time": {"column", "at", "zone", "format"},
    "layout": {"separator", "encoding", "quote", "decimal"},
}


@dataclass(frozen=True, slots=True)
class Mapping:
    """What was said of a table; "" is not said. `form` is how times are written, `decimal` may be comma."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    time: str = ""
    at: str = ""
    zone: str = ""
    form: str = ""
    separator: str = ""
    encoding: str = ""
    quote: str = ""
    decimal: str = ""

    def over(self, below: Mapping) -> Mapping:
        """This one where it says something, else the one below; a time for all rows takes the place of a column."""
        said = {name: getattr(self, name) or getattr(below, name) for name in self.__dataclass_fields__}
        said |= {"columns": below.columns | self.columns, "constants": below.constants | self.constants}
        # A field is either a column or a constant: what was said last.
        for name in self.columns:
            said["constants"].pop(name, None)
        for name in self.constants:
            said["columns"].pop(name, None)
        if self.at or self.time:
            said |= {"time": self.time, "at": self.at}
        return Mapping(**said)

    def plan(self) -> Plan:
        """The plan of an import. UsageError for unknown fields, zones, times."""
        when = When(self.time, self._moment(), self._zone(), self.form)
        return Plan(self.columns, self.constants, when, decimal_comma=self.decimal == "comma")

    def text(self) -> str:
        """The mapping as TOML, as a person may keep it."""
        lines = []
        time = {"column": self.time, "at": self.at, "zone": self.zone, "format": self.form}
        layout = {name: getattr(self, name) for name in ("separator", "encoding", "quote", "decimal")}
        for title, values in (
            ("columns", self.columns),
            ("constants", self.constants),
            ("time", time),
            ("layout", layout),
        ):
            said = [f"{_quoted(name)} = {_quoted(value, always=True)}" for name, value in values.items() if value]
            lines += [f"[{title}]", *said] if said else []
        return "\n".join(lines)

    def _zone(self) -> ZoneInfo | None:
        try:
            return ZoneInfo(self.zone) if self.zone else None
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise UsageError(f"--zone {self.zone}: no such zone; names are like Europe/Berlin or UTC") from error

    def _moment(self) -> datetime | None:
        if not self.at:
            return None
        try:
            moment = datetime.fromisoformat(self.at)
        except ValueError as error:
            raise UsageError(f"--at {self.at}: write it like 2026-01-31T12:00:00Z") from error
        if moment.tzinfo is None and not self.zone:
            raise UsageError(f"--at {self.at}: no zone; add one (2026-01-31T12:00:00Z) or --zone UTC")
        return moment


def of_options(entries: list[str]) -> Mapping:
    """The mapping of `--map field=column` and `--map field==constant`."""
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    for entry in entries:
        name, equals, rest = entry.partition("=")
        if not name or not equals or not rest or rest == "=":
            raise UsageError(f"--map {entry}: write field=column, or field==constant")
        if rest.startswith("="):
            constants[name] = rest[1:]
        else:
            columns[name] = rest
    return Mapping(columns, constants)


def of_guess(guess: Guess) -> Mapping:
    """The mapping of a guess."""
    return Mapping(guess.columns, guess.constants, time=guess.time, form=guess.form)


def load(path: Path) -> Mapping:
    """The mapping of a TOML file; raises UsageError that names the key that is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no TOML: {error}") from error
    for title, values in document.items():
        if title not in _KEYS or not isinstance(values, dict):
            raise UsageError(f"{path}: {title}: sections are {', '.join(_KEYS)}")
        known = _KEYS[title]
        for name, value in values.items():
            if (known is not None and name not in known) or not isinstance(value, str):
                raise UsageError(f"{path}: {title}.{name}: " + ("no such key" if isinstance(value, str) else "no text"))
    time, layout = document.get("time", {}), document.get("layout", {})
    found = Mapping(document.get("columns", {}), document.get("constants", {}), **layout)
    return replace(
        found,
        time=time.get("column", ""),
        at=time.get("at", ""),
        zone=time.get("zone", ""),
        form=time.get("format", ""),
    )


def known() -> list[str]:
    """Names of the exports whose mapping comes along."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _quoted(text: str, *, always: bool = False) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{plain}"' if always or not text.replace("_", "").isalnum() else text
