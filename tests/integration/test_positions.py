"""Where a partition stands, asked of the real engine: gaps ahead of the rows, fences, and rows that landed too late."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.arrival import asking
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import ClickHouse
from pipeline.ledger import positions
from pipeline.ledger.custody import fence
from pipeline.settings import load_settings
from pipeline.slices import LEDGER, Partition
from pipeline.stack.launch import Stack
from tests.rows import ledger_like
from tests.tables import make_tables

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

HERE = Partition("feedback", 3)
OTHER = Partition("feedback", 4)


@pytest.fixture
def tables(stack: Stack, database: str) -> ClickHouse:
    settings = load_settings(
        bootstrap_servers=stack.bootstrap,
        clickhouse_url=stack.clickhouse_url,
        clickhouse_database=database,
        insecure_keys=True,
    )
    client = ClickHouse(settings)
    make_tables(client, settings)
    return client


def store(client: ClickHouse, partition: Partition, first: int, count: int, ver: int = 7) -> None:
    rows = ledger_like(count, seed=first, first=first).select(LEDGER)
    named = {"topic": pl.lit(partition.topic), "epoch": pl.lit(1, pl.UInt16)}
    named |= {"part": pl.lit(partition.part, pl.UInt16), "ver": pl.lit(ver, pl.UInt64)}
    answers = pl.col("off").cast(pl.UInt64) + 1
    client.insert("ledger", rows.with_columns(answers.alias("answer_hash"), revision=pl.lit(0, pl.Int64), **named))


def position(client: ClickHouse, partition: Partition) -> int:
    return positions.standings(client, [partition])[partition].position


def test_a_gap_moves_the_position_only_when_it_joins_on_to_the_rows(tables: ClickHouse) -> None:
    assert not positions.standings(tables, [HERE])[HERE].known
    positions.begin_epoch(tables, HERE, 1, 0, 5)
    assert position(tables, HERE) == -1
    store(tables, HERE, 0, 5)
    store(tables, OTHER, 0, 2)
    positions.write_gap(tables, HERE, 1, (10, 11, "markers"), 7, 1)
    assert position(tables, HERE) == 4, "rows 5..9 were on their way when the gap was found, and never came"
    store(tables, HERE, 5, 5)
    assert position(tables, HERE) == 11
    positions.write_gap(tables, HERE, 1, (12, 12, "markers"), 7, 1)
    assert position(tables, HERE) == 12
    assert position(tables, OTHER) == 1


def test_a_fence_is_found_wherever_it_was_written(tables: ClickHouse) -> None:
    positions.begin_epoch(tables, HERE, 1, 0, fence(0, 5, 1))
    assert positions.standings(tables, [HERE])[HERE].ver == fence(0, 5, 1)
    store(tables, HERE, 0, 2, fence(0, 6, 1))
    assert positions.standings(tables, [HERE])[HERE].ver == fence(0, 6, 1)
    positions.begin_epoch(tables, HERE, 1, 0, fence(1 << 48, 1, 1), "group")
    assert positions.standings(tables, [HERE])[HERE].ver == fence(1 << 48, 1, 1)


def test_the_newest_ids_and_answers_are_found_whichever_partitions_hold_them(tables: ClickHouse) -> None:
    quiet, busy, empty = HERE, OTHER, Partition("history", 0)
    store(tables, quiet, 0, 50)
    store(tables, busy, 0, 400)
    places = {quiet: asking.Place(1, 50), empty: asking.Place(1, 0), busy: asking.Place(1, 400)}
    everything = asking.remembered(tables, places, 10_000, 10_000)
    assert set(everything.whole_ids.values()) == set(everything.whole_answers.values()) == {True}
    wanted = sum(len(ids.which) for ids in everything.ids) // 2
    newest = asking.remembered(tables, places, wanted, wanted)
    assert [ids.which.tolist() for ids in newest.ids] == [[2] * wanted], "half of all are the newest of the busy one"
    assert newest.which.tolist() == [2] * wanted
    assert newest.ids[0].offsets.tolist() == sorted(newest.standing.hashes.astype(int) - 1, reverse=True)
    assert (newest.whole_ids[empty], newest.whole_ids[busy], newest.whole_answers[busy]) == (True, False, False)


def test_memory_does_not_know_rows_that_landed_above_what_is_taken_next(tables: ClickHouse) -> None:
    store(tables, HERE, 0, 200)
    whole = asking.remembered(tables, {HERE: asking.Place(1, 200)}, 1_000, 1_000)
    part = asking.remembered(tables, {HERE: asking.Place(1, 50)}, 1_000, 1_000)
    assert whole.ids[0].offsets.max() > 50 > part.ids[0].offsets.max()
    assert whole.standing.offsets.max() > 50 > part.standing.offsets.max()
    assert len(asking.recollect(tables, HERE, 1, 50, ArrivalRules()).invalid) == 50
