"""One event without plain values, before it is sent: what enrich does over columns, for an event at a time. Pure.

The same code masks (`mask_text`, `mask_addresses`), so cleaning here and enriching later gives what enriching alone
gives. Where the topics carry pseudonyms this is the last place that knows the plain id: it leaves the text here.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from pipeline.customers import cutting
from pipeline.customers.masking import LEAST_ID, mask_addresses, mask_text
from schemas.feedback import Feedback
from schemas.limits import MAX_NAME, MAX_TEXT
from schemas.touchpoint import Touchpoint

Event = TypeVar("Event", bound=Touchpoint | Feedback)

#: Fields whose values a producer writes freely, and that are no identifiers.
_DIMENSIONS: Final = ("brand", "unit", "touchpoint", "stage", "product", "language", "device", "campaign")
_OF_TOUCHPOINTS: Final = (*_DIMENSIONS, "currency", "journey")


def cleaned(event: Event) -> Event:
    """The event with its text masked and cut, dimensions and attributes without addresses and without its own id."""
    plain = event.customer_id or ""
    names = _DIMENSIONS if isinstance(event, Feedback) else _OF_TOUCHPOINTS
    words: dict[str, Any] = {name: value for name in names if (value := getattr(event, name))}
    masked = mask_text(event.text) if isinstance(event, Feedback) and event.text else ""
    # One word that holds something is enough, as over columns.
    if any("@" in value or _holds(value, plain) for value in (*words.values(), masked)):
        words = {name: without_id(mask_addresses(value), plain)[:MAX_NAME] for name, value in words.items()}
    if isinstance(event, Feedback) and masked:
        text = without_id(masked, plain)
        words |= {"text": cut(text, plain), "truncated": event.truncated or len(text) > MAX_TEXT}
    if event.attributes:
        words["attributes"] = {
            _masked(name, plain, MAX_NAME): _masked(value, plain, MAX_TEXT) if isinstance(value, str) else value
            for name, value in event.attributes.items()
        }
    changed = {name: value for name, value in words.items() if value != getattr(event, name)}
    return msgspec.structs.replace(event, **changed) if changed else event


def _masked(word: str, plain: str, most: int) -> str:
    """A word of the producer's own; what stands for an address may be longer than it was."""
    masked = without_id(mask_text(word), plain)
    # Without the id beside it a number may show that it is one: a second look, and nothing more is found.
    return mask_text(masked)[:most]


def without_id(value: str, plain: str) -> str:
    """A value in which [id] stands for the customer's id; an id of a few signs is left (it is in every second word)."""
    return value.replace(plain, "[id]") if _holds(value, plain) else value


def cut(text: str, plain: str) -> str:
    """Of a masked text at most MAX_TEXT characters, masked too, without the customer's id."""
    return cutting.cut(text, lambda head: without_id(mask_text(head), plain))


def _holds(value: str, plain: str) -> bool:
    return len(plain) >= LEAST_ID and plain in value
