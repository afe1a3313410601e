"""Where an event was rejected, as it is written and typed. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.customers.sealing import context
from pipeline.errors import UsageError

#: Stands for the topic in the place of what a gateway refused: it never lay on one.
GATEWAY = "gateway"


class Place(NamedTuple):
    """Where an event was rejected; written topic/epoch/partition/offset, or gateway/0/0/number."""

    topic: str
    epoch: int
    part: int
    off: int

    @property
    def text(self) -> str:
        """The id that people type."""
        return context(*self).decode()


def place_of(text: str) -> Place:
    """The place that a person typed; raises UsageError."""
    parts = text.split("/")
    if len(parts) != 4 or not all(part.isdigit() for part in parts[1:]):
        raise UsageError(f"{text}: an id is topic/epoch/partition/offset, as `touchline rejects list` shows it")
    return Place(parts[0], *(int(part) for part in parts[1:]))
