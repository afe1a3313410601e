"""The commands of docker-compose.yml do in a clean environment what the containers would do.

Nothing is taken from this process: no HOME, no settings, only what the image and the Compose file give. The addresses
of `kafka` and `clickhouse` become those of the embedded stack.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.stack import processes
from pipeline.stack.jars import class_path
from pipeline.stack.java import find_java
from pipeline.stack.launch import Stack
from tests import compose

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: Two workers on two busy cores; one alone is ready in 5 s.
READY_S = 90.0
#: How often to ask again; short against what is waited for.
LOOK_S = 0.1


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    project = compose.load(compose.build_checker(tmp_path_factory.mktemp("compose")))
    found = project["services"]
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class Container:
    """One container as a process of this machine: arguments, environment, and a working folder it may not fill."""

    arguments: list[str]
    environment: dict[str, str]
    health: list[str]
    folder: Path

    def start(self) -> subprocess.Popen[bytes]:
        log = self.folder.with_suffix(".log").open("ab")
        with log:
            return subprocess.Popen(
                self.arguments, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def is_healthy(self) -> bool:
        asked = subprocess.run(self.health, env=self.environment, cwd=self.folder, capture_output=True, check=False)
        return asked.returncode == 0

    @property
    def log(self) -> str:
        return self.folder.with_suffix(".log").read_text()[-4000:]


def image_says(word: str) -> list[str]:
    """The list behind an instruction of the Dockerfile: ENTRYPOINT."""
    text = (compose.ROOT / "deploy" / "Dockerfile").read_text()
    found = json.loads(re.findall(rf"^{word} (\[.*\])$", text, flags=re.M)[-1])
    assert isinstance(found, list)
    return found


def container(service: Mapping[str, Any], folder: Path, replaced: Mapping[str, str]) -> Container:
    """What Docker would run for a service, with `replaced` settings: the addresses and the names of this test."""
    folder.mkdir()
    state = folder.with_suffix(".state")  # the image brings it
    state.mkdir()
    ports = {
        ":6066/": replaced.get("TOUCHLINE_WEB_PORT", "6066"),
        ":6080/": replaced["TOUCHLINE_PAGE_PORT"],
        ":8080/": replaced["TOUCHLINE_GATEWAY_PORT"],
    }
    health = service.get("healthcheck", {}).get("test", [])[1:]
    for inside, port in ports.items():
        health = [part.replace(inside, f":{port}/") for part in health]
    return Container(
        arguments=[*(service["entrypoint"] or image_says("ENTRYPOINT")), *service["command"]],
        environment={
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",  # the image's user has none
            "TOUCHLINE_STATE_DIR": str(state),
            **service["environment"],
            **replaced,
        },
        health=health,
        folder=folder,
    )


@pytest.fixture
def ours(stack: Stack, topic_prefix: str, database: str) -> dict[str, str]:
    """What differs from the containers: where the stack is, and names that keep this test apart."""
    return {
        "TOUCHLINE_BOOTSTRAP_SERVERS": stack.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": stack.clickhouse_url,
        "TOUCHLINE_TOPIC_PREFIX": topic_prefix,
        "TOUCHLINE_CLICKHOUSE_DATABASE": database,
        "TOUCHLINE_GROUP": topic_prefix + "group",
        "TOUCHLINE_TOPIC_PARTITIONS": "2",
        "TOUCHLINE_GATEWAY_HOST": "127.0.0.1",
        "TOUCHLINE_GATEWAY_PORT": str(processes.free_port()),
        "TOUCHLINE_PAGE_HOST": "127.0.0.1",
        "TOUCHLINE_PAGE_PORT": str(processes.free_port()),
        "TOUCHLINE_GATEWAY_HEALTH_PORT": "0",
        "TOUCHLINE_WEB_HOST": "127.0.0.1",  # a container's 0.0.0.0 is its own; this machine's is not
    }


def wait_until_healthy(started: Mapping[str, tuple[Container, subprocess.Popen[bytes]]]) -> None:
    deadline = time.monotonic() + READY_S
    waiting = dict(started)
    while waiting:
        for name, (box, process) in list(waiting.items()):
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{box.log}"
            if box.is_healthy():
                del waiting[name]
        assert time.monotonic() < deadline, f"not healthy: {[(name, box.log) for name, (box, _) in waiting.items()]}"
        time.sleep(LOOK_S)


def test_the_job_prepares_and_two_workers_a_gateway_and_a_page_become_ready_and_stop_cleanly(
    services: dict[str, Any], ours: dict[str, str], tmp_path: Path
) -> None:
    too_early = container(services["worker"], tmp_path / "early", ours | {"TOUCHLINE_WEB_PORT": "0"})
    refused = too_early.start().wait(60)
    assert refused != 0, "a worker must not start before topics and tables are there"
    assert "touchline topics apply" in too_early.log or "touchline migrate" in too_early.log

    for attempt in ("first", "again"):
        job = container(services["prepare"], tmp_path / f"prepare-{attempt}", ours)
        assert job.start().wait(60) == 0, job.log
        assert list(job.folder.iterdir()) == []

    started: dict[str, tuple[Container, subprocess.Popen[bytes]]] = {}
    try:
        for number in range(services["worker"]["deploy"]["replicas"]):
            port = str(processes.free_port(frozenset()))
            box = container(services["worker"], tmp_path / f"worker-{number}", ours | {"TOUCHLINE_WEB_PORT": port})
            started[f"worker-{number}"] = (box, box.start())
        for name in ("gateway", "page"):
            box = container(services[name], tmp_path / name, ours)
            started[name] = (box, box.start())
        wait_until_healthy(started)
        for name, (box, process) in started.items():
            stopped_at = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, f"{name}:\n{box.log}"
            assert time.monotonic() - stopped_at < 15, f"{name} took too long to stop"
            assert list(box.folder.iterdir()) == [], "the image's user may not write to /app"
    finally:
        for _, process in started.values():
            process.kill()
            process.wait()


def properties(environment: Mapping[str, str]) -> dict[str, str]:
    """Kafka's properties as its image makes them from the environment: KAFKA_LOG_DIRS -> log.dirs."""
    names = {name for name in environment if name.startswith("KAFKA_")}
    assert not any("__" in name for name in names), "a doubled underscore means something else to the image"
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): environment[name] for name in names}


@contextmanager
def broker(service: Mapping[str, Any], folder: Path, ports: Mapping[str, int]) -> Iterator[subprocess.Popen[bytes]]:
    """The broker of the Compose file: same version, same properties, other ports and folder."""
    said = properties(service["environment"])
    said["log.dirs"] = str(folder / "data")
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        for port, taken in ports.items():
            said[name] = re.sub(rf"(//|@)\w*:{port}\b", rf"\g<1>127.0.0.1:{taken}", said[name])
    config = folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    jars = class_path(lambda _: None)
    java = [str(find_java("")), "-Xmx512m", "-XX:+UseSerialGC", "-cp", os.pathsep.join(map(str, jars))]
    cluster = service["environment"]["CLUSTER_ID"]
    format_it = [*java, "kafka.tools.StorageTool", "format", "-c", str(config), "-t", cluster]
    done = subprocess.run(format_it, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with (folder / "kafka.log").open("ab") as log:
        process = subprocess.Popen([*java, "kafka.Kafka", str(config)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_the_broker_of_the_compose_file_starts_and_answers(services: dict[str, Any], tmp_path: Path) -> None:
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaConnectionError

    taken: dict[str, int] = {}
    for port in ("19092", "9092", "29093"):
        taken[port] = processes.free_port(frozenset(taken.values()))
    with broker(services["kafka"], tmp_path, taken) as process:
        deadline = time.monotonic() + READY_S
        while True:
            assert process.poll() is None, (tmp_path / "kafka.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the broker does not answer"
            client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{taken['9092']}", request_timeout_ms=2000)
            try:
                await client.bootstrap()
            except KafkaConnectionError:
                await asyncio.sleep(LOOK_S)
                continue
            finally:
                await client.close()
            break
        # Clients of this machine are sent to the port that is published for them, not to the name inside.
        assert {member.port for member in client.cluster.brokers()} == {taken["9092"]}
    assert (tmp_path / "data" / "meta.properties").exists(), "the log lies where the volume is"
