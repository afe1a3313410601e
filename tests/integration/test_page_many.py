"""T31 on the page: more connections than it has room for, all at once; those within are served, the others are told."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stack.launch import Stack
from pipeline.views.page.live import MOST_VIEWERS
from tests.chaos.harness import Case, deployed
from tests.integration.page_place import serving, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: More than there is room for.
TOO_MANY = 200
_ASK = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def files() -> Iterator[None]:
    """As many open files as both ends of all connections need; skipped where the machine does not allow them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (MOST_VIEWERS + TOO_MANY) + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{hard} open files are allowed, {wanted} are needed: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connected(port: int) -> tuple[bytes, float, asyncio.StreamReader, asyncio.StreamWriter]:
    """The status of one stream, how long it took to come, and the connection."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    writer.write(_ASK)
    status = await reader.readline()
    return status.split()[1], time.monotonic() - began, reader, writer


@pytest.mark.usefixtures("files")
async def test_t31_four_thousand_are_served_and_every_further_one_is_told(stack: Stack, tmp_path: Path) -> None:
    place = await asyncio.to_thread(deployed, Case(stack.bootstrap, stack.clickhouse_url, tmp_path, partitions=1))
    case = await asyncio.to_thread(place.__enter__)
    try:
        async with serving(case.settings) as server:
            found = []
            for _ in range(MOST_VIEWERS // TOO_MANY + 1):
                found += await asyncio.gather(*(connected(server.port) for _ in range(TOO_MANY)))
            told = [status for status, *_ in found]
            assert (told.count(b"200"), told.count(b"503")) == (MOST_VIEWERS, TOO_MANY)
            assert server.live.viewers == MOST_VIEWERS
            waits = sorted(wait for status, wait, *_ in found if status == b"200")
            assert waits[int(0.5 * len(waits))] < 5.0  # client and server share this process and its loop
            for *_, writer in found:
                writer.close()
            await until(lambda: server.live.viewers == 0, "everybody has left", 60)
            status, _, _, writer = await connected(server.port)
            assert status == b"200"
            writer.close()
    finally:
        await asyncio.to_thread(place.__exit__, None, None, None)
