"""Signatures over the raw body of a delivery, compared in constant time. Pure: time is an argument."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from pipeline.intake.integrations.contract import Headers, Verify

#: A signed timestamp may be so far off (Standard Webhooks: five minutes); older ones are replays.
TOLERANCE_S = 300.0
#: Signatures in one header that are looked at: a sender that rotates its secret sends two.
_MOST = 8


def hexed(header: str, algorithm: str, prefix: str = "") -> Verify:
    """A header with the HMAC of the body in hexadecimal, behind a prefix such as `sha256=`."""

    def verify(headers: Headers, body: bytes, secrets: Sequence[str], _: float) -> bool:
        return matches(
            headers.get(header, ""), [prefix + mac(secret.encode(), body, algorithm).hex() for secret in secrets]
        )

    return verify


def based(header: str, algorithm: str, prefix: str = "") -> Verify:
    """A header with the HMAC of the body in base64, behind a prefix."""

    def verify(headers: Headers, body: bytes, secrets: Sequence[str], _: float) -> bool:
        return matches(
            headers.get(header, ""), [prefix + b64(mac(secret.encode(), body, algorithm)) for secret in secrets]
        )

    return verify


def standard(headers: Headers, body: bytes, secrets: Sequence[str], now_s: float) -> bool:
    """Standard Webhooks: `v1,<base64 HMAC-SHA256 of id.timestamp.body>`, several with spaces between."""
    name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or not moment.isascii() or not moment.isdigit() or abs(now_s - int(moment[:15])) > TOLERANCE_S:
        return False
    signed = sent(f"{name}.{moment}.") + body
    wanted = [f"v1,{b64(mac(key, signed, 'sha256'))}" for key in map(standard_key, secrets)]
    given = headers.get("webhook-signature", "").split(" ")[:_MOST]
    return sum(matches(signature, wanted) for signature in given) > 0


def standard_key(secret: str) -> bytes:
    """The bytes of a secret `whsec_<base64>`; one of another form is taken as it is."""
    coded = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def matches(given: str, wanted: Sequence[str]) -> bool:
    """Whether a signature is one of those wanted; all are compared, each in constant time."""
    return sum(hmac.compare_digest(sent(given.strip()), one.encode()) for one in wanted) > 0


def sent(header: str) -> bytes:
    """The bytes of a header's value as they came: aiohttp reads what is no UTF-8 as surrogates."""
    return header.encode(errors="surrogateescape")


def mac(key: bytes, body: bytes, algorithm: str) -> bytes:
    """The HMAC of a body."""
    return hmac.new(key, body, getattr(hashlib, algorithm)).digest()


def b64(content: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(content).decode()
