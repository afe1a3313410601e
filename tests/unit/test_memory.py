"""What the worker asks of the allocators."""

from __future__ import annotations

import os
import subprocess
import sys

from pipeline import memory

_SHOWN = "import os, sys, agents; print('polars' in sys.modules, os.environ['_RJEM_MALLOC_CONF'])"


def shown(**variables: str) -> str:
    """What a fresh process says once the package of the agents is loaded."""
    plain = {name: value for name, value in os.environ.items() if name not in memory.POLARS}
    done = subprocess.run(
        [sys.executable, "-c", _SHOWN], env=plain | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_allocator_of_polars_is_told_before_polars_is_loaded() -> None:
    assert shown() == f"False {memory.POLARS['_RJEM_MALLOC_CONF']}"


def test_what_an_operator_set_stands() -> None:
    assert shown(_RJEM_MALLOC_CONF="narenas:2") == "False narenas:2"


def test_freed_memory_can_be_given_back_at_any_time() -> None:
    memory.trim()
    kept = [bytes(1 << 20) for _ in range(8)]
    memory.trim()
    assert all(not any(block[:4096]) for block in kept)
