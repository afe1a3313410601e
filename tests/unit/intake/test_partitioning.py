"""The partition of a key is the one that every other Kafka client computes."""

from __future__ import annotations

import random

from aiokafka.partitioner import murmur2

from pipeline.intake.partitioning import partitions_of


def test_many_keys_at_once_go_where_aiokafka_sends_them_one_by_one() -> None:
    draw = random.Random(3)
    keys = [draw.randbytes(draw.randrange(1, 40)) for _ in range(2_000)]
    assert partitions_of(keys, 12).tolist() == [(murmur2(key) & 0x7FFFFFFF) % 12 for key in keys]


def test_keys_of_the_java_client_keep_their_hash() -> None:
    # Known values of org.apache.kafka.common.utils.UtilsTest.testMurmur2, each modulo a large prime.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, expected in known.items():
        assert partitions_of([key], 999_983).tolist() == [(expected & 0x7FFFFFFF) % 999_983]


def test_no_keys_have_no_partitions() -> None:
    assert partitions_of([], 12).tolist() == []
