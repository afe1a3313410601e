"""Migrations: numbered without a hole, never altered after they were applied, filled in for the deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.errors import NotReady, TouchlineError, Unavailable
from pipeline.ledger.migrate import fill, load, migrate, pending, require_current
from pipeline.settings import Settings, load_settings


class Server:
    """A database that remembers statements and which migrations were applied."""

    def __init__(self, applied: dict[int, str] | None = None, locked: bool = False) -> None:
        self.applied = applied
        self.locked = locked
        self.statements: list[str] = []

    def query(self, sql: str, *_: Any, **__: Any) -> pl.DataFrame:
        if "system.tables" in sql:
            return pl.DataFrame({"n": [int(self.applied is not None)]})
        applied = self.applied or {}
        return pl.DataFrame({"number": list(applied), "checksum": list(applied.values())})

    def command(self, sql: str, parameters: dict[str, Any] | None = None, *_: Any) -> None:
        self.statements.append(" ".join(sql.split()))
        if sql.startswith("CREATE TABLE migrations_lock") and self.locked:
            raise Unavailable("Code: 57. Table default.migrations_lock already exists")
        if sql.startswith("INSERT INTO migrations") and parameters:
            self.applied = (self.applied or {}) | {parameters["number"]: parameters["checksum"]}


def client(server: Server) -> ClickHouse:
    return cast(ClickHouse, server)


@pytest.fixture
def settings() -> Settings:
    return load_settings(bootstrap_servers="localhost:9092", clickhouse_url="http://localhost:8123", insecure_keys=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(
        "-- one; not a statement\nCREATE TABLE a (x Int8) ENGINE = ${REPLICATED}Memory;\n\nSELECT ';' ;\n"
    )
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (x Int8);\n")
    return tmp_path


def test_files_are_numbered_from_one_without_a_hole(folder: Path) -> None:
    assert [(m.number, m.name) for m in load(folder)] == [(1, "first"), (2, "second")]
    (folder / "0004_fourth.sql").write_text("SELECT 1;\n")
    with pytest.raises(TouchlineError, match=r"1\.\.n"):
        load(folder)


def test_a_file_with_another_kind_of_name_is_refused(folder: Path) -> None:
    (folder / "3_third.sql").write_text("SELECT 1;\n")
    with pytest.raises(TouchlineError, match="NNNN_words"):
        load(folder)


def test_the_project_s_own_files_load() -> None:
    assert load()[0].name == "record"


def test_comments_are_left_out_and_statements_come_apart(folder: Path, settings: Settings) -> None:
    assert load(folder)[0].statements(settings) == ["CREATE TABLE a (x Int8) ENGINE = Memory", "SELECT ';'"]


def test_placeholders_are_filled_for_one_server_and_for_a_cluster(settings: Settings) -> None:
    sql = "CREATE TABLE a ${ON_CLUSTER} ENGINE = ${REPLICATED}MergeTree SETTINGS ${WINDOW}"
    assert (
        fill(sql, settings) == "CREATE TABLE a  ENGINE = MergeTree SETTINGS non_replicated_deduplication_window = 10000"
    )
    many = settings.model_copy(update={"clickhouse_cluster": "main", "clickhouse_replicated": True})
    assert fill(sql, many) == (
        "CREATE TABLE a ON CLUSTER 'main' ENGINE = ReplicatedMergeTree SETTINGS replicated_deduplication_window = 10000"
    )


def test_what_is_not_applied_yet_is_applied_once_in_order_and_written_down(folder: Path, settings: Settings) -> None:
    server = Server()
    assert [m.number for m in migrate(client(server), settings, folder=folder)] == [1, 2]
    assert server.applied == {m.number: m.checksum for m in load(folder)}
    assert migrate(client(server), settings, folder=folder) == []
    assert server.statements[-1] == "DROP TABLE IF EXISTS migrations_lock SYNC"


def test_a_file_altered_after_it_was_applied_is_refused(folder: Path, settings: Settings) -> None:
    server = Server()
    migrate(client(server), settings, folder=folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE a (x Int16);\n")
    with pytest.raises(NotReady, match="0001_first was altered"):
        pending(client(server), load(folder))
    with pytest.raises(NotReady):
        migrate(client(server), settings, folder=folder)
    assert server.statements[-1] == "DROP TABLE IF EXISTS migrations_lock SYNC", "the lock is let go all the same"


def test_a_database_of_a_newer_version_is_refused(folder: Path) -> None:
    applied = {m.number: m.checksum for m in load(folder)} | {3: "?"}
    with pytest.raises(NotReady, match="newer Touchline"):
        pending(client(Server(applied)), load(folder))


def test_a_second_migration_at_the_same_time_is_refused_and_applies_nothing(folder: Path, settings: Settings) -> None:
    server = Server(locked=True)
    with pytest.raises(NotReady, match="--unlock"):
        migrate(client(server), settings, folder=folder)
    assert server.applied is None
    assert not any("DROP" in statement for statement in server.statements)


def test_a_worker_on_missing_tables_names_the_command() -> None:
    with pytest.raises(NotReady, match="touchline migrate"):
        require_current(client(Server()))
