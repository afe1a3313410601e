"""Numbered SQL under deploy/migrations onto ClickHouse [I/O]: in order, checked by checksum, forward only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.errors import NotReady, TouchlineError, Unavailable
from pipeline.settings import Settings

#: Where the numbered files lie, in the checkout and in the image alike.
FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "migrations"

#: Inserts remembered by token; at four inserts a second and day partition this covers 40 minutes of retries.
_TOKENS = 10_000

_BOOK = """CREATE TABLE IF NOT EXISTS migrations ${ON_CLUSTER}
(number UInt16, name String, checksum String, applied_at DateTime DEFAULT now())
ENGINE = ${REPLICATED}ReplacingMergeTree ORDER BY number"""

#: Creating a table that may not exist yet is the one atomic thing ClickHouse offers: whoever creates it holds the lock.
_LOCK = "CREATE TABLE migrations_lock (held UInt8) ENGINE = Memory"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its statements in order and the checksum of its text."""

    number: int
    name: str
    checksum: str
    text: str

    def statements(self, settings: Settings) -> list[str]:
        """The SQL statements with the deployment's engine choices filled in."""
        bare = "\n".join(line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        return [fill(part.strip(), settings) for part in re.split(r";\s*(?:\n|$)", bare) if part.strip()]


def fill(sql: str, settings: Settings) -> str:
    """Puts ON CLUSTER, Replicated and the deduplication window where the placeholders stand."""
    kind = "replicated" if settings.clickhouse_replicated else "non_replicated"
    return Template(sql).substitute(
        ON_CLUSTER=f"ON CLUSTER '{settings.clickhouse_cluster}'" if settings.clickhouse_cluster else "",
        REPLICATED="Replicated" if settings.clickhouse_replicated else "",
        WINDOW=f"{kind}_deduplication_window = {_TOKENS}",
    )


def load(folder: Path = FOLDER) -> list[Migration]:
    """All migrations, numbered 1..n without a hole; raises TouchlineError when the numbering is broken."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        matched = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if matched is None:
            raise TouchlineError(f"{path.name}: a migration is named NNNN_words.sql")
        text = path.read_text()
        found.append(Migration(int(matched[1]), matched[2], hashlib.sha256(text.encode()).hexdigest(), text))
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise TouchlineError(f"migrations are not numbered 1..n: {[m.number for m in found]}")
    return found


def pending(client: ClickHouse, migrations: list[Migration]) -> list[Migration]:
    """Those not applied yet; raises NotReady when an applied one was altered afterwards."""
    exists = client.query(
        "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"
    )
    applied: dict[int, str] = {}
    if exists["n"][0]:
        rows: pl.DataFrame = client.query("SELECT number, checksum FROM migrations FINAL ORDER BY number")
        applied = dict(zip(rows["number"].to_list(), rows["checksum"].to_list(), strict=True))
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise NotReady(
                f"migration {migration.number:04d}_{migration.name} was altered after it was applied: "
                "put the file back as it was and add a new number instead"
            )
    unknown = set(applied) - {m.number for m in migrations}
    if unknown:
        raise NotReady(
            f"the database has migrations this version does not know ({sorted(unknown)}): run a newer Touchline"
        )
    return [m for m in migrations if m.number not in applied]


def migrate(client: ClickHouse, settings: Settings, *, unlock: bool = False, folder: Path = FOLDER) -> list[Migration]:
    """Applies what is pending under a lock and returns it. Raises NotReady when another migration holds the lock."""
    if unlock:
        client.command("DROP TABLE IF EXISTS migrations_lock SYNC")
    client.command(fill(_BOOK, settings))
    try:
        client.command(_LOCK)
    except Unavailable as error:
        if "migrations_lock" not in str(error):
            raise
        raise NotReady(
            "another migration is running, or one was killed; if none is running: `touchline migrate --unlock`"
        ) from error
    try:
        todo = pending(client, load(folder))
        for migration in todo:
            for statement in migration.statements(settings):
                client.command(statement)
            client.command(
                "INSERT INTO migrations (number, name, checksum) "
                "VALUES ({number:UInt16}, {name:String}, {checksum:String})",
                {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
            )
        return todo
    finally:
        client.command("DROP TABLE IF EXISTS migrations_lock SYNC")


def require_current(client: ClickHouse) -> None:
    """Raises NotReady with the command that fixes it when a worker would meet missing tables."""
    todo = pending(client, load())
    if todo:
        names = ", ".join(f"{m.number:04d}_{m.name}" for m in todo)
        raise NotReady(f"ClickHouse lacks migrations {names}: run `touchline migrate`")
