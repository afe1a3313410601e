"""The same events folded in memory and recomputed from the ledger give the same windows, to the last count."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.scores.recompute import ROW, Part, nonzero, recompute
from pipeline.scores.windows import COUNTS, Hot, contributions, fold, rows_of
from pipeline.settings import Settings, load_settings
from pipeline.slices import LEDGER
from pipeline.stack.launch import Stack
from tests.rows import START_MS, ledger_like
from tests.tables import make_tables

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest.fixture
def settings(stack: Stack, database: str) -> Settings:
    return load_settings(
        bootstrap_servers=stack.bootstrap,
        clickhouse_url=stack.clickhouse_url,
        clickhouse_database=database,
        insecure_keys=True,
    )


def stored(rows: pl.DataFrame, settings: Settings) -> ClickHouse:
    client = ClickHouse(settings)
    make_tables(client, settings)
    named = rows.select(LEDGER).with_columns(
        pl.lit("feedback").alias("topic"),
        pl.lit(1, pl.UInt16).alias("epoch"),
        pl.lit(3, pl.UInt16).alias("part"),
        pl.lit(7, pl.UInt64).alias("ver"),
    )
    client.insert("ledger", named)
    return client


def folded(rows: pl.DataFrame) -> pl.DataFrame:
    hot = Hot(1_000_000)
    names = hot.names
    hot.begin(3, 0)
    changed: set[int] = set()
    for first in range(0, rows.height, 300):
        piece = rows[first : first + 300].with_columns(pl.lit(3, pl.UInt16).alias("part"))
        changed |= set(hot.add(fold(contributions(piece), names)))
    every = {minute: (cells.keys, cells.counts) for minute, cells in hot._cells.items()}
    assert changed == set(every)
    return rows_of(names, every).with_columns(pl.lit("feedback").alias("topic"), pl.lit(1, pl.UInt16).alias("epoch"))


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    columns = [*ROW, *COUNTS]
    left, right = (
        nonzero(f).select(columns).sort(ROW).with_columns(pl.col(COUNTS).cast(pl.Int64)) for f in (one, other)
    )
    return left.equals(right)


def test_a_fold_in_memory_equals_the_recomputation_from_the_ledger(settings: Settings) -> None:
    rows = ledger_like(2_000, seed=1)
    client = stored(rows, settings)
    fresh = recompute(client, Part("feedback", 1, 3, rows.height))
    assert fresh.height > 500
    assert same(folded(rows), fresh)
    altered = fresh.with_columns(pl.when(pl.col("b0") > 0).then(pl.col("b0") + 1).otherwise(pl.col("b0")).alias("b0"))
    assert not same(folded(rows), altered)


def test_a_recomputation_stops_at_the_offset_asked_for_and_takes_only_the_minutes_asked_for(settings: Settings) -> None:
    rows = ledger_like(1_000, seed=2)
    client = stored(rows, settings)
    assert same(folded(rows[:400]), recompute(client, Part("feedback", 1, 3, 399)))
    minute = START_MS // 60_000 * 60 + 60
    part = recompute(client, Part("feedback", 1, 3, 1_000), [minute])
    assert same(folded(rows).filter(pl.col("minute") == minute), part)
