"""When nothing is said although something fires: silences by matcher, mute times by the clock (pure).

A silence is asked for by a person, for a while, with a reason; a mute time stands on a route and comes again. Neither
changes the state of anything: it moves on, and what still fires afterwards is said then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline.alerts.entries import Alert, Matcher, Silence
from pipeline.errors import UsageError

#: Monday first, as `datetime.weekday` counts.
DAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Matchers are tried on every open alert each second: long patterns are nobody's need.
_LONGEST = 256
_MATCHER = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*$", re.DOTALL)


def matcher(text: str) -> Matcher:
    """`name=value`, `name!=value`, `name=~pattern` or `name!~pattern`; raises UsageError."""
    found = _MATCHER.match(text)
    if found is None:
        raise UsageError(f"{text!r} is no matcher: write name=value, name!=value, name=~pattern or name!~pattern")
    name, op, value = found.groups()
    value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if len(value) > _LONGEST:
        raise UsageError(f"the value of {name} is longer than {_LONGEST} characters")
    if op in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise UsageError(f"{value!r} is no regular expression: {error}") from None
    return Matcher(name, op, value)


def labels_for_matching(alert: Alert) -> dict[str, str]:
    """What silences see of an alert: what it is, and who owns it and how bad it is."""
    return {
        **alert.labels,
        "owner": alert.evidence.owner,
        "severity": alert.severity,
        "id": alert.id,
        "incident": alert.incident,
    }


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all match; a label that is missing is empty."""
    return all(_one(each, labels.get(each.name, "")) for each in matchers)


def silencing(silences: Iterable[Silence], alert: Alert, now_ms: int) -> str:
    """The id of a silence that holds for an alert now, empty when none does; of several the one that ends last."""
    labels = labels_for_matching(alert)
    holding = [s for s in silences if s.start_ms <= now_ms < s.end_ms and s.matchers and matches(s.matchers, labels)]
    return max(holding, key=lambda s: (s.end_ms, s.id)).id if holding else ""


def _one(each: Matcher, value: str) -> bool:
    if each.op in ("=", "!="):
        return (value == each.value) == (each.op == "=")
    return (re.fullmatch(each.value, value) is not None) == (each.op == "=~")


@dataclass(frozen=True, slots=True)
class MuteTime:
    """Hours in which a route says nothing: on these days (of the beginning) from `start` to `end`, past midnight when
    `end` is not later than `start`; in the zone's own clock.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def holds(self, now_ms: int) -> bool:
        """Whether it is on."""
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self.zone)
        clock = local.time()
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= clock < self.end
        began_today = local.weekday() in self.days and clock >= self.start
        began_yesterday = (local.date() - timedelta(days=1)).weekday() in self.days and clock < self.end
        return began_today or began_yesterday


def muted(times: Iterable[MuteTime], now_ms: int) -> bool:
    """Whether any of the times is on."""
    return any(each.holds(now_ms) for each in times)


def due_before(at: time, zone: ZoneInfo, now_ms: int) -> int:
    """The last moment, now or before, at which the zone's clock showed `at`: milliseconds."""
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    today = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    due = today if today <= local else (today - timedelta(days=1))
    return int(due.astimezone(UTC).timestamp() * 1000)
