"""`touchline doctor` on the real stack: what is right, what is wrong with its fix, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from pipeline.views.doctor import State, unlisted
from tests.tables import make_tables

ONE_TOUCHPOINT = """default_owner = "care"
[stages]
order = ["buy"]
[owners.care]
name = "Care"
[touchpoints.checkout]
stage = "buy"
owner = "care"
"""

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def doctor(tmp_path: Path, settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process and a folder of its own, with these settings alone."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHLINE_")}
    asked = [sys.executable, "-c", "from pipeline.command.main import main; main()", "doctor", *arguments]
    root = str(Path(__file__).resolve().parents[2])
    where = {"PYTHONPATH": root, "TOUCHLINE_STATE_DIR": str(tmp_path)}
    return subprocess.run(
        asked, capture_output=True, text=True, env={**clean, **where, **settings}, timeout=120, check=False
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


@pytest.fixture
def here(stack: Stack, database: str, topic_prefix: str) -> dict[str, str]:
    """Settings of an empty corner of the stack: no topics and no tables yet."""
    return {
        "TOUCHLINE_BOOTSTRAP_SERVERS": stack.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": stack.clickhouse_url,
        "TOUCHLINE_CLICKHOUSE_DATABASE": database,
        "TOUCHLINE_TOPIC_PREFIX": topic_prefix,
        "TOUCHLINE_TOPIC_PARTITIONS": "2",
        "TOUCHLINE_INSECURE_KEYS": "true",
    }


def command(settings: Mapping[str, str], *arguments: str) -> None:
    code = "from pipeline.command.main import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], env=os.environ | dict(settings), check=True)


def test_missing_topics_and_tables_fail_with_the_fix_and_then_are_right(tmp_path: Path, here: dict[str, str]) -> None:
    first = doctor(tmp_path, here, "--json")
    assert first.returncode == 1, first.stderr
    seen = findings(first)
    assert (seen["topics"]["state"], seen["topics"]["fix"]) == ("fail", "touchline topics apply")
    assert (seen["tables"]["state"], seen["tables"]["fix"]) == ("fail", "touchline migrate")
    command(here, "topics", "apply")
    command(here, "migrate")
    second = doctor(tmp_path, here)
    assert second.returncode == 0, second.stdout + second.stderr
    lines = second.stdout.splitlines()
    for name in ("settings", "registry", "disk", "kafka", "topics", "clickhouse", "tables", "clock", "touchpoints"):
        assert any(line.startswith("ok") and name in line for line in lines), name
    assert any(line.startswith("warn") and "keys" in line for line in lines)
    assert re.search(r"registry +\d+ touchpoints, each with an owner \(bundled\)", second.stdout)
    registry = tmp_path / "registry.toml"
    registry.write_text(ONE_TOUCHPOINT)
    here |= {"TOUCHLINE_REGISTRY": str(registry)}
    other = doctor(tmp_path, here | {"TOUCHLINE_TOPIC_PARTITIONS": "3"}, "--json")
    assert "TOUCHLINE_TOPIC_PARTITIONS=2" in findings(other)["topics"]["fix"]
    assert findings(other)["registry"]["seen"] == f"1 touchpoint, with an owner ({registry})"


def test_touchpoints_that_the_registry_does_not_have_are_named_with_their_events(stack: Stack, database: str) -> None:
    settings = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=database, insecure_keys=True)
    now_ms = time.time_ns() // 1_000_000
    names = (
        ["checkout"] * 3 + ["fax"] * 2 + [f"page-{number:02d}" for number in range(20)] + ["", "rejected", "long ago"]
    )
    fates = ["aggregated"] * (len(names) - 2) + ["dead_letter", "aggregated"]
    arrived = [now_ms] * (len(names) - 1) + [now_ms - 100_000_000]
    rows = pl.DataFrame({"off": range(len(names)), "touchpoint": names, "disposition": fates, "ingest_ms": arrived})
    whose = [pl.lit("feedback").alias("topic"), *(pl.lit(1, pl.UInt16).alias(name) for name in ("epoch", "part"))]
    client = ClickHouse(settings)
    make_tables(client, settings)
    (none,) = unlisted(client, settings)
    assert (none.state, none.fix) == (State.OK, "")
    client.insert("ledger", rows[:5].with_columns(*whose, pl.lit(1, pl.UInt64).alias("ver")))
    (one,) = unlisted(client, settings)
    assert one.seen == "1 touchpoint of the last day's events is not in the registry: fax (2)"
    for ver in (1, 2):  # rewritten rows count once
        client.insert("ledger", rows.with_columns(*whose, pl.lit(ver, pl.UInt64).alias("ver")))
    (found,) = unlisted(client, settings)
    client.close()
    assert found.state is State.WARN
    named, _, more = found.seen.partition(": ")[2].partition(" and ")
    assert named.split(", ") == ["fax (2)", *(f"page-{number:02d} (1)" for number in range(9))]
    assert found.seen.startswith("21 touchpoints of the last day's events are not in the registry")
    assert more == "11 more"
    assert "TOUCHLINE_REGISTRY" in found.fix


def test_what_does_not_answer_is_exit_code_4_and_both_are_named(tmp_path: Path, here: dict[str, str]) -> None:
    nobody = {"TOUCHLINE_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TOUCHLINE_CLICKHOUSE_URL": "http://127.0.0.1:1"}
    done = doctor(tmp_path, here | nobody)
    assert done.returncode == 4
    assert done.stdout.count("touchline up") == 2
    assert done.stderr == ""


def test_wrong_settings_and_missing_keys_are_exit_code_1(tmp_path: Path, here: dict[str, str]) -> None:
    wrong = doctor(tmp_path, here | {"TOUCHLINE_TOPIC_PARTITIONS": "none"}, "--json")
    assert wrong.returncode == 1
    assert "TOUCHLINE_TOPIC_PARTITIONS" in findings(wrong)["settings"]["seen"]
    keyless = doctor(tmp_path, here | {"TOUCHLINE_INSECURE_KEYS": "false"}, "--json")
    assert keyless.returncode == 1
    assert "openssl rand -hex 32" in findings(keyless)["keys"]["fix"]
