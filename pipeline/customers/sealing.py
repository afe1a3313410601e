"""Sealing of rejected bytes: AES-GCM under the deployment's key, bound to the offset they came from.

A sealed value is 12 random bytes of nonce, then the ciphertext with its tag. The context (topic, epoch, partition,
offset) and the key's id are authenticated, so sealed bytes moved to another row do not open. The nonce is random: a
batch that was sent is immutable, so a retry sends the same bytes, and one key may seal 2**32 values before chance
counts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.customers.pseudonyms import check_key
from pipeline.errors import DifferenceFound

#: AES-256.
KEY_BYTES = (32,)
#: The size that GCM is defined for; others are hashed down.
NONCE_BYTES = 12
#: GCM's tag, always at full length.
TAG_BYTES = 16


class Sealer:
    """Seals with one key. `key_id` is 1-255, `key` 32 secret bytes; else SettingsError."""

    __slots__ = ("_aes", "key_id")

    def __init__(self, key_id: int, key: bytes) -> None:
        check_key(key_id, key, KEY_BYTES, "the sealing key")
        self.key_id = key_id
        self._aes = AESGCM(key)

    def __repr__(self) -> str:
        return f"Sealer(key_id={self.key_id})"

    def seal(self, raw: Sequence[bytes | None], contexts: Sequence[bytes]) -> pl.Series:
        """Column `sealed` (Binary): each row's bytes under its context; None stays null."""
        return pl.Series("sealed", [self._sealed(*pair) for pair in zip(raw, contexts, strict=True)], dtype=pl.Binary)

    def open(self, sealed: bytes, context: bytes, key_id: int | None = None) -> bytes:
        """The original bytes. DifferenceFound when key or context is another one or the bytes were altered.

        `key_id` is the one that stands beside the bytes: under it they were sealed, whatever the key is called today.
        """
        named = self.key_id if key_id is None else key_id
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise DifferenceFound(f"{len(sealed)} bytes are too few to be a sealed value of {context.decode()}")
        try:
            return self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(named, context))
        except InvalidTag:
            raise DifferenceFound(
                f"the sealed bytes of {context.decode()} do not open as those of key {named}: another key sealed them,"
                " they belong to another offset, or they were altered"
            ) from None

    def _sealed(self, raw: bytes | None, context: bytes) -> bytes | None:
        if raw is None:
            return None
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, raw, _bound(self.key_id, context))


def _bound(key_id: int, context: bytes) -> bytes:
    return b"touchline sealed v1/%d/" % key_id + context


def context(topic: str, epoch: int, part: int, off: int) -> bytes:
    """Where rejected bytes came from, as associated data."""
    return f"{topic}/{epoch}/{part}/{off}".encode()
