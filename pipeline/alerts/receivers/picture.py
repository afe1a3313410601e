"""A small picture of the score while an alert was open, as PNG: the line, its interval, the usual level (pure)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts.entries import Point

#: Small enough for a phone, twice as many pixels as it is shown with.
WIDTH, HEIGHT = 480, 120
_MARGIN = 8
#: Colours: paper, interval, usual level, score. Told apart also without colour: light, dashed, dark.
_PAPER, _BAND, _USUAL, _LINE = (255, 255, 255), (214, 226, 240), (110, 110, 110), (176, 32, 32)
_DASH = 6

Pixels = NDArray[np.uint8]


def picture(trace: Sequence[Point], baseline: float | None) -> bytes:
    """The PNG, empty when there are fewer than two readings to draw."""
    if len(trace) < 2:
        return b""
    pixels = np.full((HEIGHT, WIDTH, 3), _PAPER, np.uint8)
    ends = np.array([point.end for point in trace], float)
    columns = np.arange(_MARGIN, WIDTH - _MARGIN)
    at = ends[0] + (ends[-1] - ends[0]) * (columns - _MARGIN) / (columns[-1] - _MARGIN)
    low, score, high = (
        np.interp(at, ends, [getattr(point, name) for point in trace]) for name in ("low", "value", "high")
    )
    levels = [*low, *high, *([baseline] if baseline is not None else [])]
    bottom, top = min(levels), max(levels)
    span = (top - bottom) or 1.0

    def row(values: NDArray[np.float64] | float) -> NDArray[np.int64]:
        share = (np.asarray(values, float) - bottom) / span
        return np.asarray(np.rint(HEIGHT - 1 - _MARGIN - share * (HEIGHT - 1 - 2 * _MARGIN)), np.int64)

    rows = np.arange(HEIGHT)[:, None]
    band = (rows >= row(high)[None, :]) & (rows <= row(low)[None, :])
    area = pixels[:, _MARGIN : WIDTH - _MARGIN]
    area[band] = _BAND
    if baseline is not None:
        dashes = (columns // _DASH) % 2 == 0
        area[int(row(baseline)), dashes] = _USUAL
    line = row(score)
    before = np.concatenate([line[:1], line[:-1]])
    stroke = (rows >= np.minimum(line, before)[None, :] - 1) & (rows <= np.maximum(line, before)[None, :] + 1)
    area[stroke] = _LINE
    return png(pixels)


def png(pixels: Pixels) -> bytes:
    """Rows of RGB pixels as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 3)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
