"""A notice in words: the same sentences for every receiver (pure).

Every score comes with n and its interval; under ten answers it is `insufficient`, never a number.
"""

from __future__ import annotations

import unicodedata

from pipeline.alerts.entries import Account, Notice, Part, State
from pipeline.alerts.finding import Estimate
from pipeline.alerts.messages import DELIVERY
from pipeline.alerts.records import iso

#: Metrics in points (fractions times 100) and in per cent; all others are means or counts as they are.
_POINTS, _SHARES = frozenset({"nps", "sentiment"}), frozenset({"csat"})
_ENOUGH = 10
#: Alerts told in full in one text; the others are counted.
_TOLD = 5

#: What a message is about, by its state.
HEADLINES = {
    "firing": "FIRING",
    "updated": "UPDATE",
    "repeated": "STILL FIRING",
    "escalated": "NOBODY HAS ANSWERED",
    "acknowledged": "ACKNOWLEDGED",
    "resolved": "RESOLVED",
    "digest": "DIGEST",
    "summary": "STILL FIRING AFTER A QUIET TIME",
    "test": "TEST",
}


def plain(text: str) -> str:
    """Text without control, bidirectional and zero-width characters: it can disguise nothing."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char for char in text)


def number(value: float, metric: str) -> str:
    """A score: points with a sign, shares in per cent, else two digits."""
    if metric in _POINTS:
        return f"{100 * value + 0.0:+.1f}"
    return f"{100 * value:.1f} %" if metric in _SHARES else f"{value:.2f}"


def change(value: float, metric: str) -> str:
    """A difference of scores, always with its sign."""
    if metric in _POINTS:
        return f"{100 * value + 0.0:+.1f} points"
    return f"{100 * value:+.1f} pp" if metric in _SHARES else f"{value:+.2f}"


def measured(estimate: Estimate | None, metric: str, *, difference: bool = False) -> str:
    """A number with n and interval, or that there are too few answers for one."""
    if estimate is None:
        return "unknown"
    if estimate.n < _ENOUGH:
        return f"insufficient (n {estimate.n})"
    say = change if difference else number
    low, high = say(estimate.low, metric), say(estimate.high, metric)
    return f"{say(estimate.value, metric)} (95 %: {low} to {high}, n {estimate.n})"


def where(part: Part) -> str:
    """The scope of an alert as people say it."""
    return ", ".join(f"{name} {plain(value)}" for name, value in part.finding.scope.items()) or "everywhere"


def title(notice: Notice) -> str:
    """One line: what happened, how bad, where."""
    head = HEADLINES.get(notice.state, notice.state.upper())
    if len(notice.accounts) != 1:
        return f"{head}: {len(notice.accounts)} incidents"
    account = notice.accounts[0]
    return f"{head} [{account.severity}] {gist(account)}"


def gist(account: Account) -> str:
    """An incident in a few words: the worst of its alerts, and how many more there are."""
    if not account.parts:
        return f"incident {account.id}"
    first, more = account.parts[0], len(account.parts) + account.truncated - 1
    rest = f" and {more} more" if more else ""
    return f"{_what(first)} at {where(first)}{rest}"


def _what(part: Part) -> str:
    seen = part.finding
    if seen.metric == DELIVERY:
        return "alerts cannot be delivered"
    if seen.event:
        return f"{seen.rule}: {part.count} events"
    if part.state == State.NO_DATA:
        return f"{seen.metric} without answers"
    if seen.size is not None and seen.size.n >= _ENOUGH:
        return f"{seen.metric} {change(seen.size.value, seen.metric)}"
    return f"{seen.metric}: {seen.rule}"


def lines(notice: Notice, link: str) -> list[str]:
    """The message, a line each."""
    said: list[str] = []
    for account in notice.accounts:
        said += ([""] if said else []) + _of(account, notice, link)
    return said


def _of(account: Account, notice: Notice, link: str) -> list[str]:
    said = [f"Owner: {plain(account.owner)}. Incident {account.id}, since {iso(account.opened_ms)}."]
    if len(notice.accounts) > 1:
        said.insert(0, f"[{account.severity}] {gist(account)} ({account.state})")
    if account.acked_by:
        said.append(f"Acknowledged by {plain(account.acked_by)}.")
    if account.reopened:
        said.append(f"Opened again for the {_ordinal(account.reopened)} time within a day.")
    if notice.state == "escalated":
        said.append(f"Nobody has answered: this is level {account.level}.")
    if account.state == State.RESOLVED:
        said.append(f"Over since {iso(account.resolved_ms)}.")
    for part in account.parts[:_TOLD]:
        said += about(part)
    hidden = len(account.parts) - _TOLD + account.truncated
    if hidden > 0:
        said.append(f"and {hidden} more: touchline alerts show {account.id}")
    if account.state != State.RESOLVED and not account.acked_by and notice.state != "test":
        said.append(f"To answer: touchline alerts ack {account.id}")
    if link:
        said.append(address(link, account))
    return said


def about(part: Part) -> list[str]:
    """One alert in a few lines: numbers, causes, what customers said, what to do."""
    seen = part.finding
    said = [f"{where(part)} [{part.state}]: {_what(part)}"]
    if seen.metric != DELIVERY and not seen.event:
        usual = f", usually {number(seen.baseline, seen.metric)}" if seen.baseline is not None else ""
        said.append(f"  {seen.metric} is {measured(part.now or seen.score, seen.metric)}{usual}")
        if seen.size is not None:
            began = f" since {iso(seen.began * 1000)}" if seen.began else ""
            said.append(f"  changed by {measured(seen.size, seen.metric, difference=True)}{began}")
    if seen.learning:
        said.append("  The baseline is still learning (less than 28 days).")
    said += [
        f"  {plain(cause.dimension)} {plain(cause.value)}: {100 * cause.share:.0f} % of it, "
        f"now {measured(cause.now, seen.metric)}"
        for cause in seen.contributions[:3]
    ]
    said += [f"  “{plain(text)}”" for text in seen.verbatims[:3]]
    if seen.runbook:
        said.append(f"  What to do: {seen.runbook}")
    return said


def address(link: str, account: Account) -> str:
    """The incident's page, empty without a link in the routes."""
    return link.replace("{incident}", account.id) if link else ""


def _ordinal(count: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th") if count % 100 not in (11, 12, 13) else "th"
    return f"{count}{ending}"
