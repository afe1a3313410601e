"""Feedback: what a customer said: a survey answer, a review, a post, a call, a chat, a mail, a text."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.touchpoint import Attributes, Moment, Name, OptionalName, Version
from schemas.vocabulary import Channel, Metric, Source

#: An answer or a bound of a scale. JSON integers only: 7.5 and "9" are rejected, never coerced.
Step = Annotated[int, msgspec.Meta(ge=-100, le=100)]


class Reference(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What the feedback is about, in other systems' words."""

    ticket: OptionalName = None
    order: OptionalName = None
    survey: OptionalName = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One answer to one question, with or without a text.

    An answer that is edited comes again with the same (`brand`, `source`, `submission_id`, `question_id`), a higher
    `revision` and an `event_id` of its own; it replaces the former. Without `submission_id` an answer stands alone.
    Of a `text` the first 10,000 characters are kept; `truncated` says that there was more.
    `reach` is how many people a public post may have reached (followers, views): a burst of bad ones weighs by it.
    """

    event_id: Name
    occurred_at: Moment
    channel: Channel
    metric: Metric
    touchpoint: OptionalName = None
    source: Source = Source.SURVEY
    submission_id: OptionalName = None
    question_id: Name = "q1"
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    customer_id: OptionalName = None
    score: Step | None = None
    scale_min: Step | None = None
    scale_max: Step | None = None
    text: str | None = None
    truncated: bool = False
    language: OptionalName = None
    brand: Name = "default"
    unit: OptionalName = None
    product: OptionalName = None
    agent_id: OptionalName = None
    device: OptionalName = None
    campaign: OptionalName = None
    stage: OptionalName = None
    ref: Reference | None = None
    reach: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    version: Version = 1
    attributes: Attributes = {}


#: Scales an answer may have by metric: (lowest, highest), first is the default when the event names none.
#: CES 1.0 (1-5, lower is better) and 2.0 (1-7, higher is better) are told apart by their scale alone.
#: The rules (codec.check for one answer, pipeline/arrival for columns): both bounds or none, else `bad_scale`; every
#: metric needs a score within its scale; `sentiment_only` needs a text and may have neither score nor bounds
#: (`bad_scale`).
SCALES: dict[Metric, tuple[tuple[int, int], ...]] = {
    Metric.NPS: ((0, 10),),
    Metric.CSAT: ((1, 5), (1, 7), (1, 10), (0, 1)),
    Metric.CES: ((1, 7), (1, 5)),
    Metric.RATING: ((1, 5), (0, 10), (1, 10), (0, 5), (1, 3), (1, 4), (1, 6), (1, 7)),
    Metric.SENTIMENT_ONLY: (),
}
