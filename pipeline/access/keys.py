"""Keys: what one may do, how its token is made, kept and compared. Pure but for the random source.

A token is `tl_<key id>_<secret>`: 12 signs that name the key and 43 of 62 (256 bits) that prove it; no sign of it needs
quoting in a URL, a header or a shell. Only the SHA-256 of the whole token is kept. While a key is rotated two tokens of
it live: the new one, and the old one until its own end. The key id stays the same, so whatever is named by it (a
producer's idempotency keys) goes on over a rotation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from pipeline.errors import UsageError
from schemas.vocabulary import Channel

_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: 62^43 is a little more than 2^256: as many secrets as SHA-256 has digests.
_SECRET_SIGNS = 43
#: 36^12: no two keys of a deployment meet by chance.
_ID_SIGNS = 12
_TOKEN = re.compile(rf"tl_([0-9a-z]{{{_ID_SIGNS}}})_[0-9A-Za-z]{{{_SECRET_SIGNS}}}")
#: A name is a metric's label and the producer's name: short, without quoting.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
#: No digest: compared with where there is no key, so that a wrong id takes as long as a wrong secret.
NO_DIGEST = bytes(32)
#: The answer to every request without a valid key, whatever is wrong with it: who guesses learns nothing.
UNAUTHORIZED = {"error": "unauthorized", "detail": "a valid key is needed: Authorization: Bearer KEY"}


class Right(StrEnum):
    """What a key lets do; `admin` includes the others and is what every private view asks for.

    `contact` is not a part of `write`: who sends events, from a web page even, does not decide for customers.
    """

    WRITE = "write"
    READ = "read"
    CONTACT = "contact"
    ADMIN = "admin"


class Grant(NamedTuple):
    """What the bearer of a valid token may do. An empty set of a dimension means all of it."""

    key_id: str
    name: str
    rights: frozenset[Right]
    channels: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()

    def may(self, right: Right) -> bool:
        """Whether the key has this right."""
        return right in self.rights or Right.ADMIN in self.rights

    @property
    def unbounded(self) -> bool:
        """Whether every channel, brand and unit is within its scope."""
        return not (self.channels or self.brands or self.units)

    def outside(self, channel: str, brand: str, unit: str | None) -> str | None:
        """The first dimension of an event or a row that lies outside of the scope; None when all is within."""
        if self.channels and channel not in self.channels:
            return "channel"
        if self.brands and brand not in self.brands:
            return "brand"
        if self.units and unit not in self.units:
            return "unit"
        return None


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept. Times in ms since 1970; 0 means never. `old_digest` is the token before a rotation."""

    grant: Grant
    digest: bytes
    created_ms: int
    expires_ms: int = 0
    revoked_ms: int = 0
    old_digest: bytes = NO_DIGEST
    old_expires_ms: int = 0

    def admits(self, digest: bytes, now_ms: int) -> bool:
        """Whether a token with this digest is valid now. Both comparisons are always made, in constant time."""
        new = hmac.compare_digest(digest, self.digest)
        old = hmac.compare_digest(digest, self.old_digest) & self.old_lives(now_ms)
        return (new or old) and self.lives(now_ms)

    def lives(self, now_ms: int) -> bool:
        """Whether the key is neither revoked nor expired."""
        return not self.revoked_ms and not 0 < self.expires_ms <= now_ms

    def old_lives(self, now_ms: int) -> bool:
        """Whether the token before the last rotation is still valid."""
        return self.old_digest != NO_DIGEST and now_ms < self.old_expires_ms

    def state(self, now_ms: int) -> str:
        """`live`, `rotating` (two tokens), `expired` or `revoked`."""
        if self.revoked_ms:
            return "revoked"
        if not self.lives(now_ms):
            return "expired"
        return "rotating" if self.old_lives(now_ms) else "live"


def make(grant: Grant, now_ms: int, expires_ms: int) -> tuple[Key, str]:
    """A new key of this grant (its `key_id` is chosen here) and its token, which is nowhere kept."""
    checked(grant)
    key_id = "".join(secrets.choice(_SIGNS[:10] + _SIGNS[36:]) for _ in range(_ID_SIGNS))
    token = _token(key_id)
    return Key(grant._replace(key_id=key_id), digest_of(token), now_ms, expires_ms), token


def rotated(key: Key, now_ms: int, keep_ms: int, expires_ms: int) -> tuple[Key, str]:
    """The key with a new token; the present one lives on for `keep_ms`. UsageError when it may not be rotated."""
    if not key.lives(now_ms):
        raise UsageError(f"key {key.grant.key_id} is {key.state(now_ms)}: create another one")
    if key.old_lives(now_ms):
        raise UsageError(
            f"key {key.grant.key_id} is being rotated: two tokens of it live already; "
            f"`touchline keys revoke {key.grant.key_id} --old` ends the older one"
        )
    token = _token(key.grant.key_id)
    new = replace(
        key,
        digest=digest_of(token),
        expires_ms=expires_ms,
        old_digest=key.digest if keep_ms else NO_DIGEST,
        old_expires_ms=now_ms + keep_ms if keep_ms else 0,
    )
    return new, token


def checked(grant: Grant) -> None:
    """Raises UsageError when the grant makes no sense."""
    if not _NAME.fullmatch(grant.name):
        raise UsageError(f"{grant.name!r} is no name of a key: small letters, digits, dots and dashes, at most 63")
    if not grant.rights:
        raise UsageError("a key without a right is good for nothing: --right write, read, contact or admin")
    unknown = grant.channels - set(Channel)
    if unknown:
        raise UsageError(f"no channel {', '.join(sorted(unknown))}; one of {', '.join(Channel)}")


def digest_of(token: str) -> bytes:
    """What is kept of a token. Bytes that are no UTF-8 come out of a header as surrogates: no key has them."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def id_of(token: str) -> str | None:
    """The key id in a token; None when it has not the form of one."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found else None


def presented(authorization: str) -> str:
    """The token in an Authorization header: `Bearer <token>`, or Basic with the token as user; else empty."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


def _token(key_id: str) -> str:
    return f"tl_{key_id}_" + "".join(secrets.choice(_SIGNS) for _ in range(_SECRET_SIGNS))
