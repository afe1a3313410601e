"""The copies of tables that tests work on are what migrating makes."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.ledger.migrate import migrate, require_current
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from tests.tables import make_tables

pytestmark = pytest.mark.clickhouse

TABLES = "SELECT name, create_table_query AS made FROM system.tables WHERE database = {name:String} ORDER BY name"
COLUMNS = """SELECT table, name, type, default_kind, default_expression, compression_codec, is_in_sorting_key
    FROM system.columns WHERE database = {name:String} ORDER BY table, position"""
INDEXES = """SELECT table, name, type_full, expr, granularity FROM system.data_skipping_indices
    WHERE database = {name:String} ORDER BY table, name"""


def test_a_copy_of_the_tables_is_what_migrating_makes(stack: Stack) -> None:
    names = [f"t{uuid.uuid4().hex[:10]}" for _ in range(3)]
    root = ClickHouse(load_settings(clickhouse_url=stack.clickhouse_url, insecure_keys=True))
    makers: tuple[Callable[[ClickHouse, Settings], object], ...] = (make_tables, make_tables, migrate)
    clients = []
    for name, make in zip(names, makers, strict=True):
        root.command(f"CREATE DATABASE {name}")
        settings = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=name, insecure_keys=True)
        clients.append(ClickHouse(settings))
        make(clients[-1], settings)
    _, copied, migrated = names
    require_current(clients[1])
    said = [
        [(*row[:-1], row[-1].replace(f"{name}.", "")) for row in root.query(TABLES, {"name": name}).iter_rows()]
        for name in names
    ]
    assert said[1] == said[2]
    for looked in (COLUMNS, INDEXES):
        assert root.query(looked, {"name": copied}).rows() == root.query(looked, {"name": migrated}).rows()
    # A table that is made otherwise would be seen.
    clients[1].command("ALTER TABLE ledger ADD COLUMN more UInt8")
    assert root.query(COLUMNS, {"name": copied}).rows() != root.query(COLUMNS, {"name": migrated}).rows()
    for client, name in zip(clients, names, strict=True):
        client.close()
        root.command(f"DROP DATABASE {name}")
    root.close()
