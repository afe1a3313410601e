"""Fingerprints are XXH64, whatever stands beside them in the column."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrival.fingerprints import LONG, fingerprints, joint_fingerprints, text_fingerprints

MASK = 2**64 - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def turn(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK


def round_of(lane: int, word: int) -> int:
    return turn((lane + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0 as its specification writes it, one value at a time."""
    at, h = 0, P5
    if len(data) >= 32:
        lanes = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        while len(data) - at >= 32:
            for lane in range(4):
                lanes[lane] = round_of(lanes[lane], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        h = sum(turn(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            h = ((h ^ round_of(0, lane)) * P1 + P4) & MASK
    h = (h + len(data)) & MASK
    while len(data) - at >= 8:
        h = (turn(h ^ round_of(0, int.from_bytes(data[at : at + 8], "little")), 27) * P1 + P4) & MASK
        at += 8
    if len(data) - at >= 4:
        h = (turn(h ^ int.from_bytes(data[at : at + 4], "little") * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = turn(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def test_the_published_vectors_hold() -> None:
    expected = [0xEF46DB3751D8E999, 0xD24EC4F1A98C6E5B, 0x44BC2CF5AD770999]
    assert fingerprints([b"", b"a", b"abc"]).tolist() == expected


@given(st.lists(st.binary(max_size=120), max_size=12))
def test_each_hash_is_xxh64_of_its_value_alone(values: list[bytes]) -> None:
    assert fingerprints(values).tolist() == [xxh64(value) for value in values]


def test_lengths_around_the_limit_are_hashed_by_one_rule_each() -> None:
    values = [b"x" * LONG, b"y" * (LONG + 1), b"short"]
    long = int.from_bytes(blake2b(values[1], digest_size=8).digest(), "little")
    assert fingerprints(values).tolist() == [xxh64(values[0]), long, xxh64(b"short")]


@given(st.lists(st.text(max_size=30), max_size=8))
def test_a_text_is_hashed_over_its_utf8_bytes(texts: list[str]) -> None:
    assert text_fingerprints(texts).tolist() == fingerprints([text.encode() for text in texts]).tolist()


def test_a_long_text_does_not_disturb_its_neighbours() -> None:
    texts = ["a", "b" * (LONG + 5), "c"]
    assert text_fingerprints(texts).tolist() == fingerprints([text.encode() for text in texts]).tolist()


def test_joint_hashes_depend_on_the_order_of_the_parts() -> None:
    one, two = np.array([1, 2], dtype=np.uint64), np.array([2, 1], dtype=np.uint64)
    forth, back = joint_fingerprints(one, two), joint_fingerprints(two, one)
    assert forth[0] == back[1]
    assert forth[0] != back[0]
    assert forth[0] == xxh64((1).to_bytes(8, "little") + (2).to_bytes(8, "little"))
