"""The outbox: what is to be sent now, and what follows from an answer (pure).

At least once, with the same id each time, in order for each receiver and incident. A receiver that does not take a
message gets it again, later each time, for a day; then the message is a dead letter and an alert of its own calls
whoever answers for the alerting. A receiver that says it is gone (410) is disabled, and that is an alert as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pipeline.alerts.book import Book
from pipeline.alerts.entries import Reception, Sending
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.fingerprint import fnv1a
from pipeline.alerts.messages import DELIVERY
from pipeline.alerts.routes import Routes

#: A message that could not be handed over for a day is a dead letter (scores.md 4).
GIVE_UP_MS = 24 * 3600 * 1000
#: First and longest wait between two tries; it doubles from one to the other.
_FIRST_MS, _LONGEST_MS = 5_000, 15 * 60 * 1000
#: After so many tries of one message (some 20 minutes) its receiver is called failing, long before anything is lost.
_WORRYING = 8
#: What is still so is said again once an hour, so that it does not end for want of news.
_HOUR_S = 3600
#: The rule under which the sending itself is alerted on.
RULE = "touchline-delivery"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one try. `fate`: sent, again (try later), refused (this message never), gone (this receiver)."""

    fate: str
    said: str = ""
    retry_after_s: float = 0.0


def ready(book: Book, now_ms: int) -> dict[str, list[Sending]]:
    """By receiver what may be sent now, oldest first: of one incident only the first that waits."""
    lines: dict[str, dict[str, Sending]] = {}
    for sending in sorted(book.sendings.values(), key=lambda each: (each.made_ms, each.notice.revision, each.id)):
        if sending.state == "waiting":
            lines.setdefault(sending.notice.receiver, {}).setdefault(sending.notice.fingerprint, sending)
    found = {name: [each for each in line.values() if each.next_ms <= now_ms] for name, line in lines.items()}
    return {name: line for name, line in found.items() if line}


def answered(book: Book, sending: Sending, answer: Answer, now_ms: int) -> None:
    """Notes the answer to one try of a message."""
    tries = sending.attempts + 1
    tried = msgspec.structs.replace(sending, attempts=tries, said=answer.said)
    receiver = book.receivers.get(sending.notice.receiver) or Reception(id=sending.notice.receiver)
    if answer.fate == "sent":
        book.put(msgspec.structs.replace(tried, state="sent", done_ms=now_ms), "sent", now_ms)
        if receiver.failing and not receiver.disabled:
            book.put(msgspec.structs.replace(receiver, failing=False, changed_ms=now_ms), "recovered", now_ms)
        return
    wait_ms = max(wait(sending.id, tries), int(answer.retry_after_s * 1000))
    late = now_ms + wait_ms > sending.made_ms + GIVE_UP_MS
    if answer.fate == "again" and not late:
        book.put(msgspec.structs.replace(tried, next_ms=now_ms + wait_ms), "retry", now_ms, why=answer.said)
        if tries >= _WORRYING and not receiver.failing:
            worrying = msgspec.structs.replace(receiver, failing=True, changed_ms=now_ms)
            book.put(worrying, "failing", now_ms, why=answer.said)
        return
    book.put(msgspec.structs.replace(tried, state="dead", done_ms=now_ms), "dead", now_ms, why=answer.said)
    disabled = answer.said or "gone" if answer.fate == "gone" else receiver.disabled
    if not receiver.failing or disabled != receiver.disabled:
        changed = msgspec.structs.replace(receiver, failing=True, disabled=disabled, changed_ms=now_ms)
        book.put(changed, "disabled" if disabled else "failing", now_ms, why=answer.said)


def unreachable(book: Book, now_ms: int) -> None:
    """Messages that wait for a receiver that is disabled are dead letters: they are not lost silently."""
    for sending in list(book.sendings.values()):
        receiver = book.receivers.get(sending.notice.receiver)
        if sending.state == "waiting" and receiver is not None and receiver.disabled:
            dead = msgspec.structs.replace(sending, state="dead", done_ms=now_ms, said=receiver.disabled)
            book.put(dead, "dead", now_ms, why=receiver.disabled)


def wait(id_: str, tries: int) -> int:
    """Milliseconds until the next try: doubling, between half and one and a half of it, the same for the same try."""
    whole = min(_FIRST_MS * 2 ** min(tries - 1, 20), _LONGEST_MS)
    spread = fnv1a(f"{id_}/{tries}".encode()) / 2**64
    return int(whole * (0.5 + spread))


def delivery_findings(book: Book, routes: Routes, now_ms: int) -> Sequence[Finding]:
    """What the sending says of itself: raised for a receiver that fails or is gone, calm when it is back."""
    found = []
    for receiver in book.receivers.values():
        # One that the routes do not name any more fails nobody.
        bad = (receiver.failing or bool(receiver.disabled)) and receiver.id in routes.receivers
        verdict = Verdict.RAISED if bad else Verdict.CALM
        found.append(
            Finding(
                rule=RULE,
                rule_version=1,
                scope={"receiver": receiver.id},
                metric=DELIVERY,
                scale="",
                window_end=max(receiver.changed_ms // 1000, now_ms // 1000 // _HOUR_S * _HOUR_S),
                verdict=verdict,
                statistic=1.0 if verdict == Verdict.RAISED else 0.0,
                threshold=1.0,
                severity="error",
                owner=routes.owner,
                route="default",
                runbook="docs/alerts.md#a-receiver-fails",
                verbatims=[receiver.disabled] if receiver.disabled else [],
            )
        )
    return found
