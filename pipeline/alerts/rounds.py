"""What is said by the clock rather than at once: the summary after a mute time, the daily digest (pure)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Round
from pipeline.alerts.fingerprint import named
from pipeline.alerts.incidents import Late, Saying, counted, tell, told
from pipeline.alerts.messages import account, listening, post
from pipeline.alerts.routes import Route, Routes
from pipeline.alerts.silences import due_before


def summary(book: Book, routes: Routes, route: Route, waiting: Sequence[Late], now_ms: int) -> None:
    """A mute time is over: one message of everything that still fires; the clocks of escalation begin now."""
    names = tuple(dict.fromkeys(n for each in waiting for n in (*route.receivers, *each.incident.receivers)))
    if len(waiting) == 1:
        incident = msgspec.structs.replace(waiting[0].incident, told_ms=0)  # the clock of escalation begins anew
        tell(book, routes, incident, Saying("firing", names, incident.level), waiting[0].audible, now_ms)
        return
    kept = []
    for each in waiting:
        said = msgspec.structs.replace(
            each.incident,
            told_ms=now_ms,
            told=told(each.audible),
            told_count=counted(each.audible),
            level_ms=now_ms,
            receivers=list(dict.fromkeys((*each.incident.receivers, *names))),
            withheld=False,
        )
        kept.append(account(book, book.put(said, "summary", now_ms)))
    what = (named({"summary": route.name}), "summary", now_ms // 1000)
    post(book, what, listening(book, routes, names, set()), kept, now_ms)


def digest(book: Book, routes: Routes, route: Route, now_ms: int) -> None:
    """Once a day everything of low severity that fires, or has ended since the last time, in one message."""
    if route.digest is None:
        return
    due_ms = due_before(route.digest.at, route.digest.zone, now_ms)
    before = book.rounds.get(route.name)
    if before is not None and before.due_ms >= due_ms:
        return
    book.put(Round(id=route.name, due_ms=due_ms), "digest", now_ms)
    if before is None:
        return  # the first look: what was due before is not for us
    mute = {a.incident for a in book.alerts.values() if a.open and (a.silenced or a.inhibited)}
    loud = {a.incident for a in book.alerts.values() if a.open and not a.silenced and not a.inhibited}
    found = [
        account(book, incident)
        for incident in book.incidents.values()
        if incident.route == route.name
        and incident.severity in route.digest.severities
        and (incident.key in loud or incident.key not in mute)
        and (incident.open or incident.resolved_ms > before.due_ms)
    ]
    if found:
        what = (named({"digest": route.name}), "digest", due_ms // 60_000)
        post(book, what, listening(book, routes, route.receivers, set()), found, now_ms)
