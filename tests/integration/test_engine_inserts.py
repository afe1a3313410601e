"""What the embedded engine answers to an insert that fails after its bytes were read: never "written"."""

from __future__ import annotations

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import ClickHouse
from pipeline.errors import RefusedRows, Unavailable
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

TABLE = """CREATE TABLE facts (off Int64, kind LowCardinality(String), CONSTRAINT odd CHECK kind != 'odd')
ENGINE = ReplacingMergeTree ORDER BY off {} SETTINGS non_replicated_deduplication_window = 100"""


@pytest.fixture
def ours(stack: Stack, database: str) -> ClickHouse:
    return ClickHouse(
        load_settings(
            bootstrap_servers=stack.bootstrap, clickhouse_url=stack.clickhouse_url, clickhouse_database=database
        )
    )


def rows(count: int, odd: int = -1) -> pl.DataFrame:
    return pl.DataFrame({"off": range(count), "kind": ["odd" if off == odd else "even" for off in range(count)]})


def stored(client: Client) -> int:
    return int(client.query("SELECT count() FROM facts").result_rows[0][0])


def test_a_row_that_breaks_a_constraint_is_refused_whole_and_its_token_stays_free(
    ours: ClickHouse, client: Client
) -> None:
    client.command(TABLE.format(""))
    with pytest.raises(RefusedRows, match="469"):
        ours.insert("facts", rows(10_000, odd=9_999), "token")
    assert stored(client) == 0
    ours.insert("facts", rows(10_000), "token")
    ours.insert("facts", rows(10_000), "token")
    assert stored(client) == 10_000
    ours.close()


def test_an_insert_into_too_many_partitions_is_an_error_of_the_table_not_of_the_rows(
    ours: ClickHouse, client: Client
) -> None:
    client.command(TABLE.format("PARTITION BY off"))
    with pytest.raises(Unavailable, match="252"):
        ours.insert("facts", rows(200), "token")
    assert stored(client) == 0
    ours.close()
