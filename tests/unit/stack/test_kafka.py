"""Kafka's configuration."""

from __future__ import annotations

from pathlib import Path

from pipeline.stack.kafka import Broker, properties


def test_the_broker_listens_on_this_machine_only() -> None:
    found = properties(Broker(Path("/d"), Path("/l"), 20001, 20002))
    assert found["listeners"] == "CLIENT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert found["log.dirs"] == "/d/data"  # else Kafka writes to the machine's temporary folder
    assert found["auto.create.topics.enable"] == "false"
