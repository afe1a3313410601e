"""Lines of NDJSON on their way into Kafka: topic, key, and whether the worker would take them. Pure.

A line is an event (its topic is given or guessed), or `{"topic": ..., "key": ..., "value": ...}` as
`touchline simulate` writes it; there a value that is no JSON stands as a string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.intake.producing import anonymous, key_of
from schemas.codec import check, decode, decode_profile, encode
from schemas.explain import Rejection, reject
from schemas.feedback import Feedback
from schemas.profile import Profile
from schemas.topics import LEDGER_TOPICS
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Reason

#: Topics that lines may go to.
TARGETS: tuple[str, ...] = (*LEDGER_TOPICS, "profiles")


class Addressed(msgspec.Struct, forbid_unknown_fields=True):
    """A line that names its topic and key."""

    topic: str
    key: str
    value: msgspec.Raw


class Judged(NamedTuple):
    """One line: where it goes, its bytes, and why it is refused (None: it is valid)."""

    topic: str
    key: bytes
    value: bytes
    rejection: Rejection | None


_addressed = msgspec.json.Decoder(Addressed).decode
_string = msgspec.json.Decoder(str).decode


def judge(lines: Sequence[bytes], topic: str | None, first_row: int, pseudonyms: Pseudonyms | None) -> list[Judged]:
    """One verdict a line, in order; `topic` None guesses (a line with `metric` is feedback, else a touchpoint).

    `first_row` is the number of the first line; it makes the key of a line that has no readable one.
    """
    taken = [_opened(line, topic) for line in lines]
    judged: list[Judged | None] = [None] * len(lines)
    for name in {target for target, _, _ in taken}:
        rows = [row for row, (target, _, _) in enumerate(taken) if target == name]
        values = [taken[row][2] for row in rows]
        for row, value, event in zip(rows, values, _decoded(name, values), strict=True):
            fallback = taken[row][1] or f"row:{first_row + row}".encode()
            judged[row] = _judged(name, fallback, value, event, pseudonyms)
    return [line for line in judged if line is not None]


def _opened(line: bytes, topic: str | None) -> tuple[str, bytes, bytes]:
    """(topic, key if it was given, value) of a line."""
    if line.startswith(b'{"topic":'):
        try:
            addressed = _addressed(line)
        except msgspec.MsgspecError:
            pass
        else:
            value = bytes(addressed.value)
            plain = _string(value).encode() if value.startswith(b'"') else value
            return topic or addressed.topic, addressed.key.encode(), plain
    return topic or ("feedback" if b'"metric"' in line else "touchpoints"), b"", line


def _decoded(topic: str, values: list[bytes]) -> list[Touchpoint | Feedback | Profile | Rejection]:
    """Each value as the worker would read it."""
    if topic == "profiles":
        return [decode_profile(value) for value in values]
    if topic not in LEDGER_TOPICS:
        wrong = reject(Reason.UNKNOWN_VALUE, "$.topic", f"{topic!r}; one of {', '.join(TARGETS)}")
        return [wrong] * len(values)
    found = decode(topic, values, [()] * len(values))
    return [
        found.rejections.get(row, reject(Reason.EMPTY)) if event is None else event
        for row, event in enumerate(found.events)
    ]


def _judged(
    topic: str,
    fallback: bytes,
    value: bytes,
    event: Touchpoint | Feedback | Profile | Rejection,
    pseudonyms: Pseudonyms | None,
) -> Judged:
    if isinstance(event, Rejection):
        return Judged(topic, fallback, value, event)
    known = anonymous(event, pseudonyms)
    # A value is only written anew when it changed: whatever a producer sent besides our fields stays in it.
    written = value if known is event else encode(known)
    return Judged(topic, key_of(known), written, check(known) if isinstance(known, Feedback) else None)
