"""What people ask: acknowledge, resolve, silence, let a receiver be tried again (pure).

An order is carried out by the one owner of the book. The same order twice changes nothing the second time, so that one
that was carried out just before a crash does no harm afterwards.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Alert, Incident, Matcher, Reception, Silence
from pipeline.alerts.life import ended
from pipeline.alerts.messages import send
from pipeline.alerts.routes import Routes

#: What can be asked.
KINDS: tuple[str, ...] = ("ack", "unack", "resolve", "silence", "unsilence", "enable")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One wish of a person: `target` is an incident's or alert's id, a silence's, or a receiver's name."""

    id: str
    asked_ms: int
    by: str
    kind: str
    target: str
    body: dict[str, Any] = {}


def carry_out(book: Book, routes: Routes, order: Order, now_ms: int) -> str:
    """Does what was asked; what to answer. Never raises: whoever asked for nonsense is told so."""
    if order.kind == "silence":
        return _silence(book, order, now_ms)
    if order.kind == "unsilence":
        return _unsilence(book, order, now_ms)
    if order.kind == "enable":
        return _enable(book, order, now_ms)
    incident = incident_of(book, order.target)
    alert = book.alerts.get(order.target)
    if order.kind == "resolve":
        return _resolve(book, order, incident, alert, now_ms)
    if incident is None or not incident.open:
        return f"{order.target} is not open"
    if order.kind == "ack":
        return _ack(book, routes, order, incident, now_ms)
    if order.kind == "unack":
        book.put(msgspec.structs.replace(incident, acked_by="", acked_ms=0), "unacknowledged", now_ms, order.by)
        return "no longer acknowledged"
    return f"cannot {order.kind}"


def incident_of(book: Book, name: str) -> Incident | None:
    """The incident with that id or key, or that of the alert with that id."""
    for incident in book.incidents.values():
        if name in (incident.id, incident.key):
            return incident
    alert = book.alerts.get(name)
    return book.incidents.get(alert.incident) if alert else None


def _ack(book: Book, routes: Routes, order: Order, incident: Incident, now_ms: int) -> str:
    if (incident.acked_by, incident.acked_ms) == (order.by, order.asked_ms):
        return "acknowledged"  # the same order, carried out just before a crash
    if incident.acked_by:
        return f"already acknowledged by {incident.acked_by}"
    comment = str(order.body.get("comment", ""))
    changed = msgspec.structs.replace(incident, acked_by=order.by, acked_ms=order.asked_ms)
    kept = book.put(changed, "acknowledged", now_ms, order.by, comment)
    if kept.told_ms:
        send(book, routes, kept, "acknowledged", kept.receivers, now_ms)
    return "acknowledged"


def _resolve(book: Book, order: Order, incident: Incident | None, alert: Alert | None, now_ms: int) -> str:
    chosen = [alert] if alert else [book.alerts[n] for n in incident.members if n in book.alerts] if incident else []
    found = [each for each in chosen if each.open]
    for each in found:
        ended(book, each, now_ms, by=order.by, why=str(order.body.get("comment", "")))
    return f"resolved {len(found)}" if found else f"{order.target} is not open"


def _silence(book: Book, order: Order, now_ms: int) -> str:
    if order.id in book.silences:
        return f"silence {order.id}"
    try:
        made = Silence(
            id=order.id,
            matchers=msgspec.convert(order.body["matchers"], list[Matcher]),
            start_ms=int(order.body.get("start_ms") or order.asked_ms),
            end_ms=int(order.body["end_ms"]),
            by=order.by,
            comment=str(order.body.get("comment", "")),
        )
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        return f"no silence: {error}"
    if not made.matchers:
        return "no silence: without a matcher it would silence everything"
    book.put(made, "silence", now_ms, order.by, made.comment)
    return f"silence {order.id}"


def _unsilence(book: Book, order: Order, now_ms: int) -> str:
    known = book.silences.get(order.target)
    if known is None or known.end_ms <= now_ms:
        return f"there is no silence {order.target}"
    book.put(msgspec.structs.replace(known, end_ms=now_ms), "unsilence", now_ms, order.by)
    return "ended"


def _enable(book: Book, order: Order, now_ms: int) -> str:
    known = book.receivers.get(order.target)
    if known is None or not known.disabled:
        return f"{order.target} is not disabled"
    book.put(Reception(id=order.target, changed_ms=now_ms), "enabled", now_ms, order.by)
    return "enabled"
