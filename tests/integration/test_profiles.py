"""Reference data while the worker runs: segments as of the event's own time, a registry that changes under it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.chaos import evidence, probe
from tests.chaos.generator import Event, moment
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique
from tests.chaos.processes import eventually
from tests.stages.worker import REGISTRY

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

CUSTOMER = "customer-4711"
HOUR = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def profile(valid_from_ms: int, *segments: str) -> Event:
    value = {"customer": CUSTOMER, "valid_from": moment(valid_from_ms), "segments": segments}
    return Event("profiles", CUSTOMER.encode(), json.dumps(value).encode())


def known(case: Case, count: int) -> None:
    """The worker has stored so many rows of the topic `profiles`."""
    sql = "SELECT count() AS n FROM profiles FINAL"
    eventually(lambda: case.rows(sql)[0]["n"] == count, f"{count} profiles are stored\n{case.words()}", 40)


def segments_at(case: Case, *times_ms: int) -> list[str]:
    """Segments of new answers of the customer that occurred then."""
    places = probe.send(case, [feedback(unique("e"), at_ms, CUSTOMER) for at_ms in times_ms])
    eventually(lambda: set(places) <= set(probe.ledger(case)), f"all are recorded\n{case.words()}", 40)
    rows = probe.ledger(case, "segments")
    return [rows[place]["segments"] for place in places]


def test_segments_are_those_of_the_events_own_time_also_after_a_kill_a_lost_row_and_a_new_profile(case: Case) -> None:
    worker = case.worker("one")
    change = now_ms() - 2 * HOUR
    probe.send(case, [profile(change - 10 * HOUR, "new"), profile(change, "gold", "app")])
    known(case, 2)
    times = (change - 11 * HOUR, change - 1, change, change + HOUR)
    expected = ["", "new", "app,gold", "app,gold"]
    assert segments_at(case, *times) == expected
    worker.kill()
    # ClickHouse comes back from an older backup: Kafka's committed offset lies ahead of the table.
    table = f"{case.database}.profiles"
    evidence.command(case.direct_url, f"ALTER TABLE {table} DELETE WHERE off = 1 SETTINGS mutations_sync = 2")
    known(case, 1)
    case.worker("two")
    known(case, 2)
    assert segments_at(case, *times) == expected
    probe.send(case, [profile(change + HOUR, "platinum")])
    known(case, 3)
    assert segments_at(case, *times) == ["", "new", "app,gold", "platinum"]
    case.verify()
    cuts = case.rows("SELECT DISTINCT dim FROM windows FINAL WHERE cut = 'segments' AND b9 > 0 ORDER BY dim")
    assert [row["dim"] for row in cuts] == ["app,gold", "new", "platinum"]


def test_a_tombstone_takes_the_customers_segments_away(case: Case) -> None:
    case.worker("one")
    probe.send(case, [profile(now_ms() - 10 * HOUR, "new")])
    known(case, 1)
    assert segments_at(case, now_ms()) == ["new"]
    probe.send(case, [Event("profiles", CUSTOMER.encode(), None)])
    known(case, 2)
    assert segments_at(case, now_ms()) == [""]


def test_a_changed_registry_takes_effect_without_a_restart_and_a_broken_one_does_not(
    case: Case, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.toml"
    registry.write_text(REGISTRY.read_text())
    worker = case.worker("one", REGISTRY=str(registry))

    def owner_now() -> str:
        (place,) = probe.send(case, [feedback(unique("e"), now_ms(), touchpoint="checkout.completed")])
        eventually(lambda: place in probe.ledger(case), f"it is recorded\n{case.words()}", 40)
        return str(probe.ledger(case, "owner")[place]["owner"])

    assert owner_now() == "shop"
    registry.write_text(REGISTRY.read_text().replace('owner = "shop"', 'owner = "care"'))
    eventually(lambda: worker.said("registry changed"), "the change is seen", 20)
    assert owner_now() == "care"
    registry.write_text("default_owner = 3")
    eventually(lambda: worker.said("registry not taken"), "the fault is reported", 20)
    assert owner_now() == "care"
    assert worker.running
