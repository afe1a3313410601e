"""One incident, one living message: alerts of one owner are grouped, and it is decided what is said to whom (pure).

What is said is put into the book as messages on their way (`Sending`), in the same breath as the step that decided it.
The clocks are Alertmanager's: wait a little for more of the same, gather changes, repeat while nobody has answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Alert, Incident, State, rank, worse
from pipeline.alerts.fingerprint import named
from pipeline.alerts.inhibition import inhibited
from pipeline.alerts.life import REOPEN_MS
from pipeline.alerts.messages import account, post, send
from pipeline.alerts.routes import Route, Routes
from pipeline.alerts.silences import muted, silencing

replaced = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be said of an incident: the word for it, and to whom."""

    word: str
    receivers: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Late:
    """An incident about which something was withheld, and its audible alerts."""

    incident: Incident
    audible: Sequence[Alert]


def group(book: Book, routes: Routes, now_ms: int) -> None:
    """Brings every alert that fires into an incident: the open one of its group, or one opened (again) for it."""
    for alert in list(book.alerts.values()):
        if not alert.open or alert.last.shadow:
            continue
        known = book.incidents.get(alert.incident)
        if known is not None and known.open and alert.id in known.members:
            continue
        labels = group_labels(alert, routes)
        incident = _opened(book, alert, labels, now_ms)
        book.put(replaced(incident, members=[*incident.members, alert.id]), _word(book, incident), now_ms)
        if alert.incident != incident.key:
            book.put(replaced(alert, incident=incident.key), "grouped", now_ms)


def group_labels(alert: Alert, routes: Routes) -> dict[str, str]:
    """What the incident of an alert is known by: the route's words, from its owner, rule, metric, scale and scope."""
    evidence = alert.evidence
    known = {**evidence.scope, "owner": evidence.owner, "rule": evidence.rule}
    known |= {"metric": evidence.metric, "scale": evidence.scale}
    route = routes.route(evidence.route)
    return {"route": route.name, **{name: known.get(name, "") for name in route.group_by}}


def settle(book: Book, routes: Routes, now_ms: int) -> dict[str, list[Late]]:
    """What has changed since the last look: states of incidents, who is mute, what is said.

    Returns by route what was withheld in a mute time that is over now: it is said together (rounds.py).
    """
    _mark(book, now_ms)
    members: dict[str, list[Alert]] = {}
    for alert in book.alerts.values():
        if alert.open and alert.incident:
            members.setdefault(alert.incident, []).append(alert)
    late: dict[str, list[Late]] = {}
    for incident in list(book.incidents.values()):
        route = routes.route(incident.route)
        open_ones = members.get(incident.key, [])
        if not open_ones:
            _over(book, incident, route, now_ms)
            continue
        kept = _brought_up(book, incident, open_ones, now_ms)
        audible = [alert for alert in open_ones if not alert.silenced and not alert.inhibited]
        saying = due(kept, route, audible, now_ms)
        if saying is None:
            continue
        if muted(route.mute, now_ms):
            if not kept.withheld:
                book.put(replaced(kept, withheld=True), "muted", now_ms)
        elif kept.withheld:
            late.setdefault(route.name, []).append(Late(kept, audible))
        else:
            tell(book, routes, kept, saying, audible, now_ms)
    return late


def due(incident: Incident, route: Route, audible: Sequence[Alert], now_ms: int) -> Saying | None:
    """What is to be said of an open incident now, None for nothing. `audible`: those neither silenced nor inhibited."""
    if not audible or (route.digest is not None and incident.severity in route.digest.severities):
        return None
    reached = tuple(dict.fromkeys((*route.receivers, *incident.receivers)))
    if not incident.told_ms:
        urgent = any(alert.evidence.event for alert in audible)
        waited = now_ms - incident.since_ms >= route.group_wait_s * 1000
        return Saying("firing", reached, incident.level) if urgent or waited else None
    after_ms = route.escalate_after_s.get(incident.severity, 86_400) * 1000
    if not incident.acked_by and incident.level < len(route.ladder) and now_ms - incident.level_ms >= after_ms:
        return Saying("escalated", route.ladder[incident.level], incident.level + 1)
    since = now_ms - incident.told_ms
    if since >= route.group_interval_s * 1000 and _news(incident, audible):
        return Saying("updated", reached, incident.level)
    if not incident.acked_by and since >= max(route.repeat_s, route.group_interval_s) * 1000:
        return Saying("repeated", reached, incident.level)
    return None


def tell(
    book: Book, routes: Routes, incident: Incident, saying: Saying, audible: Sequence[Alert], now_ms: int
) -> Incident:
    """Notes that it is said, and puts a message on its way to each receiver."""
    said = replaced(
        incident,
        told_ms=now_ms,
        told={**incident.told, **told(audible)},
        told_count=counted(audible),
        level=saying.level,
        level_ms=now_ms if saying.level != incident.level or not incident.told_ms else incident.level_ms,
        receivers=list(dict.fromkeys((*incident.receivers, *saying.receivers))),
        withheld=False,
    )
    kept = book.put(said, saying.word, now_ms)
    send(book, routes, kept, saying.word, saying.receivers, now_ms)
    return kept


# --- Steps of it ---


def _opened(book: Book, alert: Alert, labels: Mapping[str, str], now_ms: int) -> Incident:
    """The incident of this group as it is to be kept: open, opened again within a day, or new."""
    key = named(labels)
    known = book.incidents.get(key)
    if known is not None and known.open:
        return known
    fresh = {"state": State.FIRING, "since_ms": now_ms, "severity": alert.severity, "level": 0, "level_ms": 0}
    fresh |= {"told_ms": 0, "told": {}, "told_count": 0, "members": [], "acked_by": "", "acked_ms": 0}
    if known is not None and now_ms - known.resolved_ms < REOPEN_MS:
        return replaced(known, **fresh, reopened=known.reopened + 1, resolved_ms=0, withheld=False)
    return Incident(
        key=key,
        id=f"{key}-{now_ms // 1000}",
        labels=dict(labels),
        route=labels["route"],
        owner=alert.evidence.owner,
        state=State.FIRING,
        severity=alert.severity,
        opened_ms=now_ms,
        since_ms=now_ms,
    )


def _word(book: Book, incident: Incident) -> str:
    known = book.incidents.get(incident.key)
    if known is None or known.id != incident.id:
        return "opened"
    return "joined" if known.open else "reopened"


def _mark(book: Book, now_ms: int) -> None:
    """Who is silenced, who is inhibited; only alerts that fire for real take part."""
    real = [alert for alert in book.alerts.values() if alert.open and not alert.last.shadow]
    mute = inhibited(real)
    silences = list(book.silences.values())
    for alert in real:
        silenced, by = silencing(silences, alert, now_ms), mute.get(alert.id, "")
        if (silenced, by) != (alert.silenced, alert.inhibited):
            word = "silenced" if silenced else "inhibited" if by else "audible"
            book.put(replaced(alert, silenced=silenced, inhibited=by), word, now_ms, why=silenced or by)


def _brought_up(book: Book, incident: Incident, members: Sequence[Alert], now_ms: int) -> Incident:
    """The incident with the state and the worst severity of its alerts."""
    states = {alert.state for alert in members}
    state = State.FIRING
    if states == {State.NO_DATA}:
        state = State.NO_DATA
    elif State.FIRING not in states:
        state = State.RECOVERING
    severity = incident.severity
    for alert in members:
        severity = worse(severity, alert.severity)
    if (state, severity) == (incident.state, incident.severity):
        return incident
    word = str(state) if state != incident.state else severity
    return book.put(replaced(incident, state=state, severity=severity), word, now_ms)


def _over(book: Book, incident: Incident, route: Route, now_ms: int) -> None:
    """Nothing of it fires any more: whoever was told is told, in a mute time afterwards."""
    if incident.open:
        quiet = bool(incident.told_ms) and muted(route.mute, now_ms)
        ended = replaced(
            incident, state=State.RESOLVED, resolved_ms=now_ms, acked_by="", acked_ms=0, level=0, withheld=quiet
        )
        incident = book.put(ended, "resolved", now_ms)
        if incident.told_ms and not quiet:
            _last_word(book, incident, now_ms)
    elif incident.withheld and not muted(route.mute, now_ms):
        _last_word(book, book.put(replaced(incident, withheld=False), "unmuted", now_ms), now_ms)


def _last_word(book: Book, incident: Incident, now_ms: int) -> None:
    """The end is told to all that were told of the beginning, also to one that is failing at the moment."""
    post(book, (incident.id, "resolved", incident.revision), incident.receivers, [account(book, incident)], now_ms)


def told(audible: Iterable[Alert]) -> dict[str, str]:
    """What is said of each alert, to see later whether there is more to say."""
    return {alert.id: f"{alert.state} {alert.severity}" for alert in audible}


def counted(audible: Iterable[Alert]) -> int:
    """Single events behind it: a window that is raised again is nothing new, another event is."""
    return sum(alert.count for alert in audible if alert.evidence.event)


def _news(incident: Incident, audible: Sequence[Alert]) -> bool:
    """Whether there is more to say than was said; once somebody has answered only what is new or worse."""
    now = told(audible)
    added = set(now) - set(incident.told)
    worsened = any(_severity(now[name]) > _severity(incident.told[name]) for name in set(now) - added)
    if added or worsened:
        return True
    changed = any(now[name] != incident.told[name] for name in now)
    return not incident.acked_by and (changed or counted(audible) != incident.told_count)


def _severity(said: str) -> int:
    return rank(said.partition(" ")[2])
