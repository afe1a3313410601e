"""Packed bodies: read as they are meant, and a bomb goes off after the limit, not after the memory."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from backports import zstd

from pipeline.intake.unpacking import MOST_FRAMES, Broken, TooLarge, unpacked

TEXT = b'{"event_id":"1"}' * 100
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", sorted(PACK))
def test_what_was_packed_comes_out_whole_frame_after_frame(encoding: str) -> None:
    packed = PACK[encoding](TEXT)
    assert unpacked(packed, encoding, len(TEXT)) == TEXT
    assert unpacked(packed * 3, encoding, 3 * len(TEXT)) == TEXT * 3
    assert unpacked(b"", encoding, 0) == b""
    for most in (0, 1, len(TEXT) - 1):
        with pytest.raises(TooLarge):
            unpacked(packed, encoding, most)


@pytest.mark.parametrize("encoding", sorted(PACK))
def test_a_body_that_is_cut_off_or_something_else_is_broken(encoding: str) -> None:
    packed = PACK[encoding](TEXT)
    for bad in (packed[:-3], packed[: len(packed) // 2], b"no frame at all", packed + b"rest", zlib.compress(TEXT)):
        with pytest.raises(Broken):
            unpacked(bad, encoding, 10 * len(TEXT))


@pytest.mark.parametrize("encoding", sorted(PACK))
def test_a_bomb_of_a_gibibyte_costs_no_more_memory_than_the_limit(encoding: str) -> None:
    bomb = PACK[encoding](bytes(1 << 20)) * 1024
    assert len(bomb) < 2 << 20
    tracemalloc.start()
    with pytest.raises(TooLarge):
        unpacked(bomb, encoding, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("encoding", sorted(PACK))
def test_a_body_of_many_frames_is_broken_however_little_is_in_them(encoding: str) -> None:
    """A megabyte of empty frames held the gateway for three seconds: each of them costs a copy of the rest."""
    empty = PACK[encoding](b"")
    assert unpacked(empty * (MOST_FRAMES - 1) + PACK[encoding](TEXT), encoding, len(TEXT)) == TEXT
    for count in (MOST_FRAMES + 1, (1 << 20) // len(empty)):
        with pytest.raises(Broken):
            unpacked(empty * count, encoding, 1 << 20)
