"""The book of alerts: what is known of each, and every step that changed it (pure).

The book is a function of the steps: whoever puts their entries in again, in order, has the same book. One entry is the
whole of one thing, with a revision that rises by one at each step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from pipeline.alerts.entries import (
    KINDS,
    Alert,
    Entry,
    Incident,
    Reception,
    Round,
    Sending,
    Silence,
    State,
    id_of,
)

E = TypeVar("E", bound=Entry)

_WORDS: dict[type[Any], str] = {made: word for word, made in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """One change of one entry: what happened, when, by whom and why, and the entry as it is since."""

    kind: str
    step: str
    at_ms: int
    by: str
    why: str
    entry: Entry


class Book:
    """All entries, and the steps since they were last written down."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.incidents: dict[str, Incident] = {}
        self.silences: dict[str, Silence] = {}
        self.sendings: dict[str, Sending] = {}
        self.receivers: dict[str, Reception] = {}
        self.rounds: dict[str, Round] = {}
        self.steps: list[Step] = []
        self._shelves: dict[type[Any], dict[str, Any]] = {
            Alert: self.alerts,
            Incident: self.incidents,
            Silence: self.silences,
            Sending: self.sendings,
            Reception: self.receivers,
            Round: self.rounds,
        }

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Book:
        """The book with these entries, in the order of their steps: of several with one id the last one counts."""
        book = cls()
        for entry in entries:
            book._shelves[type(entry)][id_of(entry)] = entry
        return book

    def put(self, entry: E, step: str, at_ms: int, by: str = "", why: str = "") -> E:
        """Keeps an entry under its next revision and notes the step; the entry as kept."""
        shelf = self._shelves[type(entry)]
        known = shelf.get(id_of(entry))
        kept = msgspec.structs.replace(entry, revision=(known.revision if known else 0) + 1)
        shelf[id_of(kept)] = kept
        self.steps.append(Step(_WORDS[type(kept)], step, at_ms, by, why, kept))
        return kept

    def entries(self) -> list[Entry]:
        """Everything that is known."""
        return [entry for shelf in self._shelves.values() for entry in shelf.values()]

    def forget(self, before_ms: int) -> None:
        """Lets go of what is over since before that moment; nothing that is open, held, waiting or disabled."""
        for name, alert in list(self.alerts.items()):
            over = alert.state in (State.INACTIVE, State.RESOLVED) and max(alert.since_ms, alert.heard_ms) < before_ms
            if over or (alert.state == State.NO_DATA and not alert.was_open and alert.heard_ms < before_ms):
                del self.alerts[name]
        for name, incident in list(self.incidents.items()):
            if not incident.open and incident.resolved_ms < before_ms:
                del self.incidents[name]
        for name, silence in list(self.silences.items()):
            if silence.end_ms < before_ms:
                del self.silences[name]
        for name, sending in list(self.sendings.items()):
            if sending.state != "waiting" and sending.done_ms < before_ms:
                del self.sendings[name]
