"""What a fresh stack gets before workers start: topics and tables."""

from __future__ import annotations

from pipeline.stack.jars import Note
from pipeline.stack.state import Addresses


def prepare(addresses: Addresses, note: Note) -> None:
    """Apply topics and migrations to the stack at these addresses. Called by `touchline up` and the demo."""


def environment(addresses: Addresses) -> dict[str, str]:
    """The settings under which everything else uses this stack."""
    return {
        "TOUCHLINE_BOOTSTRAP_SERVERS": addresses.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": addresses.clickhouse_url,
    }
