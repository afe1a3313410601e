"""Any sender of Standard Webhooks whose `data` is an event of ours: the way for one's own systems to sign. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    feedback,
    missing,
    touchpoint,
    word,
)
from pipeline.intake.integrations.signatures import standard
from schemas.explain import Rejection


def mapped(payload: Any, headers: Headers, options: Options) -> list[Event | Rejection]:
    """`data` is one event or a list; the id of the delivery and its time stand in where the data have none."""
    data = payload.get("data") if isinstance(payload, Mapping) else None
    if data is None:
        return [missing("$.data")]
    found: list[Event | Rejection] = []
    for number, item in enumerate(data if isinstance(data, list) else [data]):
        if not isinstance(item, Mapping):
            found.append(missing(f"$.data[{number}]"))
            continue
        name = word(headers.get("webhook-id"))
        stand_in = {"event_id": f"{name}:{number}" if name else None, "occurred_at": payload.get("timestamp")}
        fields = {key: value for key, value in stand_in.items() if value} | dict(item)
        found.append(feedback(options, **fields) if "metric" in item else touchpoint(options, **fields))
    return found


INTEGRATION = Integration("standard_webhooks", "Standard Webhooks", mapped, standard)
