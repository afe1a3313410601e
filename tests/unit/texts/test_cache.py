"""The cache of repeated texts: it finds, it forgets the unused, it stays small."""

from __future__ import annotations

import pytest

from pipeline.texts.cache import Cache


def test_what_was_kept_is_found() -> None:
    cache = Cache()
    cache.keep([(1, 10), (2, 20)])
    assert cache.find([2, 3, 1]) == [20, None, 10]


def test_it_never_holds_more_than_its_limit() -> None:
    cache = Cache(100)
    for key in range(10_000):
        cache.keep([(key, key)])
        cache.find([key // 2])
        assert len(cache) <= 100


def test_what_is_asked_for_again_outlives_what_is_not() -> None:
    cache = Cache(100)
    cache.keep([(-1, 7)])
    for key in range(1_000):
        cache.keep([(key, key)])
        assert cache.find([-1]) == [7]
    assert cache.find([0]) == [None]


def test_a_key_asked_twice_in_one_go_is_found_twice() -> None:
    cache = Cache(4)
    cache.keep([(1, 10), (2, 20), (3, 30)])  # 1 and 2 are the old generation now
    assert cache.find([1, 1]) == [10, 10]


def test_a_label_of_zero_is_a_label() -> None:
    cache = Cache()
    cache.keep([(1, 0)])
    assert cache.find([1]) == [0]


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        Cache(1)
