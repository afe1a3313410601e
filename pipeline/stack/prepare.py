"""What a fresh stack gets before workers start [I/O]: topics and tables."""

from __future__ import annotations

import asyncio

from pipeline.clickhouse import ClickHouse
from pipeline.ledger.migrate import migrate
from pipeline.settings import Settings, load_settings
from pipeline.stack.jars import Note
from pipeline.stack.state import Addresses
from pipeline.topics import Topics


def prepare(addresses: Addresses, note: Note) -> None:
    """Apply topics and migrations to the stack at these addresses. Called by `touchline up` and the demo."""
    settings = load_settings(bootstrap_servers=addresses.bootstrap, clickhouse_url=addresses.clickhouse_url)
    made = asyncio.run(_topics(settings))
    client = ClickHouse(settings)
    applied = migrate(client, settings, unlock=True)
    client.close()
    if made or applied:
        note(f"topics: {len(made)} made or set; tables: {len(applied)} migrations applied")


def environment(addresses: Addresses) -> dict[str, str]:
    """The settings under which everything else uses this stack; its keys are the well-known ones."""
    return {
        "TOUCHLINE_BOOTSTRAP_SERVERS": addresses.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": addresses.clickhouse_url,
        "TOUCHLINE_INSECURE_KEYS": "true",
        **({"TOUCHLINE_GATEWAY_URL": addresses.gateway_url} if addresses.gateway_url else {}),
    }


async def _topics(settings: Settings) -> list[str]:
    async with Topics(settings) as topics:
        return await topics.apply()
