"""Kafka records for stage tests: answers and touchpoints of one partition, stamped by a made-up broker clock."""

from __future__ import annotations

import json
from typing import Any

from pipeline.slices import Partition, Record
from tests.chaos.generator import moment

#: The broker's time of the first record, ms; records are a millisecond apart.
NOW_MS = 1_795_000_000_000
FEEDBACK = Partition("feedback", 1)
TOUCHPOINTS = Partition("touchpoints", 1)


def record(offset: int, value: bytes | None) -> Record:
    """A record with any value."""
    return Record(offset, NOW_MS + offset, b"k", value, ())


def answer(offset: int, **fields: Any) -> Record:
    """A valid NPS answer of 9 that occurred a second before it arrived; `fields` change it."""
    return record(
        offset,
        json.dumps(
            {
                "event_id": f"e{offset}",
                "occurred_at": moment(NOW_MS + offset - 1_000),
                "channel": "web",
                "touchpoint": "checkout.completed",
                "metric": "nps",
                "score": 9,
                "customer_id": "customer-4711",
            }
            | fields
        ).encode(),
    )


def answers(count: int, first: int = 0, **fields: Any) -> list[Record]:
    """Consecutive answers."""
    return [answer(offset, **fields) for offset in range(first, first + count)]
