"""What was rejected, on the real stack: kept, shown without persons, mended and sent again, counted once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.rejects import app
from pipeline.intake.rejects import Filter
from pipeline.intake.repair import Edits
from pipeline.intake.replaying import COUNTED, GIVEN_UP, REPLAYED, SENT, STILL_BAD, TRIES, Replay
from pipeline.ledger.rollcall import Muster, attendance
from pipeline.slices import Partition
from tests.chaos import probe
from tests.chaos.generator import Event
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


#: The next version of Touchline.
NEXT = ("-m", "tests.chaos.next_version")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def command(case: Case, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command; in this process, which is seconds faster."""
    result = CliRunner().invoke(app, list(arguments), env=case.environment())
    return result.exit_code, result.stdout, result.stderr


def listed(case: Case, *options: str) -> list[dict[str, Any]]:
    code, out, said = command(case, "rejects", "list", "--json", *options)
    assert code == 0, said
    found: list[dict[str, Any]] = json.loads(out)
    return found


def replayed(case: Case, *options: str) -> dict[str, Any]:
    code, out, said = command(case, "rejects", "replay", "--yes", "--json", *options)
    assert code == 0, said
    found: dict[str, Any] = json.loads(out)
    return found


def dispositions(case: Case) -> dict[str, int]:
    rows = case.rows("SELECT disposition, toInt64(count()) AS n FROM ledger FINAL GROUP BY disposition")
    return {row["disposition"]: row["n"] for row in rows}


def test_of_a_batch_with_one_bad_event_four_count_and_the_mended_fifth_counts_once(case: Case) -> None:
    """C6, C8 and T47: kept, listed, shown, mended, sent again; sent twice or after a kill it counts once."""
    case.worker("one")
    # One of them comes from a newer producer, whose further field we do not know.
    good = [feedback(unique("good"), now_ms(), mood=mood) for mood in (None, None, None, "fine")]
    bad = feedback("bad-1", now_ms(), score=11, text="Call me at jane.doe@example.org", customer="customer-4711")
    later = feedback("v99-1", now_ms(), version=99, customer="customer-12")
    broken = Event("feedback", b"k", b'{"event_id": "x", "channel": "store", "customer_id": "customer-77", "sc')
    places = probe.send(case, [*good[:2], bad, *good[2:], later, broken], part=1)
    case.settle()
    assert dispositions(case) == {"aggregated": 4, "dead_letter": 3}

    found = {row["reason"]: row for row in listed(case)}
    assert set(found) == {"out_of_range", "unknown_version", "not_json"}
    assert found["out_of_range"]["path"] == "$.score"
    assert found["out_of_range"]["id"] == f"feedback/1/1/{places[2][2]}"
    assert {row["producer"] for row in found.values()} == {"/channels/web", "/channels/store"}
    assert [row["reason"] for row in listed(case, "--producer", "/channels/store")] == ["not_json"]
    assert [row["reason"] for row in listed(case, "--reason", "out_of_range", "--stage", "validate")] == [
        "out_of_range"
    ]
    assert listed(case, "--to", "-1h") == []

    code, shown, said = command(case, "rejects", "show", *(row["id"] for row in found.values()))
    assert code == 0, said
    assert '"score": 11' in shown
    assert "Call me at [email]" in shown
    assert not [word for word in ("customer-4711", "customer-77", "jane.doe") if word in shown]

    counts = json.loads(command(case, "rejects", "stats", "--by", "reason,producer", "--json")[1])
    assert sum(row["n"] for row in counts) == 3

    code, _, said = command(case, "rejects", "replay", "--set", "score=9")
    assert (code, "nobody to ask" in said) == (2, True)
    dry = json.loads(command(case, "rejects", "replay", "--set", "score=9", "--dry-run", "--json")[1])
    assert dry["verdicts"] == {SENT: 1, STILL_BAD: 2}
    assert dry["wrong"] == {"unknown_version at $.version": 1, "not_json at $": 1}
    assert dispositions(case) == {"aggregated": 4, "dead_letter": 3}

    assert replayed(case, "--set", "score=9")["verdicts"] == {SENT: 1, STILL_BAD: 2}
    assert replayed(case, "--set", "score=9")["verdicts"] == {REPLAYED: 1, STILL_BAD: 2}
    assert replayed(case, "--set", "version=1", "--reason", "unknown_version")["verdicts"] == {SENT: 1}
    case.settle()
    assert dispositions(case) == {"aggregated": 6, "dead_letter": 3}
    assert [row["replay"] for row in listed(case, "--reason", "out_of_range")] == ["replayed"]

    # A run that was killed after sending and before writing so: the mark of the sending alone is there.
    case.rows("INSERT INTO replays SELECT * REPLACE (0 AS done, ver + 9 AS ver) FROM replays FINAL")
    assert replayed(case, "--set", "score=9", "--reason", "out_of_range")["verdicts"] == {COUNTED: 1}
    # Whatever was tried too often is left to people.
    for tries, verdict in ((TRIES - 1, COUNTED), (TRIES, GIVEN_UP)):
        tried = f"INSERT INTO replays SELECT * REPLACE ({tries} AS tries, 0 AS done, ver + 9 AS ver) FROM replays FINAL"
        case.rows(tried)
        assert replayed(case, "--set", "score=9", "--reason", "out_of_range")["verdicts"] == {verdict: 1}
    case.settle()
    assert dispositions(case) == {"aggregated": 6, "dead_letter": 3}
    assert case.command("audit").returncode == 0


def test_over_a_rolling_upgrade_each_worker_takes_what_it_knows_and_a_replay_brings_the_rest(case: Case) -> None:
    """T47: versions 1, 2 and 99 come to a worker that knows 1, then also to one that knows 2, then to it alone."""
    old = case.worker("old")
    sent: Counter[int] = Counter()

    def reasons_of_a_round() -> dict[int, set[str]]:
        """An event of each version to each partition; what became of them, by version."""
        versions = (1, 2, 99)
        where: list[Any] = []
        for part in range(case.partitions):
            where += probe.send(case, [feedback(unique("v"), now_ms(), version=version) for version in versions], part)
        sent.update(versions * case.partitions)
        eventually(lambda: set(where) <= set(probe.ledger(case)), f"recorded\n{case.words()}", 30)
        rows = probe.ledger(case)
        return {version: {rows[place]["reason"] for place in where[at::3]} for at, version in enumerate(versions)}

    assert reasons_of_a_round() == {1: {""}, 2: {"unknown_version"}, 99: {"unknown_version"}}
    new = case.worker("new", (*NEXT, "worker"))
    both = {1: {""}, 2: {"", "unknown_version"}, 99: {"unknown_version"}}
    eventually(lambda: reasons_of_a_round() == both, f"half of the partitions are the new one's\n{case.words()}", 60)
    assert old.terminate()[0] == 0
    newer = {1: {""}, 2: {""}, 99: {"unknown_version"}}
    eventually(lambda: reasons_of_a_round() == newer, f"all partitions are the new one's\n{case.words()}", 60)
    assert new.running

    refused = dispositions(case)["dead_letter"] - sent[99]
    assert refused > case.partitions
    assert replayed(case)["verdicts"] == {STILL_BAD: refused + sent[99]}, "the old version knows no better"
    replay = [sys.executable, *NEXT, "rejects", "replay", "--yes", "--json"]
    for verdict in (SENT, REPLAYED):
        done = subprocess.run(replay, env={**os.environ, **case.environment()}, capture_output=True, check=True)
        assert json.loads(done.stdout)["verdicts"] == {verdict: refused, STILL_BAD: sent[99]}
    case.settle()
    assert dispositions(case) == {"aggregated": sent[1] + sent[2], "dead_letter": refused + sent[99]}
    assert case.command("audit").returncode == 0


def test_a_producer_that_turns_bad_is_named_within_a_minute_in_log_metric_and_command(case: Case) -> None:
    """C9: one of two producers begins to send what cannot be read."""
    worker = case.worker("one")
    good = [feedback(unique("shop"), now_ms(), channel="store") for _ in range(40)]
    case.produce(good)
    began = time.monotonic()
    case.produce([feedback(unique("web"), now_ms(), score="nine") for _ in range(30)])
    eventually(lambda: worker.metric("touchline_producer_bad") == 1, f"named\n{case.words()}", 60)
    assert time.monotonic() - began < 60
    eventually(lambda: worker.said("producer bad"), "told in the log", 10)
    _, page = worker.page("/metrics")
    assert 'touchline_producer_bad{producer="/channels/web"} 1.0' in page
    assert 'touchline_quarantined_total{producer="/channels/web",reason="wrong_type",schema="feedback.v1"} 30.0' in page
    assert 'touchline_arrivals_total{producer="/channels/store",schema="feedback.v1"} 40.0' in page
    code, told, _ = command(case, "producers", "--json")
    assert code == 3
    states = {row["producer"]: (row["state"], row["why"]) for row in json.loads(told)}
    assert states["/channels/web"] == ("bad", "30 of 30 events of the last minute rejected, mostly wrong_type")
    assert states["/channels/store"][0] == "new"


def test_an_event_that_the_producer_sent_again_by_itself_is_not_replayed(case: Case) -> None:
    case.worker("one")
    case.produce([feedback("again-1", now_ms(), score=11), feedback("again-1", now_ms(), score=10)])
    case.settle()
    assert dispositions(case) == {"aggregated": 1, "dead_letter": 1}
    client = ClickHouse(case.settings)
    plan = Replay(client, case.settings, Filter(0, 2**62), Edits({"score": "10"}), now_ms())
    verdicts = [step.verdict for steps in plan.steps() for step in steps]
    client.close()
    assert verdicts == [COUNTED]


def test_a_producer_that_stops_is_silent_after_its_own_normal_gap_and_not_while_workers_are_behind(case: Case) -> None:
    """C13, on the tables: one sends every ten seconds, one every five minutes; both stopped two minutes ago.

    One sends every night and did not for four of them; one has been away for eight days and is told of no more.
    """
    now = now_ms() // 10_000 * 10_000  # the table forgets after 35 days
    arrivals = [
        (at // 1000, producer, "feedback", "", 1, at)
        for producer, every in (("till", 10_000), ("kiosk", 300_000))
        for at in range(now - 120_000 - 100 * every, now - 119_999, every)
    ]
    day = 86_400_000
    arrivals += [(at // 1000, "nightly", "feedback", "", 9, at) for at in range(now - 30 * day, now - 3 * day, day)]
    gone = range(now - 8 * day - 100 * 60_000, now - 8 * day, 60_000)
    arrivals += [(at // 1000, "gone", "feedback", "", 1, at) for at in gone]

    def arrived(rows: list[tuple[Any, ...]]) -> None:
        names = {"bucket": pl.UInt32, "producer": pl.String, "topic": pl.String, "reason": pl.String}
        client.insert(
            "arrivals", pl.DataFrame(rows, schema=[*names, "n", "last_ms"], orient="row").cast(pl.Schema(names))
        )

    client = ClickHouse(case.settings)
    arrived(arrivals)
    progress = {"topic": "feedback", "epoch": 1, "part": 0, "ver": 1, "seq": 1, "position": 9, "settled": 9}
    client.insert("progress", pl.DataFrame([progress | {"clock_ms": now}]))
    ends = {Partition("feedback", 0): 10}
    behind = {one.producer: one.state for one in Muster(ends={Partition("feedback", 0): 11}).look(client, now, ends)}
    assert behind == {"till": "ok", "kiosk": "ok", "nightly": "ok"}
    watch = Muster(ends=ends)
    found = {one.producer: (one.state, one.gap_ms, one.why) for one in watch.look(client, now, ends)}
    assert found == {
        "till": ("silent", 10_000, "nothing for 2 min; its normal gap is 10 s"),
        "kiosk": ("ok", 300_000, ""),
        "nightly": ("silent", day, "nothing for 4.0 d; its normal gap is 24.0 h"),
    }
    code, told, _ = command(case, "producers", "--json")
    assert (code, [row["state"] for row in json.loads(told)]) == (3, ["silent", "silent", "ok"])
    arrived([(now // 1000, "till", "feedback", "", 1, now)])
    states = {one.producer: one.state for one in watch.look(client, now + 15_000, ends)}
    assert states == {"till": "ok", "kiosk": "ok", "nightly": "silent"}
    left = {one.producer for one in watch.look(client, now + 4 * day, ends)}
    assert left == {"till", "kiosk"}
    assert {row["producer"] for row in attendance(client)} == left, "who is gone is listed no more"
    client.close()
