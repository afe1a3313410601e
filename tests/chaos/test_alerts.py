"""Alerts through kills: decided is written, written is said, and the receiver knows each by one id."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.alerts.entries import Account
from pipeline.alerts.reading import read_book
from pipeline.clickhouse import ClickHouse
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from pipeline.topics import Topics
from tests.integration.receivers import inbox
from tests.tables import make_tables

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

WORKER = Path(__file__).with_name("calling_worker.py")


@pytest.mark.parametrize("kills", [pytest.param(4, id="short"), pytest.param(20, id="full", marks=pytest.mark.prove)])
async def test_a_worker_killed_between_decision_and_sending_loses_no_alert_and_the_receiver_sees_one_id(
    kills: int, stack: Stack, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = load_settings(
        bootstrap_servers=stack.bootstrap,
        clickhouse_url=stack.clickhouse_url,
        clickhouse_database=database,
        topic_prefix=topic_prefix,
        topic_partitions=1,
        insecure_keys=True,
    )
    client = ClickHouse(settings)
    make_tables(client, settings)
    async with Topics(settings) as topics:
        await topics.apply()
    environment = {
        "PATH": os.defpath,
        "TOUCHLINE_BOOTSTRAP_SERVERS": stack.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": stack.clickhouse_url,
        "TOUCHLINE_CLICKHOUSE_DATABASE": database,
        "TOUCHLINE_TOPIC_PREFIX": topic_prefix,
        "TOUCHLINE_INSECURE_KEYS": "true",
        "TOUCHLINE_STATE_DIR": str(tmp_path),
    }

    async def live(generation: int, when: str, url: str) -> int:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), str(generation), when, url), env=environment
        )
        return await asyncio.wait_for(worker.wait(), 60)

    async with inbox() as box:
        for number in range(1, kills + 1):
            when = "before" if number % 2 else "after"
            assert await live(number, when, box.url) == -signal.SIGKILL
        assert await live(kills + 1, "never", box.url) == 0
        taken = [(t.headers["webhook-id"], t.json["data"]["incidents"]) for t in box.taken]
    book = read_book(client)
    client.close()
    ids: dict[str, set[str]] = {}
    for id_, accounts in taken:
        (told,) = msgspec.convert(accounts, list[Account])
        ids.setdefault(told.owner, set()).add(id_)
    assert set(ids) == {f"o-{number}" for number in range(1, kills + 1)}, "an alert was lost"
    assert all(len(each) == 1 for each in ids.values()), "one alert came under several ids"
    assert len(taken) > kills, "the kills after sending made no second try: the case shows nothing"
    assert len(book.incidents) == kills
