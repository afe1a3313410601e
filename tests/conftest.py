"""One embedded stack for the whole run; tests keep apart by a database and a topic prefix of their own.

A test that stops or kills parts of the stack starts its own with `running(tmp_path)`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.stack.launch import Stack, running

#: The files that take longest, by what they took; they begin first, so that the processes end at about the same time.
LONGEST = (
    "contract/test_docs.py",
    "stages/test_hours.py",
    "property/test_writer.py",
    "integration/test_demo.py",
    "chaos/test_outages.py",
    "integration/test_audit.py",
    "integration/test_restate.py",
    "chaos/test_workers.py",
    "chaos/test_refused.py",
    "chaos/test_bad_input.py",
    "integration/test_same_digits.py",
    "chaos/test_gateway.py",
    "chaos/test_identity.py",
    "chaos/test_times.py",
    "integration/test_page_staying.py",
    "integration/test_page_arriving.py",
    "integration/test_page_looks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, everything else as it was found."""
    here = Path(__file__).parent
    first = {here / name: at for at, name in enumerate(LONGEST)}
    if missing := [str(path) for path in first if not path.exists()]:
        raise pytest.UsageError(f"tests/conftest.py puts files first that are not there: {missing}")
    items.sort(key=lambda item: first.get(item.path, len(first)))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and ClickHouse's engine, started at the first test that asks, empty, gone at the end."""
    with running(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for the topics of one test."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """An empty ClickHouse database for one test, dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    client = client_of(stack, "default")
    client.command(f"CREATE DATABASE {name}")
    yield name
    client.command(f"DROP DATABASE {name}")
    client.close()


@pytest.fixture
def client(stack: Stack, database: str) -> Iterator[Client]:
    """clickhouse-connect, as our code sets it up, in the database of this test."""
    made = client_of(stack, database)
    yield made
    made.close()


def client_of(stack: Stack, database: str) -> Client:
    """A client for one thread."""
    port = int(stack.clickhouse_url.rpartition(":")[2])
    return clickhouse_connect.get_client(host="127.0.0.1", port=port, database=database, autogenerate_session_id=False)
