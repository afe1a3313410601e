"""The verifier: what it remembers, how often it asks again, and for how long it believes what it read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from pipeline.access.keys import Grant, Key, Right, make
from pipeline.access.verifier import AGAIN_S, STALE_S, Verifier
from pipeline.clickhouse import Pool
from pipeline.errors import Unavailable

START = 1_764_000_000.0


class Table:
    """Keys and a clock that the test moves; counts readings. The real one: tests/integration/test_keys.py."""

    def __init__(self) -> None:
        self.now = START
        self.keys: dict[str, Key] = {}
        self.reads = 0
        self.down = False

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def read(self, _: Pool) -> Mapping[str, Key]:
        self.reads += 1
        if self.down:
            raise Unavailable("ClickHouse does not answer")
        return dict(self.keys)

    def add(self, expires_s: float = 0) -> tuple[Key, str]:
        expires_ms = int((self.now + expires_s) * 1000) if expires_s else 0
        key, token = make(Grant("", "shop", frozenset({Right.WRITE})), int(self.now * 1000), expires_ms)
        self.keys[key.grant.key_id] = key
        return key, token


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def verifier(table: Table) -> Verifier:
    return Verifier(cast(Pool, None), table.clock, table.read, table.sleep)


async def test_a_token_made_a_moment_ago_is_known_at_once(verifier: Verifier, table: Table) -> None:
    key, token = table.add()
    assert await verifier.grant(token) == key.grant
    reads = table.reads
    assert await verifier.grant(token) == key.grant
    assert table.reads == reads


async def test_guessing_asks_the_table_only_a_few_times_a_second(verifier: Verifier, table: Table) -> None:
    guess = "tl_" + "a" * 12 + "_" + "b" * 43
    for _ in range(20):
        assert await verifier.grant(guess) is None
        assert await verifier.grant("nonsense") is None
    assert 2 <= table.reads <= (table.now - START) / AGAIN_S + 1
    reads = table.reads
    table.now += 1
    assert await asyncio.gather(*(verifier.grant(guess) for _ in range(100))) == [None] * 100
    assert table.reads == reads + 1, "all that wait share a reading"


async def test_a_token_made_since_the_last_reading_is_known_however_short_ago_that_was(
    verifier: Verifier, table: Table
) -> None:
    """Whoever makes a key and sends at once was refused when a reading came between."""
    await verifier._load_once()
    key, token = table.add()
    table.now += AGAIN_S / 10
    assert await verifier.grant(token) == key.grant


async def test_an_expired_key_is_refused_without_another_reading(verifier: Verifier, table: Table) -> None:
    _, token = table.add(expires_s=10)
    assert await verifier.grant(token) is not None
    table.down = True
    table.now += 10
    assert await verifier.grant(token) is None


async def test_an_outage_is_bridged_but_not_for_ever(verifier: Verifier, table: Table) -> None:
    _, token = table.add()
    assert await verifier.grant(token) is not None
    table.down = True
    table.now += STALE_S - 1
    assert await verifier.grant(token) is not None
    table.now += 2
    with pytest.raises(Unavailable, match="keys were read too long ago"):
        await verifier.grant(token)


async def test_the_background_reading_finds_a_revocation(verifier: Verifier, table: Table) -> None:
    key, token = table.add()
    assert await verifier.grant(token) is not None
    table.keys[key.grant.key_id] = replace(key, revoked_ms=1)
    await verifier._load_once()
    assert await verifier.grant(token) is None
