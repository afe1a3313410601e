"""Apache Kafka as one process [I/O]: configuration, format of a new folder, the command, readiness.

KRaft with broker and controller in one JVM, plaintext, on 127.0.0.1 only. The controller's voters are given as
fixed text (not kept in the log), so that a folder can start on other ports later.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackError
from pipeline.settings import java_home
from pipeline.stack.jars import Note, class_path
from pipeline.stack.java import find_java
from pipeline.stack.processes import Command, Process, answers, is_alive, last_words

_LOGGING = Path(__file__).with_name("log4j2.xml")
#: Measured need is 230-300 MB resident; the serial collector suits two cores and starts fastest.
#: Without the optimising compiler: a start takes 1.8 s of CPU instead of 2.8, and over the first million events a
#: broker takes a third less of an event, since what it would win by better code it spends on making it.
_JVM = ("-Xmx512m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8")
#: A start on a slow disk after SIGKILL re-reads the logs; 2-4 s are usual.
_READY_S = 120.0
_LOOK_S = 0.03
#: After SIGKILL a broker may come back only when its old session has ended (9 s by default: a start of 12 s).
_SESSION_MS = "3000"


@dataclass(frozen=True, slots=True)
class Broker:
    """One Kafka: its folder (data and configuration), its log folder, its two ports.

    `behind`: (port, advertised port) of a second listener for clients that come through a proxy; a client goes on
    to the address that the broker advertises, so a proxy works only where the broker names it.
    """

    folder: Path
    logs: Path
    port: int
    controller_port: int
    behind: tuple[int, int] | None = None

    @property
    def address(self) -> str:
        """For clients."""
        return f"127.0.0.1:{self.port}"


def properties(broker: Broker) -> dict[str, str]:
    """The broker's configuration: small, single, quick to rebalance; nothing is created unasked."""
    listeners = [f"CLIENT://127.0.0.1:{broker.port}"]
    advertised = list(listeners)
    if broker.behind is not None:
        listeners.append(f"PROXIED://127.0.0.1:{broker.behind[0]}")
        advertised.append(f"PROXIED://127.0.0.1:{broker.behind[1]}")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{broker.controller_port}",
        "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{broker.controller_port}"]),
        "advertised.listeners": ",".join(advertised),
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "log.dirs": str(broker.folder / "data"),
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        "num.partitions": "12",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "2",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": str(4 << 20),
        "log.index.size.max.bytes": str(2 << 20),
        "broker.session.timeout.ms": _SESSION_MS,
        "broker.heartbeat.interval.ms": "500",
    }


def prepare(broker: Broker, note: Note) -> list[str]:
    """Jars checked, configuration written, a new folder formatted. Returns the command that runs the broker."""
    jars = class_path(note)
    java = find_java(java_home())
    broker.folder.mkdir(parents=True, exist_ok=True)
    broker.logs.mkdir(parents=True, exist_ok=True)
    config = broker.folder / "server.properties"
    config.write_text("".join(f"{key}={_escaped(value)}\n" for key, value in properties(broker).items()))
    base = [str(java), *_JVM, f"-Dtouchline.logs={broker.logs}", f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}"]
    base += ["-cp", os.pathsep.join(map(str, jars))]
    if not (broker.folder / "data" / "meta.properties").exists():
        note("Kafka: formatting a new folder")
        _format(base, config, broker)
    return [*base, "kafka.Kafka", str(config)]


def _escaped(value: str) -> str:
    """As Java reads property files: a backslash starts an escape."""
    return value.replace("\\", "\\\\")


def _format(base: list[str], config: Path, broker: Broker) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = [*base, "kafka.tools.StorageTool", "format", "-c", str(config), "-t", cluster.replace("-", "A", 1)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"Kafka could not format {broker.folder}: {done.stderr.strip() or done.stdout.strip()}")


def command(broker: Broker, note: Note, tied: bool) -> Command:
    """What starts the broker; prepares the folder first."""
    return Command("kafka", prepare(broker, note), broker.logs / "kafka.out", broker.address, {}, tied)


def wait_ready(broker: Broker, process: Process) -> None:
    """Return when the broker answers a metadata request. StackError when it ends or takes too long."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if not is_alive(process):
            break
        if answers(broker.port) and _answers_metadata(broker.address):
            return
        time.sleep(_LOOK_S)
    words = last_words(broker.logs / "kafka.out")
    raise StackError(f"Kafka did not come up on {broker.address}: {words}; also {broker.logs / 'kafka.log'}")


def _answers_metadata(address: str) -> bool:
    """Ask in a thread of its own: the caller may have an event loop running."""
    found: list[bool] = []
    asker = threading.Thread(target=lambda: found.append(asyncio.run(_has_brokers(address))))
    asker.start()
    asker.join()
    return found == [True]


async def _has_brokers(address: str) -> bool:
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=address, request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
