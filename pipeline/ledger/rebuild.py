"""Windows made again from the ledger [I/O]: by the partitions' owners where workers run, else here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import polars as pl
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.clickhouse import ClickHouse
from pipeline.scores.kept import by_width
from pipeline.scores.recompute import ROW, Part, nonzero, recompute, rewritten, stored
from pipeline.scores.rolling import Days, clear, leftovers, owner_of, rolled_days
from pipeline.scores.windows import COUNTS
from pipeline.settings import Settings
from pipeline.slices import Partition
from pipeline.topics import unreachable

#: Stands between the words of a key; lower than any letter, so that keys sort as their columns do.
_BETWEEN: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One partition: how many window rows, how many were written anew, and the checksum of what stands there now."""

    topic: str
    epoch: int
    part: int
    rows: int
    written: int
    checksum: str
    equal: bool


async def members(settings: Settings) -> int:
    """Workers in the consumer group. Raises Unavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, **settings.kafka_security())
    try:
        await admin.start()
        described = await admin.describe_consumer_groups([settings.group])
        return sum(len(group[5]) for answer in described for group in answer.groups)
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    finally:
        await admin.close()


def partitions(client: ClickHouse) -> list[Part]:
    """Every partition of every epoch, with the offset up to which its windows are settled."""
    rows = client.query("SELECT topic, epoch, part, settled FROM progress FINAL ORDER BY topic, epoch, part")
    return [
        Part(topic, epoch, part, settled, rolled_days(client, topic, epoch, part))
        for topic, epoch, part, settled in rows.iter_rows()
    ]


def rebuild(client: ClickHouse, where: Part) -> Rebuilt:
    """Writes what differs between a partition's windows and its ledger; only while no worker owns the partition."""
    fresh = recompute(client, where)
    there = stored(client, where)
    columns = [*ROW, *COUNTS]
    gone = there.join(fresh, on=list(ROW), how="anti")
    changed = rewritten(fresh.select(columns).join(there.select(columns), on=columns, how="anti"), gone)
    if not changed.is_empty():
        minutes, hours = by_width(changed, where.rolled)
        _write(client, "windows", minutes, where)
        _write(client, "windows_1h", hours, where)
    swept(client, where)
    return compare(client, where, changed.height, fresh)


def _write(client: ClickHouse, table: str, rows: pl.DataFrame, where: Part) -> None:
    """Rows above every version that the partition has in the table."""
    versions = client.query(
        f"""SELECT max(w.ver) AS ver, max(w.seq) AS seq FROM {table} AS w
        WHERE topic = {{topic:String}} AND epoch = {{epoch:UInt16}} AND part = {{part:UInt16}}""",
        {"topic": where.topic, "epoch": where.epoch, "part": where.part},
    ).row(0)
    client.insert(
        table,
        rows.with_columns(pl.lit(versions[0], pl.UInt64).alias("ver"), pl.lit(versions[1] + 1, pl.UInt64).alias("seq")),
    )


def swept(client: ClickHouse, where: Part) -> None:
    """Removes minutes that somebody wrote into days whose minutes had been removed."""
    if where.rolled and leftovers(client, where.topic, where.epoch).get(where.part):
        days = Days(where.topic, where.epoch, where.part, tuple(sorted(where.rolled)))
        clear(client, days, owner_of(client, days))


def compare(client: ClickHouse, where: Part, written: int, fresh: pl.DataFrame | None = None) -> Rebuilt:
    """What stands in the table against the ledger, by checksum over the bytes of the rows."""
    expected = checksum(nonzero(recompute(client, where) if fresh is None else fresh))
    there = stored(client, where)
    found = checksum(there)
    return Rebuilt(where.topic, where.epoch, where.part, there.height, written, found, found == expected)


def checksum(rows: pl.DataFrame) -> str:
    """SHA-256 over the rows in key order, versions aside."""
    # One text for each key, in the order that ClickHouse gives them in: sorting twelve columns of words costs ten times
    # as much as all the rest.
    key = pl.concat_str(*(_word(name) for name in ROW), separator=_BETWEEN)
    ordered = rows.select(key.alias("key"), pl.col(COUNTS).cast(pl.Int64))
    if not ordered["key"].is_sorted():
        ordered = ordered.sort("key")
    return hashlib.sha256(ordered.write_csv().encode()).hexdigest()


def _word(name: str) -> pl.Expr:
    """A column of the key as text that sorts as its values do."""
    word = pl.col(name).cast(pl.String)
    return word.str.zfill(10) if name in ("minute", "epoch", "part") else word


def partition_of(where: Part) -> Partition:
    """The partition without its epoch."""
    return Partition(where.topic, where.part)
