"""64-bit fingerprints of many byte strings at once: XXH64, computed over columns.

They stand in the ledger for years, so they must be the same in every process and version: XXH64 is fixed, has published
test vectors, and ClickHouse's `xxHash64` gives the same number. A byte string longer than `LONG` gets the first 8 bytes
of its BLAKE2b instead. Nothing rests on secrecy: who can name an event id can send it, with or without a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NO_HASHES: Hashes = np.zeros(0, dtype=np.uint64)
NO_INTS: Ints = np.zeros(0, dtype=np.int64)

#: Longer values would make a loop of thousands of column steps for one row; BLAKE2b takes 0.5 ms for 256 KiB.
LONG = 1024

#: XXH64's five primes and the start of its four lanes for seed 0.
_P1, _P2, _P3 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_P4, _P5 = np.uint64(0x85EBCA77C2B2AE63), np.uint64(0x27D4EB2F165667C5)
_START = np.array([0x60EA27EEADC0B5D6, 0xC2B2AE3D27D4EB4F, 0, 0x61C8864E7A143579], dtype=np.uint64)
_STRIPE = 32
_PAD = bytes(8)
_LANES = np.arange(0, _STRIPE, 8, dtype=np.int64)


def fingerprints(values: Sequence[bytes]) -> Hashes:
    """One hash per byte string, in the order given."""
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    found = _xxh64(b"".join([*values, _PAD]), lengths)
    for row in np.flatnonzero(lengths > LONG).tolist():
        found[row] = int.from_bytes(blake2b(values[row], digest_size=8).digest(), "little")
    return found


def text_fingerprints(texts: Sequence[str]) -> Hashes:
    """One hash per text, over its UTF-8 bytes."""
    joined = "".join(texts)
    if not joined.isascii():
        return fingerprints([text.encode() for text in texts])
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    if lengths.max(initial=0) > LONG:
        return fingerprints([text.encode() for text in texts])
    return _xxh64(joined.encode() + _PAD, lengths)


def joint_fingerprints(*parts: Hashes) -> Hashes:
    """One hash per row over several hashes of that row: their bytes, little end first, one after the other."""
    rows = np.stack(parts, axis=1).astype("<u8", copy=False)
    return _xxh64(rows.tobytes() + _PAD, np.full(len(rows), rows.shape[1] * 8, dtype=np.int64))


def _xxh64(joined: bytes, lengths: Ints) -> Hashes:
    """XXH64 with seed 0 of each of the strings that lie one after the other in `joined`; of "" for those over `LONG`.

    `joined` ends with `_PAD`, so that eight bytes can be read from every position.
    """
    data = np.frombuffer(joined, dtype=np.uint8)
    words = np.ndarray(shape=(len(joined) - 7,), dtype="<u8", buffer=data, strides=(1,))
    starts = np.cumsum(lengths) - lengths
    lengths = np.where(lengths > LONG, 0, lengths)
    h = _stripes(words, starts, lengths)
    h += lengths.astype(np.uint64)
    at = starts + (lengths & ~np.int64(_STRIPE - 1))
    ends = starts + lengths
    while (rows := np.flatnonzero(ends - at >= 8)).size:
        h[rows] = _turn(h[rows] ^ (_turn(words[at[rows]] * _P2, 31) * _P1), 27) * _P1 + _P4
        at[rows] += 8
    if (rows := np.flatnonzero(ends - at >= 4)).size:
        half = words[at[rows]] & np.uint64(0xFFFFFFFF)
        h[rows] = _turn(h[rows] ^ (half * _P1), 23) * _P2 + _P3
        at[rows] += 4
    while (rows := np.flatnonzero(ends > at)).size:
        h[rows] = _turn(h[rows] ^ (data[at[rows]] * _P5), 11) * _P1
        at[rows] += 1
    return _avalanche(h)


def _stripes(words: Hashes, starts: Ints, lengths: Ints) -> Hashes:
    """The part of XXH64 over whole stripes of 32 bytes; longest rows first, so that the active ones are a prefix."""
    h = np.full(len(lengths), _P5, dtype=np.uint64)
    counts = lengths // _STRIPE
    order = np.argsort(-counts, kind="stable")
    counts = counts[order]
    if not len(counts) or not counts[0]:
        return h
    order = order[: np.searchsorted(-counts, 0)]
    at = starts[order][:, None] + _LANES
    lanes = np.tile(_START, (len(order), 1))
    for stripe in range(int(counts[0])):
        active = int(np.searchsorted(-counts, -stripe))
        now = lanes[:active]
        now += words[at[:active]] * _P2
        now[:] = _turn(now, 31)
        now *= _P1
        at[:active] += _STRIPE
    sums = _turn(lanes[:, 0], 1) + _turn(lanes[:, 1], 7) + _turn(lanes[:, 2], 12) + _turn(lanes[:, 3], 18)
    lanes = _turn(lanes * _P2, 31) * _P1
    for lane in range(4):
        sums = (sums ^ lanes[:, lane]) * _P1 + _P4
    h[order] = sums
    return h


def _turn(words: Hashes, bits: int) -> Hashes:
    """Each word rotated left."""
    turned = words << np.uint64(bits)
    turned |= words >> np.uint64(64 - bits)
    return turned


def _avalanche(h: Hashes) -> Hashes:
    """XXH64's last mixing."""
    h ^= h >> np.uint64(33)
    h *= _P2
    h ^= h >> np.uint64(29)
    h *= _P3
    h ^= h >> np.uint64(32)
    return h
