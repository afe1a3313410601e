"""Profile: what we know of a customer from a moment on; travels on the compacted topic `profiles`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.limits import MAX_KEYS, MAX_NAME
from schemas.touchpoint import Attributes, Moment, Name, OptionalName

#: A segment's name: no comma, since a set of segments is stored as one comma-joined word.
Segment = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=MAX_NAME)]


class Profile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The customer's segments and attributes as of `valid_from`; events before it keep the earlier ones."""

    customer: Name
    valid_from: Moment
    segments: Annotated[list[Segment], msgspec.Meta(max_length=MAX_KEYS)] = []
    unit: OptionalName = None
    attributes: Attributes = {}
