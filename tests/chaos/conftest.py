"""A deployment per chaos test: on the shared stack, or on one of its own where the test breaks the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stack.launch import Stack, running
from tests.chaos.harness import Case, deployed


@pytest.fixture
def case(stack: Stack, tmp_path: Path) -> Iterator[Case]:
    """Topics, tables and a group of one test on the shared stack."""
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for the tests of one file that stop and kill parts of it; each leaves it running."""
    with running(tmp_path_factory.mktemp("fragile")) as started:
        yield started
