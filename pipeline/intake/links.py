"""Links that carry a question, for e-mail: who is asked what stands in them, sealed. Pure but for the random nonce.

    https://host/a/<token>?score=9

The token is AES-GCM under a key derived from the deployment's sealing key: no gateway has to remember it, nobody can
read whom it is for, or make one. A customer may answer again: each answer is a later revision of the same submission.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.errors import UsageError
from schemas.feedback import SCALES, Feedback, Reference
from schemas.touchpoint import Name, OptionalName
from schemas.vocabulary import Channel, Metric, Source

_PURPOSE = b"touchline answer links v1"
_NONCE_BYTES = 12
#: Longest token that is looked at: a question has a few hundred signs.
_LONGEST = 2_000
#: What is asked when the link names no words of its own.
QUESTIONS: dict[Metric, str] = {
    Metric.NPS: "How likely are you to recommend us?",
    Metric.CSAT: "How satisfied were you?",
    Metric.CES: "How easy was it for you?",
    Metric.RATING: "How would you rate it?",
}


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to one customer; `ends_ms` is when the link does."""

    submission_id: Name
    metric: Metric
    scale_min: int
    scale_max: int
    ends_ms: int
    customer_id: OptionalName = None
    channel: Channel = Channel.EMAIL
    touchpoint: OptionalName = None
    brand: Name = "default"
    unit: OptionalName = None
    campaign: OptionalName = None
    survey: OptionalName = None
    question: OptionalName = None

    @property
    def words(self) -> str:
        """The question as the customer reads it."""
        return self.question or QUESTIONS[self.metric]


_read = msgspec.json.Decoder(Asked).decode
_write = msgspec.json.Encoder().encode


class Links:
    """Makes and opens tokens under the deployment's sealing key."""

    def __init__(self, seal_key: bytes) -> None:
        self._aes = AESGCM(hmac.digest(seal_key, _PURPOSE, "sha256"))

    def token(self, asked: Asked) -> str:
        """The token of a question."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._aes.encrypt(nonce, _write(asked), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def opened(self, token: str, now_ms: int) -> Asked | None:
        """The question in a token; None when it is none of ours, was altered, or has ended."""
        if len(token) > _LONGEST:
            return None
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            asked = _read(self._aes.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _PURPOSE))
        except (InvalidTag, binascii.Error, ValueError, msgspec.MsgspecError):
            return None
        return asked if now_ms < asked.ends_ms else None


def scale_of(metric: Metric, low: int | None, high: int | None) -> tuple[int, int]:
    """The scale of a question: the metric's first one, or the one named. UsageError when it has no such scale."""
    scales = SCALES[metric]
    if not scales:
        raise UsageError(f"{metric.value} has no score to click on")
    if low is None and high is None:
        return scales[0]
    if (low, high) not in scales:
        known = ", ".join(f"{lowest} to {highest}" for lowest, highest in scales)
        raise UsageError(f"scales of {metric.value}: {known}")
    assert low is not None
    assert high is not None
    return low, high


def answer_of(asked: Asked, score: int, text: str, now_ms: int) -> Feedback:
    """The answer as an event of its own, and a revision of what was answered before: the time counts it up."""
    name = hashlib.blake2b(f"{asked.submission_id}\0{now_ms}\0{score}\0{text}".encode(), digest_size=16).hexdigest()
    return Feedback(
        event_id=f"a-{name}",
        occurred_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        channel=asked.channel,
        metric=asked.metric,
        score=score,
        scale_min=asked.scale_min,
        scale_max=asked.scale_max,
        text=text or None,
        source=Source.SURVEY,
        submission_id=asked.submission_id,
        revision=now_ms,
        customer_id=asked.customer_id,
        touchpoint=asked.touchpoint,
        brand=asked.brand,
        unit=asked.unit,
        campaign=asked.campaign,
        ref=Reference(survey=asked.survey) if asked.survey else None,
    )
