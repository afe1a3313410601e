"""Compressed bodies, unpacked up to a limit: a bomb is noticed after the limit, not after the memory. Pure."""

from __future__ import annotations

import sys
import zlib
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError  # comes with clickhouse-connect

#: What a body may be packed with. Deflate is left out: nobody agrees on what it is.
ENCODINGS = ("gzip", "zstd")
#: Frames (members of gzip) of one body: each costs a copy of what is behind it, and an empty one is nine bytes long.
#: Packers that work on blocks of 64 KiB (bgzip) make 18 of the largest body.
MOST_FRAMES = 32
#: Window of zlib that reads gzip's frame and nothing else.
_GZIP_ONLY = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body unpacks to more than the limit."""


class Broken(Exception):
    """The body is not what its Content-Encoding says, cut off, or of too many frames."""


class _Unpacker(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The bytes behind one of ENCODINGS; TooLarge beyond `most`, Broken when they cannot be read.

    Up to MOST_FRAMES frames may follow each other.
    """
    parts: list[bytes] = []
    left = most
    while body:
        if len(parts) == MOST_FRAMES:
            raise Broken(encoding)
        try:
            reader: _Unpacker
            if encoding == "gzip":
                packed = zlib.decompressobj(_GZIP_ONLY)
                part, reader = packed.decompress(body, left + 1), packed
            else:
                frame = ZstdDecompressor()
                part, reader = frame.decompress(body, left + 1), frame
        except (zlib.error, ZstdError) as error:
            raise Broken(encoding) from error
        left -= len(part)
        if left < 0:
            raise TooLarge(encoding)
        parts.append(part)
        if not reader.eof:
            raise Broken(encoding)
        body = reader.unused_data
    return b"".join(parts)
