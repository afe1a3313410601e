"""Any sender of Standard Webhooks whose `data` is an event of ours: the way for one's own systems to sign. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.intake.admission import own
from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    missing,
    word,
)
from pipeline.intake.integrations.signatures import standard
from schemas.explain import Rejection, reject
from schemas.vocabulary import Reason


def mapped(payload: Any, headers: Headers, options: Options) -> list[Event | Rejection]:
    """`data` is one event or a list, judged as POST /v1/events judges it; id and time of the delivery stand in."""
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
        found.append(_event({key: value for key, value in stand_in.items() if value} | dict(item), options))
    return found


def _event(fields: dict[str, Any], options: Options) -> Event | Rejection:
    name = fields.get("touchpoint")
    if "metric" not in fields and isinstance(name, str):
        fields["touchpoint"] = options.touchpoints.get(name, name)
    try:
        return own(orjson.dumps(fields | dict(options.fields)), options.unknown)
    except orjson.JSONEncodeError:
        return reject(Reason.OUT_OF_RANGE, "$", "a number or a text that JSON cannot hold")


INTEGRATION = Integration("standard_webhooks", "Standard Webhooks", mapped, standard)
