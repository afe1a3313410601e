"""Which partition a key goes to: Kafka's murmur2, for many keys at once. Pure.

The same as the Java client and aiokafka do one key at a time, so every producer agrees on a customer's partition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)


def partitions_of(keys: Sequence[bytes], partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each key, as an array; `partitions` is their number."""
    lengths = list(map(len, keys))
    kinds = set(lengths)
    if len(kinds) == 1:  # as customers' ids and pseudonyms mostly are
        hashes = _murmur2(np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), lengths[0]))
    else:
        hashes = np.zeros(len(keys), dtype=np.uint32)
        of = np.array(lengths, dtype=np.int64)
        for length in kinds:
            rows = np.flatnonzero(of == length)
            joined = b"".join([keys[row] for row in rows.tolist()])
            hashes[rows] = _murmur2(np.frombuffer(joined, dtype=np.uint8).reshape(len(rows), length))
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def _murmur2(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """The hash of each row; rows are keys of equal length. 32-bit arithmetic wraps around, as it must."""
    rows, length = data.shape
    hashes = np.full(rows, np.uint32(_SEED ^ length), dtype=np.uint32)
    whole = length // 4
    words = np.ascontiguousarray(data[:, : whole * 4]).view("<u4").reshape(rows, whole)
    for column in range(whole):
        word = words[:, column] * _M
        word ^= word >> np.uint32(24)
        hashes = (hashes * _M) ^ (word * _M)
    rest = data[:, whole * 4 :].astype(np.uint32)
    for place in range(rest.shape[1]):
        hashes ^= rest[:, place] << np.uint32(8 * place)
    if rest.shape[1]:
        hashes *= _M
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    return hashes ^ (hashes >> np.uint32(15))
