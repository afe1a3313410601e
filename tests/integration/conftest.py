"""A deployment per test on the shared stack, as the chaos tests have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stack.launch import Stack
from tests.chaos.harness import Case, deployed


@pytest.fixture
def case(stack: Stack, tmp_path: Path) -> Iterator[Case]:
    """Topics, tables and a group of one test."""
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path)) as made:
        yield made
