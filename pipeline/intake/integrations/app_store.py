"""App Store: reviews as App Store Connect's `customerReviews` gives them, posted by a poller or as a file. Pure."""

from __future__ import annotations

from typing import Any

from pipeline.intake.integrations.contract import Event, Headers, Integration, Options, at, feedback, missing, word
from schemas.explain import Rejection


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """One feedback a review; the nickname is left behind."""
    reviews = at(payload, "data")
    if isinstance(reviews, dict):
        reviews = [reviews]
    if not isinstance(reviews, list):
        return [missing("$.data")]
    return [_review(review, options) for review in reviews if at(review, "type") in (None, "customerReviews")]


def _review(review: Any, options: Options) -> Event | Rejection:
    about = at(review, "attributes")
    if not isinstance(about, dict):
        return missing("$.data[].attributes")
    name = word(review.get("id"))
    if name is None:
        return missing("$.data[].id")
    return feedback(
        options,
        event_id=f"app_store:{name}:{about.get('createdDate')}",
        occurred_at=about.get("createdDate"),
        channel="review",
        source="review",
        metric="rating",
        score=about.get("rating"),
        text="\n".join(part for part in (about.get("title"), about.get("body")) if isinstance(part, str) and part),
        submission_id=name,
        device="mobile",
        touchpoint="review.app_store",
        attributes={"territory": about["territory"]} if word(about.get("territory")) else {},
    )


INTEGRATION = Integration("app_store", "App Store reviews", mapped)
