"""A rejected event mended: changes of single fields, and what the worker would say of it now. Pure.

A change never touches bytes that are no JSON object: nobody can know what they meant. A structured CloudEvent is opened
first and goes on as the bare event inside, its id, time and subject standing in where the data carry none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import orjson

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import UsageError
from pipeline.intake.places import GATEWAY
from pipeline.intake.producing import anonymous, key_of
from pipeline.intake.tables import known_field, put
from schemas import envelopes
from schemas.codec import check, decode, encode
from schemas.explain import DECODE_ERRORS, Rejection, reject
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Reason

#: `--set event_id=@origin` gives each event an id made of where it was rejected: the same in every run.
ORIGIN = "@origin"
#: Fields with others below them: only as a whole can they be taken away.
_WHOLE = ("ref", "attributes")
#: Attributes of an envelope that stand in for fields of the event.
_STAND_INS = (("id", "event_id"), ("time", "occurred_at"), ("subject", "customer_id"))


@dataclass(frozen=True, slots=True)
class Edits:
    """`sets`: field -> text ("" takes the field away). `maps`: our field -> the name under which it was sent."""

    sets: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sets or self.maps)


class Mended(NamedTuple):
    """An event as it would be sent again: Kafka key and value, and the event itself."""

    key: bytes
    value: bytes
    event: Touchpoint | Feedback

    def topic_of(self, topic: str) -> str:
        """Where it belongs that was rejected on `topic`, or before it came on any."""
        if topic != GATEWAY:
            return topic
        return "feedback" if isinstance(self.event, Feedback) else "touchpoints"


def edits_of(sets: Sequence[str], maps: Sequence[str]) -> Edits:
    """The edits of `--set field=value` and `--map field=theirs`; raises UsageError for a field that no event has."""
    return Edits(_pairs(sets, "--set"), _pairs(maps, "--map"))


def mended(
    topic: str, value: bytes, origin: str, edits: Edits, pseudonyms: Pseudonyms | None = None
) -> Mended | Rejection:
    """The event that `value` holds after the edits, or why the worker would still refuse it.

    `origin` is where it was rejected (topic/epoch/partition/offset). Times are not judged here.
    """
    if edits:
        changed = _edited(value, origin, edits)
        if isinstance(changed, Rejection):
            return changed
        value = changed
    found = decode(topic, [value], [()])
    event = found.events[0]
    if event is None:
        return found.rejections.get(0, reject(Reason.EMPTY, detail="an empty value"))
    if isinstance(event, Feedback) and (wrong := check(event)) is not None:
        return wrong
    known = anonymous(event, pseudonyms)
    assert isinstance(known, Touchpoint | Feedback)
    # As it was sent where nothing changed: whatever a producer sent besides our fields stays in it.
    return Mended(key_of(known), value if known is event else encode(known), known)


def _edited(value: bytes, origin: str, edits: Edits) -> bytes | Rejection:
    payload = envelopes.unframe(value)
    if not payload:
        return reject(Reason.EMPTY, detail="an empty value")
    try:
        document = msgspec.json.decode(payload)
    except DECODE_ERRORS:
        return reject(Reason.NOT_JSON, detail="not JSON, so no field of it can be set")
    if not isinstance(document, dict):
        return reject(Reason.WRONG_TYPE, "$", "no JSON object, so no field of it can be set")
    document = _inside(document)
    for name, theirs in edits.maps.items():
        if theirs in document:
            taken = document.pop(theirs)
            put(document, name, taken) if isinstance(taken, str) else document.__setitem__(name, taken)
    for name, text in edits.sets.items():
        if text == "":
            _take_away(document, name)
        elif text == ORIGIN:
            document[name] = f"replay:{origin}"
        else:
            put(document, name, text)
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return reject(Reason.OUT_OF_RANGE, detail="a number that JSON cannot hold")


def _take_away(document: dict[str, Any], name: str) -> None:
    head, _, rest = name.partition(".")
    if not rest:
        document.pop(name, None)
    elif isinstance(document.get(head), dict):
        document[head].pop(rest, None)


def _inside(document: dict[str, Any]) -> dict[str, Any]:
    """The event in a structured envelope; the document itself where it is none."""
    data = document.get("data")
    if "specversion" not in document or not isinstance(data, dict):
        return document
    standing_in = {name: document[there] for there, name in _STAND_INS if there in document}
    return standing_in | data


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not name or (option == "--map" and not rest):
            raise UsageError(f"{option} {text}: write field={'theirs' if option == '--map' else 'value'}")
        if not known_field(name) and not (option == "--set" and not rest and name in _WHOLE):
            raise UsageError(f"{option} {text}: no event has a field {name}")
        found[name] = rest
    return found
