"""A deployment per chaos test: on the shared stack, or on one of its own where the test breaks the stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import cast

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


Scenario = Callable[[Path], None]


@pytest.fixture(scope="module", autouse=True)
def scenarios(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Scenario, Future[None]]]:
    """What runs beside the tests of a file from its first test on: the scenarios that its tests, as chosen, wait for.

    A scenario has a stack of its own and mostly waits, as an outage does; one after the other, so that it stays calm.
    """
    chosen = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    named = [cast("Scenario", item.callspec.params["beside"]) for item in chosen if "beside" in item.fixturenames]
    with ThreadPoolExecutor(1) as pool:
        yield {each: pool.submit(each, tmp_path_factory.mktemp(each.__name__)) for each in named}


@pytest.fixture
def beside(request: pytest.FixtureRequest, scenarios: dict[Scenario, Future[None]]) -> Future[None]:
    """The scenario that a test is parametrized with; its result is None, or what went wrong in it."""
    return scenarios[request.param]
