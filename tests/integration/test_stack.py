"""The embedded stack as a whole: up, down, killed parts, killed owners, data that stay."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.errors import StackError
from pipeline.stack import clickhouse, processes, state
from pipeline.stack.launch import Options, Stack, running
from tests.conftest import client_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

_UP = Options(prepared=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose parts these tests may end; each test leaves it running."""
    with running(tmp_path_factory.mktemp("own")) as started:
        yield started


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[Stack]:
    """A stack as `touchline up` makes it, ended after the test."""
    made = Stack(tmp_path / "stack")
    yield made
    made.down()


async def with_admin(bootstrap: str, act: Callable[[AIOKafkaAdminClient], Awaitable[object]]) -> object:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await act(admin)
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    await with_admin(bootstrap, lambda admin: admin.create_topics([NewTopic(topic, 2, 1)]))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="gzip")
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, key=value) for value in values])
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> set[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=f"g-{topic}", auto_offset_reset="earliest")
    await consumer.start()
    try:
        return {(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)}
    finally:
        await consumer.stop()


def gone(pids: list[int], seconds: float = 15.0) -> bool:
    """Whether all processes end within that time."""
    deadline = time.monotonic() + seconds
    while any(processes.start_time(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


async def test_what_is_produced_is_consumed_also_after_a_kill(own: Stack) -> None:
    values = [f"{number}".encode() for number in range(500)]
    await produce(own.bootstrap, "kept", values)
    own.kill_kafka()
    own.start_kafka()
    assert await consume(own.bootstrap, "kept", 500) == set(values)


async def test_topics_are_never_made_unasked(own: Stack) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=own.bootstrap)
    await consumer.start()
    try:
        assert "nobody-made-me" not in await consumer.topics()
        assert consumer.partitions_for_topic("nobody-made-me") is None
    finally:
        await consumer.stop()


async def test_a_wiped_kafka_comes_back_empty_at_the_same_address(own: Stack) -> None:
    await produce(own.bootstrap, "wiped", [b"1"])
    before = own.bootstrap
    with pytest.raises(StackError, match="stop it"):
        own.wipe_kafka()
    own.stop_kafka()
    own.wipe_kafka()
    own.start_kafka()
    assert own.bootstrap == before
    topics = await with_admin(before, lambda admin: admin.list_topics())
    assert isinstance(topics, list)
    assert "wiped" not in topics


def test_acknowledged_rows_and_tokens_survive_kills_of_the_engine(own: Stack) -> None:
    client = client_of(own, "default")
    client.command(
        "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for block in range(3):
        for _ in range(2):
            settings = {"async_insert": 0, "insert_deduplication_token": f"b{block}"}
            rows = f"INSERT INTO kept SELECT number + {block * 100} FROM numbers(100)"
            client.command(rows, settings=settings)
            own.kill_engine()
            own.start_engine()
    assert client.query("SELECT count(), uniqExact(a) FROM kept").result_rows == [(300, 300)]
    client.close()


def test_a_second_engine_on_the_same_folder_is_refused_and_harms_nothing(own: Stack) -> None:
    asked = [sys.executable, "-m", "pipeline.stack.engine", "--dir", str(own.folder / "clickhouse"), "--port", "1"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "in use by another engine" in done.stderr
    assert str(own.addresses.pids["clickhouse"]) in done.stderr
    client = client_of(own, "default")
    assert client.query("SELECT 1").result_rows == [(1,)]
    client.close()


def test_an_engine_with_a_password_lets_nobody_else_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("touch:s3cret:word\n")
    port = processes.free_port()
    asked = [sys.executable, "-m", "pipeline.stack.engine", "--dir", str(tmp_path), "--port", str(port)]
    with subprocess.Popen([*asked, "--password-file", str(tmp_path / "password")]) as engine:
        try:
            while not clickhouse.pings(port):
                assert engine.poll() is None
            made = clickhouse_connect.get_client(port=port, username="touch", password="s3cret:word")
            assert made.query("SELECT 1").result_rows == [(1,)]
            made.close()
            with pytest.raises(DatabaseError) as refused:
                clickhouse_connect.get_client(port=port, username="touch", password="wrong")
            assert refused.value.code == 516
        finally:
            engine.terminate()


def test_a_paused_engine_answers_again_when_it_is_resumed(own: Stack) -> None:
    client = client_of(own, "default")
    own.pause("clickhouse")
    own.resume("clickhouse")
    assert client.query("SELECT 1").result_rows == [(1,)]
    client.close()


def test_a_second_up_changes_nothing_unless_a_part_is_gone(detached: Stack) -> None:
    said: list[str] = []
    first = detached.up(_UP)
    second = Stack(detached.folder, note=said.append).up(_UP)
    assert second == first
    assert "already running" in said[0]
    assert all(row["alive"] and row["memory_mb"] > 10 for row in detached.status())
    os.kill(first.pids["clickhouse"], signal.SIGKILL)  # half a stack is no running one
    assert gone([first.pids["clickhouse"]])
    third = detached.up(_UP)
    assert set(first.pids.values()).isdisjoint(third.pids.values())
    assert gone(list(first.pids.values()), 0)
    assert all(row["alive"] for row in detached.status())


def test_down_ends_everything_and_keeps_the_data(detached: Stack) -> None:
    first = detached.up(_UP)
    before = list(first.pids.values())
    client = client_of(detached, "default")
    client.command("CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.close()
    assert sorted(detached.down()) == ["clickhouse", "kafka"]
    assert gone(before, 0)
    assert detached.down() == []
    assert state.read(detached.folder) is None
    state.write(detached.folder, first)  # as after a SIGKILL of all: the file is there, the processes are not
    again = detached.up(_UP)
    assert (again.bootstrap, again.clickhouse_url) == (first.bootstrap, first.clickhouse_url)
    client = client_of(detached, "default")
    assert client.query("EXISTS TABLE kept").result_rows == [(1,)]
    client.close()


def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipeline.stack.launch import running\n"
        "with running(Path(sys.argv[1])) as stack:\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        found = state.read(tmp_path)
        assert found is not None
        owner.kill()
    assert gone([*found.pids.values(), *[process.keeper for process in found.processes]])


def test_a_part_dies_with_the_process_that_keeps_it(own: Stack) -> None:
    engine = own.addresses.process("clickhouse")
    assert engine is not None
    os.kill(engine.keeper, signal.SIGKILL)
    assert gone([engine.pid])
    own.start_engine()


def touchline(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from pipeline.command.stack import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def pasted(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What README tells people to type, in a shell that knows nothing but `touchline`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"HOME": str(folder), "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


#: One answer through the stack that `env` names, until its worker has counted it.
FIRST_EVENT = """
eval "$(touchline env --dir 'a stack')"
touchline produce - <<END
{"event_id": "first", "occurred_at": "$(date -u +%FT%TZ)", "channel": "web", "metric": "nps", "score": 9}
END
until touchline scores --metric nps --json | grep '"n": *1,'; do sleep 0.2; done
"""


def test_the_commands_start_show_and_end_a_stack(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "a stack"))
    assert touchline("status", *where).returncode == 4
    assert touchline("env", *where).returncode == 4
    try:
        started = touchline("up", *where, "--workers", "1", "--json")
        assert started.returncode == 0, started.stderr
        counted = pasted(FIRST_EVENT, tmp_path)
        assert counted.returncode == 0, counted.stdout + counted.stderr
        addresses = json.loads(started.stdout)
        shown = touchline("env", *where).stdout
        assert f"export TOUCHLINE_BOOTSTRAP_SERVERS={addresses['bootstrap']}\n" in shown
        assert f"export TOUCHLINE_CLICKHOUSE_URL={addresses['clickhouse_url']}\n" in shown
        assert f"export TOUCHLINE_GATEWAY_URL={addresses['gateway_url']}\n" in shown
        with urllib.request.urlopen(f"{addresses['gateway_url']}/readyz", timeout=10) as ready:
            assert ready.status == 200
        status = touchline("status", *where, "--json")
        assert {row["name"] for row in json.loads(status.stdout)["processes"]} == {
            "kafka",
            "clickhouse",
            "gateway",
            "page",
            "worker-1",
        }
        port = addresses["page_url"].rstrip("/").rpartition(":")[2]
        assert f"export TOUCHLINE_PAGE_PORT={port}\n" in shown
        with urllib.request.urlopen(addresses["page_url"], timeout=10) as answer:  # an embedded stack lets everybody in
            assert b"<title>Touchline</title>" in answer.read()
        os.kill(addresses["pids"]["clickhouse"], signal.SIGKILL)
        assert gone([addresses["pids"]["clickhouse"]])
        broken = touchline("status", *where)
        assert (broken.returncode, "GONE" in broken.stdout) == (4, True)
    finally:
        ended = touchline("down", *where)
    assert (ended.returncode, ended.stdout) == (0, "ended: kafka, page, worker-1, gateway\n")
    assert gone(list(addresses["pids"].values()), 0)
