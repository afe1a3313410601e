"""A desk per test: an empty database with our tables on the stack's engine, topics for what is rejected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.settings import Settings
from pipeline.stack.launch import Stack
from pipeline.topics import Topics
from tests.stages.worker import Members, closed, desk_of, settings_of
from tests.tables import make_tables


@pytest.fixture
def settings(stack: Stack, database: str, topic_prefix: str, tmp_path: Path) -> Settings:
    """Tables and topics of one test."""
    made = settings_of(
        tmp_path,
        bootstrap_servers=stack.bootstrap,
        clickhouse_url=stack.clickhouse_url,
        clickhouse_database=database,
        topic_prefix=topic_prefix,
        topic_partitions=2,
    )
    client = ClickHouse(made)
    make_tables(client, made)
    client.close()

    async def apply() -> None:
        async with Topics(made) as topics:
            await topics.apply()

    asyncio.run(apply())
    return made


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[tuple[Desk, Members]]:
    """The desk and its group."""
    desk, members = desk_of(settings)
    yield desk, members
    await closed(desk)
