"""The live page when Kafka is killed: it says so, goes on by itself, and no number is wrong afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.stack.launch import Stack
from pipeline.views.page.server import Server
from pipeline.views.page.streams import Viewer
from pipeline.views.page.view import View
from tests.chaos.harness import Case, deployed
from tests.integration.page_place import filled, published, serving, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

HOUR = View.of("1h", {})


def test_kafka_killed_and_started_again_is_said_and_survived(fragile: Stack, tmp_path: Path) -> None:
    with deployed(Case(fragile.bootstrap, fragile.clickhouse_url, tmp_path, partitions=1)) as case:
        asyncio.run(survived(case, fragile))


async def survived(case: Case, fragile: Stack) -> None:
    counted(case, 1)
    await published(case.settings)
    async with serving(case.settings) as server:
        viewer = Viewer()
        server.live.join(HOUR, viewer, "")
        await agreed(server)
        await asyncio.to_thread(fragile.kill_kafka)
        try:
            await until(lambda: "Kafka" in trouble(server), "the page says that Kafka is away")
        finally:
            await asyncio.to_thread(fragile.start_kafka)
        counted(case, 2)
        await published(case.settings)
        await until(lambda: not trouble(server), "nothing is said to be away any more", 60)
        await agreed(server)
        assert server.live.ended == []
        server.live.leave(HOUR, viewer)


def counted(case: Case, seed: int) -> None:
    client = ClickHouse(case.settings)
    filled(client, seed, hours=1)
    client.close()


def trouble(server: Server) -> str:
    return "; ".join(server.live.trouble.values())


async def agreed(server: Server) -> None:
    """The page's NPS becomes what the reading API says of the same hour."""

    async def same() -> bool:
        latest = server.live._channels[HOUR].channel.latest
        if "tiles" not in latest:
            return False
        said: dict[str, Any] = orjson.loads(latest["tiles"][0])
        tile = said["tiles"][0]
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(said["first"]))
        where = f"http://127.0.0.1:{server.port}/v1/scores?metric=nps&from={since}"
        async with aiohttp.ClientSession() as http, http.get(where) as answer:
            found = [one for one in (await answer.json())["scores"] if one["scale"] == tile["scale"]]
        return [(one["n"], one["score"]) for one in found] == [(tile["n"], tile["score"])]

    deadline = asyncio.get_running_loop().time() + 60
    while not await same():
        assert asyncio.get_running_loop().time() < deadline, "page and API do not agree"
        await asyncio.sleep(0.2)
