"""Who may look, and what a browser is told about safety: sessions, tickets, hosts, headers. Pure.

A session is the reader's own key in a cookie that only this server can open (AES-GCM under a key made from the seal
key), so it needs no table, outlives a restart, and ends when the key is revoked. A ticket is the same for one minute,
in a link.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COOKIE: Final = "touchline_reader"
#: A working day; then the key is asked for again.
SESSION_S: Final = 12 * 3600
#: Long enough to click a link that was just printed.
TICKET_S: Final = 60
#: In place of a key: who can make a ticket has the deployment's secrets and may see everything.
OPERATOR: Final = "operator"
_NONCE: Final = 12

#: On every answer. Styles come from our own files only; scripts set them on elements, which the policy allows.
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: Pages that need a session, with what was chosen on them.
_PAGE: Final = re.compile(r"/(?:customer|alerts/[A-Za-z0-9_-]{1,80})?(?:\?[!-\[\]-~]{0,800})?", re.ASCII)
_OWN: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Seals:
    """Makes and opens what is handed to browsers; `secret` is the deployment's seal key."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hashlib.blake2b(secret, digest_size=32, person=b"touchline page").digest())

    def session(self, token: str, now: int) -> str:
        """The value of a cookie."""
        return self._closed(token, now + SESSION_S, b"session")

    def ticket(self, now: int) -> str:
        """The ticket in a link of `touchline page --open`."""
        return self._closed(OPERATOR, now + TICKET_S, b"ticket")

    def reader(self, cookie: str, now: int) -> str | None:
        """The token in a session, None when it is none or too old."""
        return self._opened(cookie, now, b"session")

    def redeemed(self, ticket: str, now: int) -> str | None:
        """The token in a ticket, None when it is none or too old."""
        return self._opened(ticket, now, b"ticket")

    def _closed(self, token: str, until: int, use: bytes) -> str:
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, f"{until}|{token}".encode(), use)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def _opened(self, text: str, now: int, use: bytes) -> str | None:
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            until, _, token = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], use).decode().partition("|")
        except (binascii.Error, ValueError, InvalidTag):
            return None
        return token if now < int(until) else None


def hosts(names: str) -> frozenset[str]:
    """The host names in a setting: this machine's own ones, and those between commas."""
    return _OWN | {name.strip().lower() for name in names.split(",") if name.strip()}


def is_ours(host: str, allowed: frozenset[str]) -> bool:
    """Whether a Host header names us: a page of somebody else whose name leads here must read nothing (rebinding)."""
    try:
        return (urlsplit(f"//{host}").hostname or "") in allowed
    except ValueError:
        return False


def asked_for(address: str) -> str:
    """Where a login leads: the page of ours that was asked for, the live page for anything else (open redirects)."""
    return address if _PAGE.fullmatch(address) else "/"


def form_at(to: str, **said: str) -> str:
    """The address of the login form that leads on to `to`."""
    said = said | ({"to": to} if to != "/" else {})
    return "/login" + (f"?{urlencode(said)}" if said else "")
