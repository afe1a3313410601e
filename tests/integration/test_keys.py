"""`touchline keys` on ClickHouse's engine: made, rotated, revoked, and every verifier knows within five seconds."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from pipeline.access import store
from pipeline.access.keys import Grant, Right, digest_of
from pipeline.access.verifier import Verifier
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.errors import UsageError
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

#: Revoking must be effective everywhere by then.
EFFECTIVE_S = 5.0


@pytest.fixture
def settings(stack: Stack, database: str) -> Settings:
    made = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=database, insecure_keys=True)
    client = ClickHouse(made)
    make_tables(client, made)
    client.close()
    return made


@pytest.fixture
def tables(settings: Settings) -> ClickHouse:
    return ClickHouse(settings)


@pytest.fixture
async def verifier(settings: Settings) -> AsyncIterator[Verifier]:
    pool = Pool(settings)
    made = Verifier(pool)
    await made.start()
    yield made
    await made.stop()
    pool.close()


def touchline(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "TOUCHLINE_CLICKHOUSE_URL": settings.clickhouse_url,
        "TOUCHLINE_CLICKHOUSE_DATABASE": settings.clickhouse_database,
    }
    command = [sys.executable, "-m", "pipeline.command.main", "keys", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


async def test_a_key_is_known_at_once_and_refused_within_five_seconds_of_its_end(
    tables: ClickHouse, verifier: Verifier
) -> None:
    scope = (frozenset({"web"}), frozenset({"a"}), frozenset({"u1"}))
    key, token = await asyncio.to_thread(
        store.create, tables, Grant("", "shop", frozenset({Right.WRITE, Right.READ}), *scope), 0
    )
    until = time.monotonic() + EFFECTIVE_S
    while await verifier.grant(token) != key.grant:  # at once, but for the least time between two readings
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    assert (await asyncio.to_thread(store.load, tables))[key.grant.key_id] == key
    await asyncio.to_thread(store.revoke, tables, "shop")
    until = time.monotonic() + EFFECTIVE_S
    while await verifier.grant(token) is not None:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    with pytest.raises(UsageError, match="revoked"):
        await asyncio.to_thread(store.rotate, tables, "shop", 0, 0)


def test_a_revocation_wins_over_a_rotation_at_the_same_moment(tables: ClickHouse) -> None:
    key, _ = store.create(tables, Grant("", "shop", frozenset({Right.WRITE})), 0)
    store.revoke(tables, key.grant.key_id)
    # What a rotation that had read the key before would write now.
    store._write(tables, key, 2)
    store._write(tables, key, 1_000_000)
    assert store.load(tables)[key.grant.key_id].revoked_ms > 0


def test_of_keys_with_one_name_the_scope_of_the_living_one_holds(tables: ClickHouse) -> None:
    rights = frozenset({Right.WRITE})
    old, _ = store.create(tables, Grant("", "shop", rights), 0)
    store.revoke(tables, old.grant.key_id)
    assert store.grants(tables)["shop"] == old.grant, "a key that has ended tells what it might do"
    new, _ = store.create(tables, Grant("", "shop", rights, brands=frozenset({"acme"})), 0)
    assert store.grants(tables)["shop"] == new.grant


def test_the_commands_show_a_token_once_and_only_there(settings: Settings, tables: ClickHouse) -> None:
    made = touchline(settings, "create", "web-shop", "--channel", "web", "--expires", "2h")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    (key,) = store.load(tables).values()
    assert key.digest == digest_of(token)
    assert key.expires_ms - key.created_ms == 2 * 3_600_000
    assert touchline(settings, "create", "web-shop").returncode == 2
    rotated = json.loads(touchline(settings, "rotate", "web-shop", "--json").stdout)
    assert rotated["token"] != token
    assert rotated["key_id"] == key.grant.key_id
    shown = touchline(settings, "list", "--json")
    (listed,) = json.loads(shown.stdout)
    assert (listed["state"], listed["channels"], listed["rights"]) == ("rotating", ["web"], ["write"])
    assert token not in shown.stdout
    assert rotated["token"] not in shown.stdout
    assert touchline(settings, "revoke", "web-shop").returncode == 0
    assert touchline(settings, "list", "--json").stdout.strip() == "[]"
    assert "revoked" in touchline(settings, "list", "--all").stdout
    unknown = touchline(settings, "revoke", "nobody")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no key 'nobody'" in unknown.stderr
    held = json.dumps(tables.query("SELECT * FROM keys").to_dicts(), default=str)
    assert token not in held
    assert token.rpartition("_")[2] not in held
