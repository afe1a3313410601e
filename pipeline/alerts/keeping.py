"""State as text and back: numpy arrays and plain values, compressed, the same to the last bit (pure)."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import orjson

#: What stands for an array in JSON.
_ARRAY = "array"


def pack(state: Any) -> str:
    """Nested dicts and lists of plain values and arrays as one text."""
    return base64.b64encode(zlib.compress(orjson.dumps(state, default=_plain), 6)).decode()


def unpack(text: str) -> Any:
    """What `pack` was given."""
    return _restored(orjson.loads(zlib.decompress(base64.b64decode(text))))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raw = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {_ARRAY: raw, "type": value.dtype.str, "shape": list(value.shape)}
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            flat = np.frombuffer(base64.b64decode(value[_ARRAY]), dtype=np.dtype(value["type"]))
            return flat.reshape(value["shape"]).copy()
        return {name: _restored(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_restored(inner) for inner in value]
    return value
