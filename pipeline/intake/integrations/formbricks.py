"""Formbricks: answers of a response; what a question measures stands in the deployment's file, not in it. Pure.

A response comes when it begins, changes and ends: the same submission with a higher revision each time.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    feedback,
    first,
    measured,
    milliseconds,
    missing,
    word,
)
from pipeline.intake.integrations.signatures import standard
from schemas.explain import Rejection

_DEVICES = ("desktop", "mobile", "tablet")


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """One feedback for each question that measures something; the first text goes with the first of them."""
    found: list[Event | Rejection] = []
    for delivery in payload if isinstance(payload, list) else [payload]:
        response = at(delivery, "data")
        if not isinstance(response, dict) or not isinstance(response.get("data"), dict):
            found.append(missing("$.data"))
            continue
        if not str(at(delivery, "event") or "").startswith("response"):
            continue
        found += _answers(response, options)
    return found


def _answers(response: dict[str, Any], options: Options) -> list[Event | Rejection]:
    answers: dict[str, Any] = response["data"]
    submission = word(response.get("id"))
    if submission is None:
        return [missing("$.data.id")]
    scored = [
        (name, what) for name, value in answers.items() if isinstance(value, int) and (what := measured(options, name))
    ]
    text = next((value for name, value in answers.items() if isinstance(value, str) and _is_text(name, options)), None)
    moment = first(response.get("updatedAt"), response.get("createdAt"))
    revision = milliseconds(moment)
    # Cut by hand: an address may be none that `urlsplit` takes (`https://[...`), and the answer is one all the same.
    query = str(at(response, "meta", "url") or "").partition("?")[2].partition("#")[0]
    page = {name: values[0] for name, values in parse_qs(query).items()}
    device = at(response, "meta", "userAgent", "device")
    common = {
        "occurred_at": moment,
        "channel": "survey",
        "submission_id": submission,
        "revision": revision,
        "language": None if response.get("language") == "default" else word(response.get("language")),
        "customer_id": word(first(at(response, "contactAttributes", "userId"), at(response, "contact", "userId"))),
        "device": device if device in _DEVICES else None,
        "touchpoint": page.get("touchpoint"),
        "stage": page.get("stage"),
        "ref": {"survey": response["surveyId"]} if word(response.get("surveyId")) else None,
    }
    return [
        feedback(
            options,
            **common,
            **what,
            event_id=f"formbricks:{submission}:{name}:{revision}",
            question_id=name,
            score=answers[name],
            text=None if number else text,
        )
        for number, (name, what) in enumerate(scored)
    ]


def _is_text(name: str, options: Options) -> bool:
    """Only what the deployment calls a text: a choice or a click is a string as well."""
    return options.questions.get(name) == "text"


INTEGRATION = Integration("formbricks", "Formbricks", mapped, standard)
