"""Findings made up for tests, a clock and a book to try them on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Alert, Entry, Incident
from pipeline.alerts.finding import Contribution, Estimate, Finding, Verdict
from pipeline.alerts.orders import Order
from pipeline.alerts.routes import Receiver, Route, Routes
from pipeline.alerts.turn import advance

#: 2026-03-02 10:00 UTC, a Monday; seconds.
START = 1_772_445_600
WINDOW = 300


def estimate(value: float, *, half: float = 0.05, n: int = 400) -> Estimate:
    return Estimate(value, value - half, value + half, n)


def finding(window: int, verdict: Verdict = Verdict.RAISED, **more: Any) -> Finding:
    """A finding at the end of the window number `window` after START."""
    fields: dict[str, Any] = {
        "rule": "nps-drop",
        "rule_version": 1,
        "scope": {"brand": "acme", "touchpoint": "delivery"},
        "metric": "nps",
        "scale": "0-10",
        "window_end": START + window * WINDOW,
        "verdict": verdict,
        "statistic": {Verdict.RAISED: 6.0, Verdict.CALM: 1.0}.get(verdict, 4.0),
        "threshold": 5.6,
        "severity": "error",
        "owner": "logistics",
        "route": "default",
        "runbook": "https://wiki.example/nps-drop",
        "began": START,
        "baseline": 0.30,
        "score": estimate(0.12),
        "size": estimate(-0.18),
    }
    return Finding(**{**fields, **more})


def share(dimension: str, value: str, part: float) -> Contribution:
    return Contribution(dimension, value, part, estimate(0.0), 0.3)


def routes_of(*names: str, **more: Any) -> Routes:
    """One default route to these receivers, without waiting for a group."""
    receivers = {name: Receiver(name, "stdout", {}) for name in (*names, *more.pop("others", ()))}
    return Routes(receivers, {"default": Route("default", names, **{"group_wait_s": 0, **more})})


class Desk:
    """A book with a clock: `turn` brings findings in and lets time pass."""

    def __init__(self, routes: Routes) -> None:
        self.book = Book()
        self.routes = routes
        self.now_ms = START * 1000
        self._orders = 0

    def turn(self, *findings: Finding, after_s: float = 0, orders: tuple[Order, ...] = ()) -> dict[str, str]:
        self.now_ms += int(after_s * 1000)
        return advance(self.book, self.routes, findings, orders, self.now_ms)

    def ask(self, kind: str, target: str, by: str = "ann", **body: Any) -> str:
        """A person's wish, carried out at once; the answer."""
        self._orders += 1
        order = Order(id=f"o-{self._orders}", asked_ms=self.now_ms, by=by, kind=kind, target=target, body=body)
        return self.turn(orders=(order,))[order.id]

    def alert(self, scope: Mapping[str, str] | None = None) -> Alert:
        """The only alert, or that of a scope."""
        found = [a for a in self.book.alerts.values() if scope is None or a.last.scope == scope]
        assert len(found) == 1, found
        return found[0]

    def incident(self) -> Incident:
        """The only incident."""
        (found,) = self.book.incidents.values()
        return found

    def said(self) -> list[tuple[str, str]]:
        """State and receiver of every message so far, in order."""
        return [
            (s.notice.state, s.notice.receiver)
            for s in sorted(self.book.sendings.values(), key=lambda s: (s.made_ms, s.notice.revision, s.id))
        ]

    def words(self, kind: str = "alert") -> list[str]:
        """The steps of a kind of entry so far."""
        return [step.step for step in self.book.steps if step.kind == kind]


def replayed(book: Book) -> Book:
    """The book as it is read back from its rows."""
    entries: list[Entry] = []
    for step in book.steps:
        entries.append(msgspec.json.decode(msgspec.json.encode(step.entry), type=type(step.entry)))
    return Book.of(entries)
