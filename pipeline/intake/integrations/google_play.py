"""Google Play: reviews as `reviews.list` of the Developer API gives them, posted by a poller or as a file. Pure."""

from __future__ import annotations

import re
from typing import Any

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    feedback,
    items,
    missing,
    since_1970,
    word,
)
from schemas.explain import Rejection

_SECONDS = re.compile(r"[0-9]{1,12}")


def mapped(payload: Any, _: Headers, options: Options) -> list[Event | Rejection]:
    """The newest comment of each review; an edited one has a higher revision. Title and body stand apart by a tab."""
    reviews = at(payload, "reviews")
    if not isinstance(reviews, list):
        return [missing("$.reviews")] if not at(payload, "reviewId") else [_review(payload, options)]
    return [_review(review, options) for review in reviews]


def _review(review: Any, options: Options) -> Event | Rejection:
    comments = at(review, "comments")
    comment = next((found for each in items(comments) if (found := at(each, "userComment"))), None)
    if not isinstance(comment, dict):
        return missing("$.reviews[].comments[].userComment")
    name = word(at(review, "reviewId"))
    if name is None:
        return missing("$.reviews[].reviewId")
    seconds = at(comment, "lastModified", "seconds")
    text = str(comment.get("text") or "").strip().replace("\t", "\n")
    return feedback(
        options,
        event_id=f"google_play:{name}:{seconds}",
        occurred_at=since_1970(seconds),
        channel="review",
        source="review",
        metric="rating",
        score=comment.get("starRating"),
        text=text,
        submission_id=name,
        revision=int(seconds) if _SECONDS.fullmatch(str(seconds)) else None,
        language=word(comment.get("reviewerLanguage")),
        device="mobile",
        touchpoint="review.google_play",
        attributes={"app_version": comment["appVersionName"]} if word(comment.get("appVersionName")) else {},
    )


INTEGRATION = Integration("google_play", "Google Play reviews", mapped)
