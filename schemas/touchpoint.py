"""Touchpoint: what a channel emits when a customer touches us."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.limits import MAX_KEYS, MAX_NAME, MAX_TEXT
from schemas.vocabulary import Channel, Outcome

#: An identifier or the value of a dimension: never empty, never a document.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
#: A dimension that may be absent.
OptionalName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)] | None
#: A moment with its zone, RFC 3339.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
#: A value of the producer's own attributes; never nested.
Scalar = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | bool | int | float | None
#: Free attributes; nothing of ours reads them, they are not stored.
Attributes = Annotated[dict[Name, Scalar], msgspec.Meta(max_length=MAX_KEYS)]
#: The newest version of our records that this code reads; a higher one is rejected as `unknown_version`.
VERSION = 1
#: The version a record says it has. Additional fields need no new version: unknown ones are dropped.
Version = Annotated[int, msgspec.Meta(ge=1, le=VERSION)]


class Touchpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One contact between a customer and us.

    `event_id` names the event for ever (the producer's idempotency key); `occurred_at` is the customer's time,
    with a zone. Without `customer_id` the event counts in volumes only.
    """

    event_id: Name
    occurred_at: Moment
    channel: Channel
    touchpoint: Name
    customer_id: OptionalName = None
    brand: Name = "default"
    unit: OptionalName = None
    product: OptionalName = None
    agent_id: OptionalName = None
    device: OptionalName = None
    campaign: OptionalName = None
    language: OptionalName = None
    journey: OptionalName = None
    stage: OptionalName = None
    outcome: Outcome | None = None
    value: float | None = None
    currency: OptionalName = None
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    version: Version = 1
    attributes: Attributes = {}
