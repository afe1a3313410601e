"""SatisMeter: one response with an answer for each metric it asked, as its webhook posts it. Pure."""

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
    items,
    missing,
    word,
)
from schemas.explain import Rejection

#: Their metric -> ours with its scale.
_METRICS: dict[str, dict[str, Any]] = {
    "nps": {"metric": "nps"},
    "csat": {"metric": "csat", "scale_min": 1, "scale_max": 5},
    "ces": {"metric": "ces", "scale_min": 1, "scale_max": 7},
}
#: What stands where the site told them no id of its own.
_NOBODY = "No response"


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """A feedback for each answered metric, the first text with the first of them; a dismissed survey gives nothing."""
    response = at(payload, "response")
    if not isinstance(response, dict):
        return [missing("$.response")]
    answers = [answer for answer in items(response.get("answers")) if isinstance(answer, dict)]
    scored = [
        answer for answer in answers if str(answer.get("metric")).lower() in _METRICS and _score(answer) is not None
    ]
    text = next((a["value"] for a in answers if isinstance(a.get("value"), str) and a not in scored), None)
    name = word(response.get("id"))
    if name is None:
        return [missing("$.response.id")]
    user = response["user"] if isinstance(response.get("user"), dict) else {}
    person = user.get("userId") if user.get("userId") != _NOBODY else None
    common = {
        "occurred_at": response.get("created"),
        "channel": "survey",
        "submission_id": name,
        "language": word(response.get("language")),
        "customer_id": word(first(person, user.get("id"))),
        "ref": {"survey": payload["campaign"]["id"]} if word(at(payload, "campaign", "id")) else None,
    }
    found: list[Event | Rejection] = []
    for answer in scored:
        question = word(first(answer.get("id"), answer.get("name")))
        if question is None:
            found.append(missing("$.response.answers[].id"))
            continue
        what = _METRICS[str(answer["metric"]).lower()]
        named = {"event_id": f"satismeter:{name}:{question}", "question_id": question, "score": _score(answer)}
        found.append(feedback(options, **common, **named, **what, text=None if found else text))
    return found


def _score(answer: dict[str, Any]) -> Any:
    return first(answer.get("score"), answer.get("value") if isinstance(answer.get("value"), int) else None)


INTEGRATION = Integration("satismeter", "SatisMeter", mapped)
