"""64-bit fingerprints of many byte strings at once: XXH64.

They stand in the ledger for years, so they must be the same in every process and version: XXH64 is fixed, has published
test vectors, and ClickHouse's `xxHash64` gives the same number. A byte string longer than `LONG` gets the first 8 bytes
of its BLAKE2b instead. Nothing rests on secrecy: who can name an event id can send it, with or without a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from xxhash import xxh64_intdigest

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NO_HASHES: Hashes = np.zeros(0, dtype=np.uint64)
NO_INTS: Ints = np.zeros(0, dtype=np.int64)

#: Longer values have BLAKE2b: it was so when the first of them came to a ledger, so it stays.
LONG = 1024


def fingerprints(values: Sequence[bytes]) -> Hashes:
    """One hash per byte string, in the order given."""
    found: Hashes = np.fromiter(map(xxh64_intdigest, values), dtype=np.uint64, count=len(values))
    if max(map(len, values), default=0) > LONG:
        for row, value in enumerate(values):
            if len(value) > LONG:
                found[row] = int.from_bytes(blake2b(value, digest_size=8).digest(), "little")
    return found


def text_fingerprints(texts: Sequence[str]) -> Hashes:
    """One hash per text, over its UTF-8 bytes."""
    return fingerprints(list(map(str.encode, texts)))


def joint_fingerprints(*parts: Hashes) -> Hashes:
    """One hash per row over several hashes of that row: their bytes, little end first, one after the other."""
    rows = np.stack(parts, axis=1).astype("<u8", copy=False)
    joined, size = rows.tobytes(), rows.shape[1] * 8
    return fingerprints([joined[at : at + size] for at in range(0, len(joined), size)])
