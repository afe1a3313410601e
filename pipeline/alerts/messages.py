"""Messages on their way: what a receiver is shown of an incident, and who of those named can be told (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Account, Incident, Notice, Part, Sending, rank
from pipeline.alerts.routes import Routes

#: Alerts that one message shows; the others are counted in it.
_SHOWN = 100
#: The metric of alerts about sending itself; their scope names the receiver.
DELIVERY = "delivery"


def send(book: Book, routes: Routes, incident: Incident, word: str, names: Iterable[str], now_ms: int) -> None:
    """Messages about one incident, one to each receiver that may be told of it."""
    shown = account(book, incident)
    about = {part.finding.scope.get("receiver", "") for part in shown.parts if part.finding.metric == DELIVERY}
    post(book, (incident.id, word, incident.revision), listening(book, routes, names, about), [shown], now_ms)


def post(book: Book, what: tuple[str, str, int], names: Iterable[str], shown: list[Account], now_ms: int) -> None:
    """Puts a message (fingerprint, state, revision) on its way to each name; one that is known stays as it is."""
    fingerprint, state, revision = what
    for name in names:
        notice = Notice(
            fingerprint=fingerprint, state=state, revision=revision, receiver=name, at_ms=now_ms, accounts=shown
        )
        if notice.id not in book.sendings:
            waiting = Sending(id=notice.id, notice=notice, state="waiting", made_ms=now_ms, next_ms=now_ms)
            book.put(waiting, "waiting", now_ms)


def account(book: Book, incident: Incident) -> Account:
    """The incident with its alerts, worst and oldest first, as a message shows it; without those that are mute."""
    members = [book.alerts[name] for name in incident.members if name in book.alerts]
    known = [alert for alert in members if not (alert.open and (alert.silenced or alert.inhibited))]
    known.sort(key=lambda alert: (-rank(alert.severity), alert.fired_ms, alert.id))
    parts = [
        Part(
            id=alert.id,
            labels=alert.labels,
            state=alert.state,
            severity=alert.severity,
            finding=alert.evidence,
            now=alert.last.score,
            fired_ms=alert.fired_ms,
            resolved_ms=alert.resolved_ms,
            count=alert.count,
            trace=alert.trace,
        )
        for alert in known[:_SHOWN]
    ]
    return Account(
        key=incident.key,
        id=incident.id,
        labels=incident.labels,
        owner=incident.owner,
        route=incident.route,
        state=incident.state,
        severity=incident.severity,
        opened_ms=incident.opened_ms,
        resolved_ms=incident.resolved_ms,
        reopened=incident.reopened,
        acked_by=incident.acked_by,
        level=incident.level,
        count=sum(alert.count for alert in known),
        parts=parts,
        truncated=len(known) - len(parts),
    )


def listening(book: Book, routes: Routes, names: Iterable[str], about: set[str]) -> list[str]:
    """Those of the receivers that can be told; the default ones when none can; never the one that it is about."""

    def able(candidates: Iterable[str]) -> list[str]:
        return [
            name
            for name in dict.fromkeys(candidates)
            if name not in about and not (name in book.receivers and book.receivers[name].disabled)
        ]

    wanted = tuple(names)
    return able(wanted) or able(routes.routes["default"].receivers) or able(routes.receivers) or list(wanted)
