"""What the worker asks of the allocators."""

from __future__ import annotations

from pipeline import memory


def test_freed_memory_can_be_given_back_at_any_time() -> None:
    kept = [bytes([number]) * (1 << 20) for number in range(8)]
    memory.trim()
    del kept[::2]
    memory.trim()
    assert [block[0] for block in kept] == [1, 3, 5, 7]
    assert all(block.count(block[0]) == 1 << 20 for block in kept)
