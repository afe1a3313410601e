"""Typeform: each scored answer of a response is one feedback, the first text goes with the first of them. Pure."""

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
    measured,
    missing,
    word,
)
from pipeline.intake.integrations.signatures import based
from schemas.explain import Rejection

#: Answers of these kinds are numbers on a scale.
_SCORED = ("nps", "rating", "opinion_scale")
_TEXTS = ("long_text", "short_text")


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """Questions are known by their reference, never by their title, which people change."""
    response = at(payload, "form_response")
    if not isinstance(response, dict):
        return [missing("$.form_response")]
    answers = [answer for answer in items(response.get("answers")) if isinstance(answer, dict)]
    fields = items(at(response, "definition", "fields"))
    steps = {word(at(field, "id")): at(field, "properties", "steps") for field in fields}
    token = word(response.get("token"))
    if token is None:
        return [missing("$.form_response.token")]
    hidden = response["hidden"] if isinstance(response.get("hidden"), dict) else {}
    text = next(
        (a["text"] for a in answers if at(a, "field", "type") in _TEXTS and isinstance(a.get("text"), str)), None
    )
    common = {
        "occurred_at": response.get("submitted_at"),
        "channel": "survey",
        "submission_id": token,
        "customer_id": word(first(hidden.get("user_id"), hidden.get("customer_id"))),
        "touchpoint": word(hidden.get("touchpoint")),
        "ref": {"survey": response["form_id"]} if word(response.get("form_id")) else None,
    }
    found: list[Event | Rejection] = []
    for answer in answers:
        what = _measured(answer, steps, options)
        if what is None:
            continue
        question = word(first(at(answer, "field", "ref"), at(answer, "field", "id")))
        if question is None:
            found.append(missing("$.form_response.answers[].field.ref"))
            continue
        named = {"event_id": f"typeform:{token}:{question}", "question_id": question, "score": answer.get("number")}
        found.append(feedback(options, **common, **named, **what, text=None if found else text))
    if not found and text is not None:
        named = {"event_id": f"typeform:{token}:text", "question_id": "text", "metric": "sentiment_only"}
        found.append(feedback(options, **common, **named, text=text))
    return found


def _measured(answer: dict[str, Any], steps: dict[Any, Any], options: Options) -> dict[str, Any] | None:
    """Metric and scale of an answer; None for one that measures nothing."""
    kind = at(answer, "field", "type")
    reference = str(first(at(answer, "field", "ref"), at(answer, "field", "id")) or "")
    if kind not in _SCORED or not isinstance(answer.get("number"), int):
        return None
    if kind == "nps":
        return {"metric": "nps"}
    if kind == "rating" and reference not in options.questions:
        most = steps.get(word(at(answer, "field", "id")))
        return {"metric": "rating", "scale_min": 1, "scale_max": most if isinstance(most, int) else 5}
    return measured(options, reference)


#: No timestamp is signed: a delivery that is repeated is found by its event ids. They wait for 30 s.
INTEGRATION = Integration(
    "typeform", "Typeform", mapped, based("typeform-signature", "sha256", "sha256="), patience_s=8.0
)
