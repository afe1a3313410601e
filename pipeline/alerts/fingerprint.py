"""The name of a thing by its labels: 64-bit FNV-1a as in prometheus/common, found by others too (pure)."""

from __future__ import annotations

from collections.abc import Mapping

#: FNV-1a's own numbers for 64 bits (draft-eastlake-fnv).
_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_MASK = (1 << 64) - 1
#: Stands after each name and each value: no UTF-8 text holds this byte, so "a"+"bc" is not "ab"+"c".
_END = b"\xff"


def fnv1a(data: bytes) -> int:
    """64-bit FNV-1a of bytes."""
    value = _OFFSET
    for byte in data:
        value = (value ^ byte) * _PRIME & _MASK
    return value


def fingerprint(labels: Mapping[str, str]) -> int:
    """The fingerprint of labels, whatever their order."""
    return fnv1a(b"".join(name.encode() + _END + labels[name].encode() + _END for name in sorted(labels)))


def named(labels: Mapping[str, str]) -> str:
    """The fingerprint as 16 hex digits: how alerts are called in rows, messages and commands."""
    return f"{fingerprint(labels):016x}"
