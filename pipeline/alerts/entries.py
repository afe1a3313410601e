"""What stands in the book of alerts: alerts, incidents, silences, messages on their way (pure)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pipeline.alerts.finding import Estimate, Finding


class State(StrEnum):
    """Where an alert or an incident stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    NO_DATA = "no_data"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How bad, by the size of the effect; the order is that of `SEVERITIES`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


#: From harmless to worst.
SEVERITIES: tuple[str, ...] = tuple(Severity)


def rank(severity: str) -> int:
    """How bad a severity is, 0 and up; a word that is none is below all."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


def worse(one: str, other: str) -> str:
    """The worse of two severities."""
    return max(one, other, key=rank)


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One reading of the score while an alert was open: end of the window, value, interval, answers."""

    end: int
    value: float
    low: float
    high: float
    n: int


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of one scope, known by its labels. `raised`: the newest finding that was, `last`: of all."""

    id: str
    labels: dict[str, str]
    state: State
    severity: str
    last: Finding
    raised: Finding | None = None
    revision: int = 0
    incident: str = ""
    """Key of its incident; empty before it fired once, and always for a shadow rule."""
    was_open: bool = False
    """In no_data: whether it had been firing, so that its incident is still open."""
    heard_ms: int = 0
    since_ms: int = 0
    pending_from: int = 0
    calm_from: int = 0
    fired_ms: int = 0
    resolved_ms: int = 0
    reopened: int = 0
    count: int = 0
    held: bool = False
    """Resolved by hand: it stays resolved until the detector was calm once (a day at most)."""
    silenced: str = ""
    inhibited: str = ""
    seen: dict[str, int] = {}
    """Single events that were counted: by "topic:epoch:part" the highest offset."""
    trace: list[Point] = []

    @property
    def open(self) -> bool:
        """Whether it keeps its incident open."""
        return self.state in (State.FIRING, State.RECOVERING) or (self.state == State.NO_DATA and self.was_open)

    @property
    def evidence(self) -> Finding:
        """What it was raised for; the newest finding when it never was."""
        return self.raised or self.last


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """What one owner is called for: alerts of one group, one living message. `told_*` is what was said last."""

    key: str
    id: str
    labels: dict[str, str]
    route: str
    owner: str
    state: State
    severity: str
    opened_ms: int
    since_ms: int
    """When it was opened, or opened again, last."""
    revision: int = 0
    resolved_ms: int = 0
    reopened: int = 0
    members: list[str] = []
    acked_by: str = ""
    acked_ms: int = 0
    level: int = 0
    level_ms: int = 0
    receivers: list[str] = []
    """Receivers that were told that it fires: they are told that it is over."""
    told_ms: int = 0
    told: dict[str, str] = {}
    """Member -> state and severity as said last."""
    told_count: int = 0
    withheld: bool = False
    """Something would have been said in a mute time."""

    @property
    def open(self) -> bool:
        """Whether anything of it still fires."""
        return self.state != State.RESOLVED


class Matcher(msgspec.Struct, frozen=True):
    """One condition of a silence: `op` is =, !=, =~ or !~ (the last two: the whole value matches the pattern)."""

    name: str
    op: str
    value: str


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that match all `matchers` say nothing from `start_ms` to `end_ms`."""

    id: str
    matchers: list[Matcher]
    start_ms: int
    end_ms: int
    by: str
    comment: str
    revision: int = 0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as a message shows it: what it was raised for, and the score at the last look."""

    id: str
    labels: dict[str, str]
    state: State
    severity: str
    finding: Finding
    now: Estimate | None
    fired_ms: int
    resolved_ms: int
    count: int
    trace: list[Point] = []


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One incident as a message shows it."""

    key: str
    id: str
    labels: dict[str, str]
    owner: str
    route: str
    state: State
    severity: str
    opened_ms: int
    resolved_ms: int
    reopened: int
    acked_by: str
    level: int
    count: int
    parts: list[Part]
    truncated: int = 0


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be said to one receiver. `fingerprint` is that of the incident with the second it was opened, so
    that no two incidents share an id; `accounts` has one incident, or several in a digest or a summary.
    """

    fingerprint: str
    state: str
    revision: int
    receiver: str
    at_ms: int
    accounts: list[Account]
    why: str = ""

    @property
    def id(self) -> str:
        """The same at each attempt and after each crash."""
        return f"{self.fingerprint}-{self.state}-{self.revision}-{self.receiver}"


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """A notice on its way: waiting, sent, or dead after a day or when its receiver is gone."""

    id: str
    notice: Notice
    state: str
    made_ms: int
    next_ms: int
    revision: int = 0
    attempts: int = 0
    done_ms: int = 0
    said: str = ""


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a receiver: why it is disabled (empty: it is not), and since when it fails."""

    id: str
    disabled: str = ""
    failing: bool = False
    changed_ms: int = 0
    revision: int = 0


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How far the digests of a route have come: the time for which the last one was due."""

    id: str
    due_ms: int
    revision: int = 0


Entry = Alert | Incident | Silence | Sending | Reception | Round

#: The word of each kind of entry in rows.
KINDS: dict[str, type[Entry]] = {
    "alert": Alert,
    "incident": Incident,
    "silence": Silence,
    "sending": Sending,
    "receiver": Reception,
    "round": Round,
}


def id_of(entry: Entry) -> str:
    """What an entry is kept by: an incident by its group's key, everything else by its id."""
    return entry.key if isinstance(entry, Incident) else entry.id
