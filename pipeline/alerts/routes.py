"""Routes: who is told what, how soon, how often, and who next when nobody answers (pure; routes.toml as a table).

The whole file is checked at once and every mistake is a sentence. Secrets are not in it: `url = {secret = "name"}`
names one of TOUCHLINE_ALERT_SECRETS, `{file = "/path"}` a file that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.alerts.entries import SEVERITIES
from pipeline.alerts.silences import DAYS, MuteTime
from pipeline.errors import SettingsError

#: Kind of receiver -> the fields that it must have, and those that it may have.
KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "alertmanager": (frozenset({"url"}), frozenset({"authorization", "interval_s"})),
    "pagerduty": (frozenset({"key"}), frozenset({"url"})),
    "slack": (frozenset({"url"}), frozenset()),
    "teams": (frozenset({"url"}), frozenset()),
    "email": (
        frozenset({"host", "sender", "to"}),
        frozenset({"port", "user", "password", "starttls", "ca_file"}),
    ),
    "webhook": (frozenset({"url", "key"}), frozenset()),
    "alertmanager-webhook": (frozenset({"url"}), frozenset({"authorization"})),
    "stdout": (frozenset(), frozenset()),
}
#: Fields whose value is kept secret wherever it comes from: a webhook's address is a password of its own.
SECRET_FIELDS = frozenset({"url", "key", "password", "authorization"})

#: Alertmanager's own defaults (scores.md 4).
_GROUP_WAIT_S, _GROUP_INTERVAL_S, _REPEAT_S = 30, 300, 4 * 3600
#: How long a call may go unanswered before the next level is called, by severity (scores.md 4).
_ESCALATE_AFTER_S: Mapping[str, int] = {"critical": 1800, "error": 7200, "warning": 86_400, "info": 86_400}
#: An incident is what one owner is called for about one score of one brand.
_GROUP_BY: tuple[str, ...] = ("owner", "metric", "scale", "brand")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """One place that can be told: its kind and that kind's fields, secrets filled in and never shown."""

    name: str
    kind: str
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Digest:
    """Incidents of these severities are not said singly but together, once a day at that time."""

    severities: frozenset[str]
    at: time
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told first, who next (`ladder`, one tuple a level), and the clocks in seconds."""

    name: str
    receivers: tuple[str, ...]
    ladder: tuple[tuple[str, ...], ...] = ()
    group_by: tuple[str, ...] = _GROUP_BY
    group_wait_s: int = _GROUP_WAIT_S
    group_interval_s: int = _GROUP_INTERVAL_S
    repeat_s: int = _REPEAT_S
    escalate_after_s: Mapping[str, int] = field(default_factory=lambda: _ESCALATE_AFTER_S)
    mute: tuple[MuteTime, ...] = ()
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Routes:
    """The file. `default` is in it always; `owner` is who answers for the alerting itself."""

    receivers: Mapping[str, Receiver]
    routes: Mapping[str, Route]
    owner: str = "operators"
    link: str = ""
    allowed_hosts: frozenset[str] = frozenset()

    def route(self, name: str) -> Route:
        """The route of that name, the default one where there is none."""
        return self.routes.get(name) or self.routes["default"]


def standard() -> Routes:
    """What holds without a file: alerts are lines on the worker's standard output."""
    out = Receiver("stdout", "stdout", {})
    return Routes({"stdout": out}, {"default": Route("default", ("stdout",))})


def parse(table: Mapping[str, Any]) -> Routes:
    """Routes from the table of a TOML file, its secrets filled in. Raises SettingsError with every mistake."""
    wrong: list[str] = []
    _unknown(table, {"owner", "link", "allowed_hosts", "receivers", "routes"}, "the file", wrong)
    receivers = {name: _receiver(name, fields, wrong) for name, fields in _tables(table, "receivers", wrong).items()}
    routes = {name: _route(name, fields, receivers, wrong) for name, fields in _tables(table, "routes", wrong).items()}
    if "default" not in routes:
        wrong.append("there is no [routes.default]: an alert without a route of its own would reach nobody")
    link = table.get("link", "")
    if link and (not isinstance(link, str) or not link.startswith(("https://", "http://"))):
        wrong.append("link: must begin with https:// or http://; {incident} stands for the incident's id")
    hosts = table.get("allowed_hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        wrong.append("allowed_hosts: must be a list of host names")
        hosts = []
    if wrong:
        raise SettingsError("routes are wrong:\n" + "\n".join(f"  {line}" for line in wrong))
    return Routes(
        receivers,
        routes,
        str(table.get("owner", "operators")),
        str(link),
        frozenset(host.lower() for host in hosts),
    )


def _tables(table: Mapping[str, Any], name: str, wrong: list[str]) -> dict[str, Mapping[str, Any]]:
    found = table.get(name, {})
    if not isinstance(found, Mapping) or not all(isinstance(fields, Mapping) for fields in found.values()):
        wrong.append(f"{name}: must be tables [{name}.NAME]")
        return {}
    for each in found:
        if not _NAME.fullmatch(each):
            wrong.append(f"{name}.{each}: a name has small letters, digits and hyphens, 40 at most")
    return dict(found)


def _unknown(fields: Mapping[str, Any], known: set[str] | frozenset[str], where: str, wrong: list[str]) -> None:
    wrong.extend(
        f"{where}: unknown field {name!r}; known are {', '.join(sorted(known))}" for name in sorted(set(fields) - known)
    )


def _receiver(name: str, fields: Mapping[str, Any], wrong: list[str]) -> Receiver:
    where = f"receivers.{name}"
    kind = fields.get("type", "")
    if kind not in KINDS:
        wrong.append(f"{where}: type must be one of {', '.join(sorted(KINDS))}")
        return Receiver(name, str(kind), {})
    must, may = KINDS[kind]
    given = {key: value for key, value in fields.items() if key != "type"}
    _unknown(given, must | may, where, wrong)
    wrong.extend(f"{where}: {key} is missing" for key in sorted(must - set(given)))
    for key in sorted(SECRET_FIELDS & set(given)):
        if not isinstance(given[key], str) or not given[key]:
            wrong.append(f"{where}: {key} is empty")
    if isinstance(given.get("url"), str) and not given["url"].startswith(("https://", "http://")):
        wrong.append(f"{where}: url must begin with https://")
    if kind == "email" and not (isinstance(given.get("to"), list) and given["to"]):
        wrong.append(f"{where}: to must be a list of addresses")
    if kind == "email" and ("user" in given) != ("password" in given):
        wrong.append(f"{where}: user and password belong together")
    return Receiver(name, kind, given)


_ROUTE_FIELDS = frozenset(
    {"receivers", "escalate", "escalate_after_s", "group_by", "group_wait_s", "group_interval_s", "repeat_s"}
    | {"mute", "digest"}
)


def _route(name: str, fields: Mapping[str, Any], known: Mapping[str, Receiver], wrong: list[str]) -> Route:
    where = f"routes.{name}"
    _unknown(fields, _ROUTE_FIELDS, where, wrong)
    first = _names(fields.get("receivers", []), f"{where}.receivers", known, wrong)
    if not first:
        wrong.append(f"{where}: receivers is empty: nobody would be told")
    ladder = tuple(
        _names(level if isinstance(level, list) else [level], f"{where}.escalate", known, wrong)
        for level in fields.get("escalate", [])
    )
    after = fields.get("escalate_after_s", {})
    if not isinstance(after, Mapping):
        wrong.append(f"{where}.escalate_after_s: must be a table of severity = seconds")
        after = {}
    _unknown(after, set(SEVERITIES), f"{where}.escalate_after_s", wrong)
    clocks = {
        key: _seconds(fields, key, default, where, wrong)
        for key, default in (
            ("group_wait_s", _GROUP_WAIT_S),
            ("group_interval_s", _GROUP_INTERVAL_S),
            ("repeat_s", _REPEAT_S),
        )
    }
    return Route(
        name,
        first,
        ladder,
        tuple(fields.get("group_by", _GROUP_BY)),
        **clocks,
        escalate_after_s={**_ESCALATE_AFTER_S, **{k: _seconds(after, k, 0, where, wrong) for k in after}},
        mute=tuple(_mute(each, f"{where}.mute", wrong) for each in fields.get("mute", [])),
        digest=_digest(fields["digest"], f"{where}.digest", wrong) if "digest" in fields else None,
    )


def _names(found: Any, where: str, known: Mapping[str, Receiver], wrong: list[str]) -> tuple[str, ...]:
    names = tuple(str(each) for each in found) if isinstance(found, list) else ()
    wrong.extend(f"{where}: there is no receiver {each!r}" for each in names if each not in known)
    return names


def _seconds(fields: Mapping[str, Any], key: str, default: int, where: str, wrong: list[str]) -> int:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        wrong.append(f"{where}.{key}: must be a number of seconds")
        return default
    return value


def _zone(fields: Mapping[str, Any], where: str, wrong: list[str]) -> ZoneInfo:
    name = fields.get("zone", "UTC")
    try:
        return ZoneInfo(str(name))
    except (OSError, ValueError, LookupError):
        wrong.append(f"{where}: there is no time zone {name!r}")
        return ZoneInfo("UTC")


def _clock(fields: Mapping[str, Any], key: str, where: str, wrong: list[str]) -> time:
    try:
        return time.fromisoformat(str(fields[key]))
    except (KeyError, ValueError):
        wrong.append(f"{where}: {key} must be a time like 08:00")
        return time(0)


def _mute(fields: Any, where: str, wrong: list[str]) -> MuteTime:
    fields = fields if isinstance(fields, Mapping) else {}
    _unknown(fields, {"days", "from", "to", "zone"}, where, wrong)
    days = fields.get("days", list(DAYS))
    wrong.extend(f"{where}: there is no day {day!r}; write {', '.join(DAYS)}" for day in days if day not in DAYS)
    return MuteTime(
        frozenset(DAYS.index(day) for day in days if day in DAYS),
        _clock(fields, "from", where, wrong),
        _clock(fields, "to", where, wrong),
        _zone(fields, where, wrong),
    )


def _digest(fields: Any, where: str, wrong: list[str]) -> Digest:
    fields = fields if isinstance(fields, Mapping) else {}
    _unknown(fields, {"severities", "at", "zone"}, where, wrong)
    severities = fields.get("severities", [])
    wrong.extend(f"{where}: there is no severity {each!r}" for each in severities if each not in SEVERITIES)
    if not severities:
        wrong.append(f"{where}: severities is empty")
    return Digest(frozenset(severities), _clock(fields, "at", where, wrong), _zone(fields, where, wrong))
