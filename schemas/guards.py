"""Limits that hold before a value is parsed: bytes, nesting, keys (security requirement S4).

The counts here never look into the meaning of a value. `may_exceed` is the cheap proof for most values;
`measure` is exact and linear, also for hostile input (256 KiB in about 2 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from schemas.limits import MAX_DEPTH, MAX_KEYS, MAX_VALUE_BYTES

#: A value of at most so many bytes cannot have more than MAX_KEYS keys: the shortest is `"":1,`, five bytes.
FEW_KEYS_BYTES = 5 * MAX_KEYS

_QUOTE, _COLON, _OPEN = ord('"'), ord(":"), ord("{")
#: What each byte does to the depth of nesting: +1 for an opening bracket, -1 for a closing one.
_STEP = np.zeros(256, dtype=np.int32)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1


class Measure(NamedTuple):
    """Nesting and keys (all levels) of one JSON value; what stands inside of strings does not count."""

    depth: int
    keys: int


def may_exceed(value: bytes) -> bool:
    """Whether the value needs an exact look; False is a proof that it keeps all limits."""
    size = len(value)
    return (
        size > MAX_VALUE_BYTES
        or value.count(b"{") + value.count(b"[") > MAX_DEPTH
        or (size > FEW_KEYS_BYTES and value.count(b":") > MAX_KEYS)
    )


def all_within(values: Sequence[bytes]) -> bool:
    """Whether all values surely keep all limits, without a loop in Python (0.06 us a value, 0.2 where they nest)."""
    if len(values) == 1:
        return not may_exceed(values[0])
    longest = max(map(len, values), default=0)
    if longest > MAX_VALUE_BYTES:
        return False
    joined = b"".join(values)
    opened = _most_opened(values, joined)
    if b"[" in joined:  # our own records have no arrays, so one look over all is nearly always enough
        opened += _most(values, b"[")
    return opened <= MAX_DEPTH and (longest <= FEW_KEYS_BYTES or _most(values, b":") <= MAX_KEYS)


def _most_opened(values: Sequence[bytes], joined: bytes) -> int:
    """Objects that one value opens, at most. Where each begins with one, what all have beyond that is all that any has
    beyond it."""
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    if lengths.all():
        codes = np.frombuffer(joined, dtype=np.uint8)
        beyond = int(np.count_nonzero(codes == _OPEN)) - len(values)
        if beyond < MAX_DEPTH and (codes[np.cumsum(lengths) - lengths] == _OPEN).all():
            return beyond + 1
    return _most(values, b"{")


def _most(values: Sequence[bytes], mark: bytes) -> int:
    return max(map(bytes.count, values, repeat(mark)), default=0)


def measure(value: bytes) -> Measure:
    """Depth and keys of one value, exactly; for malformed JSON an upper bound of what a parser would meet."""
    # Backslashes occur in strings only: without the escaped ones and the escaped quotes, each quote opens or closes.
    plain = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    codes = np.frombuffer(plain, dtype=np.uint8)
    if codes.size == 0:
        return Measure(0, 0)
    outside = (np.cumsum(codes == _QUOTE, dtype=np.int32) & 1) == 0
    depth = int(np.cumsum(_STEP[codes] * outside, dtype=np.int32).max())
    keys = int(np.count_nonzero((codes == _COLON) & outside))
    return Measure(max(depth, 0), keys)
