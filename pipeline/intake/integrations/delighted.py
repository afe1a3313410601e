"""Delighted: survey responses as its API lists them and its webhook posts them. Pure. Mail and name are left behind."""

from __future__ import annotations

from typing import Any

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    feedback,
    first,
    missing,
    since_1970,
    word,
)
from schemas.explain import Rejection

#: Their survey type -> our metric and scale.
_TYPES: dict[str, dict[str, Any]] = {
    "nps": {"metric": "nps"},
    "csat": {"metric": "csat", "scale_min": 1, "scale_max": 5},
    "ces": {"metric": "ces", "scale_min": 1, "scale_max": 5},
    "five_star": {"metric": "rating", "scale_min": 1, "scale_max": 5},
    "stars_five": {"metric": "rating", "scale_min": 1, "scale_max": 5},
}


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """A list of responses, one response, or a notification about one; other notifications give nothing."""
    if at(payload, "event_type") is not None:
        if not str(payload["event_type"]).startswith("survey_response"):
            return []
        payload = payload.get("event_data")
    responses = payload if isinstance(payload, list) else [payload]
    return [_response(response, options) for response in responses]


def _response(response: Any, options: Options) -> Event | Rejection:
    if not isinstance(response, dict) or "score" not in response:
        return missing("$.score")
    name = word(response.get("id"))
    if name is None:
        return missing("$.id")
    moments = (response.get("updated_at"), response.get("created_at"))
    moment = next((each for each in moments if since_1970(each)), None)
    properties = response["person_properties"] if isinstance(response.get("person_properties"), dict) else {}
    return feedback(
        options,
        **_TYPES.get(str(response.get("survey_type", "nps")), {"metric": "nps"}),
        event_id=f"delighted:{name}:{moment}",
        # The score comes first, the comment minutes later: the answer is of when it was begun.
        occurred_at=since_1970(first(response.get("created_at"), moment)),
        channel="survey",
        score=response.get("score"),
        text=response.get("comment"),
        submission_id=name,
        revision=moment if isinstance(moment, int) else None,
        customer_id=word(
            first(properties.get("customer_id"), properties.get("Customer ID"), at(response, "person", "id"))
            or response.get("person")
        ),
        touchpoint=word(properties.get("touchpoint")),
    )


INTEGRATION = Integration("delighted", "Delighted", mapped)
