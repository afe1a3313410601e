"""`touchline audit` holds on a settled stream, and finds any one row that was deleted, added or altered afterwards."""

from __future__ import annotations

import json
import threading
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.command import demo
from pipeline.command.demo_live import Shown
from pipeline.intake.loading import Loaded
from pipeline.scores.rolling import clear, due, mark, write_hours
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from tests.chaos.harness import Case, deployed

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

EVENTS = 1_500
#: One aggregated row in the middle; the last row of a partition whatever became of it.
ONE = (
    "SELECT topic, part, off FROM ledger FINAL WHERE disposition = '{}' AND off > 20 ORDER BY topic, part, off LIMIT 1"
)
WINDOWS = "SELECT * EXCEPT (ver, seq, version) FROM windows FINAL WHERE {} ORDER BY ALL".format(
    " OR ".join([*(f"b{i} != 0" for i in range(11)), "s1 != 0", "s2 != 0"])
)


@pytest.fixture(scope="module")
def settled(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A small stream that has come to rest; its worker has ended."""
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("audit"))) as case:
        worker = case.worker("one")
        case.feed(rate=3_000, seed=6).start(EVENTS).join()
        case.verify()
        worker.terminate()
        for table in ("ledger", "windows"):
            run(case, f"CREATE TABLE kept_{table} AS {table}")
            run(case, f"INSERT INTO kept_{table} SELECT * FROM {table}")
        yield case


@pytest.fixture
def case(settled: Case) -> Iterator[Case]:
    """The same, put back afterwards."""
    yield settled
    put_back(settled)


def put_back(case: Case) -> None:
    """The tables as they were when the stream had come to rest."""
    for table in ("ledger", "windows"):
        run(case, f"TRUNCATE TABLE {table}")
        run(case, f"INSERT INTO {table} SELECT * FROM kept_{table}")
    for table in ("windows_1h", "rolled"):
        run(case, f"TRUNCATE TABLE {table}")


def run(case: Case, sql: str) -> None:
    """A statement in the case's database; mutations are waited for, the same rows again are stored again."""
    settings = {"mutations_sync": "2", "insert_deduplicate": "0", "async_insert": "0", "database": case.database}
    request = urllib.request.Request(f"{case.direct_url}/?{urllib.parse.urlencode(settings)}", data=sql.encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def audited(case: Case) -> tuple[int, str]:
    """Exit code, and every sentence of what is wrong."""
    done = case.here("audit", "--json")
    if done.exit_code not in (0, 3):
        return done.exit_code, done.stderr
    found = json.loads(done.stdout)
    assert found["holds"] == (done.exit_code == 0)
    sentences = [*found["strays"], *(text for account in found["partitions"] for text in account["wrong"])]
    return done.exit_code, "; ".join(sentences)


def where(row: dict[str, Any]) -> str:
    return f"topic = '{row['topic']}' AND part = {row['part']} AND off = {row['off']}"


def test_the_audit_of_a_settled_stream_holds_and_says_the_equation(case: Case) -> None:
    assert audited(case) == (0, "")
    done = case.command("audit")
    assert done.returncode == 0
    assert "the audit holds" in done.stdout
    assert f"{sum(b.hi - b.lo + 1 for b in case.log_bounds().values())} offsets" in done.stdout
    document = json.loads(case.command("audit", "--json").stdout)
    assert sum(account["lag"] for account in document["partitions"]) == 0


def test_an_owner_that_folds_slowly_is_waited_for(case: Case) -> None:
    """On a busy machine seconds lie between two folds; one that has stopped is found by the tests of added rows."""
    (row,) = case.rows(
        "SELECT epoch, part, ver, seq, position, settled, clock_ms FROM progress FINAL"
        " WHERE topic = 'feedback' ORDER BY part LIMIT 1"
    )

    def stand(settled: int, seq: int) -> None:
        values = (row["epoch"], row["part"], row["ver"], seq, row["position"], settled, row["clock_ms"])
        names = "topic, epoch, part, ver, seq, position, settled, clock_ms"
        run(case, f"INSERT INTO progress ({names}) VALUES ('feedback', {', '.join(map(str, values))})")

    stand(row["settled"] - 5, row["seq"] + 1)
    later = threading.Timer(3.0, stand, (row["settled"], row["seq"] + 2))
    later.start()
    try:
        assert audited(case) == (0, "")
        assert not later.is_alive(), "the audit said so only when the owner had caught up"
    finally:
        later.join()


@pytest.mark.parametrize("disposition", ["aggregated", "duplicate", "dead_letter", "ignored", "late"])
def test_a_deleted_ledger_row_is_found(case: Case, disposition: str) -> None:
    (row,) = case.rows(ONE.format(disposition))
    run(case, f"ALTER TABLE ledger DELETE WHERE {where(row)}")
    code, said = audited(case)
    assert code == 3
    assert "accounted for" in said


def test_a_demo_ends_well_only_with_an_audit_that_holds(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    plan = demo.Plan(seconds=1, folder=None, events=EVENTS, rate=1, json=False, begun_ms=0)
    came = Loaded(events=Counter(history=EVENTS), seconds=1.0), Shown()
    assert demo.concluded(plan, case.settings, *came) == 0
    assert "the audit holds" in capsys.readouterr().out
    (row,) = case.rows(ONE.format("aggregated"))
    run(case, f"ALTER TABLE ledger DELETE WHERE {where(row)}")
    assert demo.concluded(plan, case.settings, *came) == 3
    said = capsys.readouterr().out
    assert ("accounted for" in said, "the audit holds" in said) == (True, False)


@pytest.mark.parametrize("kind", ["disposition = 'aggregated'", "disposition != 'aggregated'"])
def test_the_last_row_of_a_partition_is_missed_too(case: Case, kind: str) -> None:
    """Above it nothing shows a hole: what is left looks like a ledger that is not as far yet."""
    lasts = case.rows(
        "SELECT topic, part, max(ledger.off) AS off FROM ledger FINAL GROUP BY topic, part ORDER BY topic, part"
    )
    row = lasts[0]
    if kind != "disposition = 'aggregated'":  # make the last row one that no window counts
        run(case, f"ALTER TABLE ledger DELETE WHERE {where(row)}")
        names = "topic, epoch, part, off, ver, ingest_ms"
        ignored = f"SELECT {names}, 'ignored', 'tombstone' FROM kept_ledger WHERE {where(row)}"
        run(case, f"INSERT INTO ledger ({names}, disposition, reason) {ignored}")
        assert case.command("rebuild").returncode == 0
        assert audited(case) == (0, "")
    run(case, f"ALTER TABLE ledger DELETE WHERE {where(row)}")
    assert audited(case)[0] == 3


def test_an_added_ledger_row_is_found(case: Case) -> None:
    (row,) = case.rows(ONE.format("aggregated"))
    (every,) = case.rows(
        "SELECT arrayStringConcat(groupArray(name), ', ') AS names FROM system.columns WHERE table = 'ledger' "
        "AND database = currentDatabase() AND name NOT IN ('off', 'row_hash', 'day')"
    )
    names = every["names"]
    run(case, f"INSERT INTO ledger ({names}, off) SELECT {names}, off + 1000000 FROM kept_ledger WHERE {where(row)}")
    code, said = audited(case)
    assert code == 3
    assert "the log ends at" in said


def test_a_second_row_of_an_offset_is_found(case: Case) -> None:
    (row,) = case.rows(ONE.format("dead_letter"))
    run(
        case,
        "INSERT INTO ledger (topic, epoch, part, off, ver, ingest_ms, disposition) "
        f"SELECT topic, epoch, part, off, ver, ingest_ms, 'ignored' FROM kept_ledger WHERE {where(row)}",
    )
    assert audited(case)[0] == 3


def test_a_fence_that_no_owner_has_had_is_found_and_one_that_is_said_a_moment_later_is_none(case: Case) -> None:
    """The first rows of an attempt stand in the ledger before its owner has written `progress`."""
    (row,) = case.rows(ONE.format("aggregated"))
    (every,) = case.rows(
        "SELECT arrayStringConcat(groupArray(name), ', ') AS names FROM system.columns WHERE table = 'ledger' "
        "AND database = currentDatabase() AND name NOT IN ('ver', 'row_hash', 'day')"
    )
    names = every["names"]
    run(case, f"INSERT INTO ledger ({names}, ver) SELECT {names}, ver + 1 FROM kept_ledger WHERE {where(row)}")
    assert audited(case) == (3, "1 ledger rows bear a fence that no owner has had")
    stand = "topic, epoch, part, seq, position, settled, clock_ms"
    mine = f"topic = '{row['topic']}' AND part = {row['part']}"
    said = f"INSERT INTO progress ({stand}, ver) SELECT {stand}, ver + 1 FROM progress FINAL WHERE {mine}"
    later = threading.Timer(2.0, run, (case, said))
    later.start()
    try:
        assert audited(case) == (0, "")
    finally:
        later.join()


@pytest.mark.parametrize(
    "change", ["answer = answer + 1", "disposition = 'late'", "value = value + 0.5", "reason = 'x'"]
)
def test_an_altered_ledger_row_is_found(case: Case, change: str) -> None:
    (row,) = case.rows(ONE.format("aggregated"))
    run(case, f"ALTER TABLE ledger UPDATE {change} WHERE {where(row)}")
    code, said = audited(case)
    assert code == 3
    assert "1 ledger rows do not match their own hash" in said


def one_window(case: Case) -> str:
    (row,) = case.rows("SELECT * FROM windows FINAL WHERE cut = 'core' AND metric = 'nps' ORDER BY ALL LIMIT 1")
    key = ("metric", "brand", "unit", "channel", "touchpoint", "dim", "minute", "topic", "part")
    return "cut = 'core' AND " + " AND ".join(f"{name} = {row[name]!r}" for name in key)


def test_a_deleted_window_row_is_found(case: Case) -> None:
    run(case, f"ALTER TABLE windows DELETE WHERE {one_window(case)}")
    code, said = audited(case)
    assert code == 3
    assert "1 window rows in 1 minutes differ from the ledger" in said


def test_an_added_window_row_is_found(case: Case) -> None:
    names = "cut, metric, scale, brand, unit, channel, dim, minute, topic, epoch, part, ver, seq, s1, s2, "
    names += ", ".join(f"b{i}" for i in range(11))
    added = f"SELECT {names}, 'nowhere' FROM kept_windows WHERE {one_window(case)} ORDER BY seq DESC LIMIT 1"
    run(case, f"INSERT INTO windows ({names}, touchpoint) {added}")
    code, said = audited(case)
    assert code == 3
    assert "1 window rows in 1 minutes differ from the ledger" in said


@pytest.mark.parametrize("change", ["b9 = b9 + 1", "s2 = s2 + 1"])
def test_an_altered_window_row_is_found(case: Case, change: str) -> None:
    run(case, f"ALTER TABLE windows UPDATE {change} WHERE {one_window(case)}")
    code, said = audited(case)
    assert code == 3
    assert "1 window rows in 1 minutes differ from the ledger" in said


@pytest.fixture(scope="class")
def hourly(settled: Case) -> Iterator[Case]:
    """The same stream with every day kept by the hour, as if it were a week old; each test puts right what it did."""
    case = settled
    client = ClickHouse(load_settings(clickhouse_url=case.direct_url, clickhouse_database=case.database))
    for days in due(client, 1 << 15).unrolled:
        assert write_hours(client, days, 1 << 50, 1)
        mark(client, days, 1 << 50, cleared=False)
        clear(client, days, 1 << 50)
    client.close()
    assert case.rows("SELECT count() AS n FROM windows")[0]["n"] == 0
    yield case
    put_back(case)


class TestHours:
    """One deployment kept by the hour, for all of them: making it takes longer than a test."""

    @pytest.mark.parametrize(
        "change",
        [
            "ALTER TABLE windows_1h DELETE WHERE {one}",
            "ALTER TABLE windows_1h UPDATE b9 = b9 + 1 WHERE {one}",
            "INSERT INTO windows_1h ({names}, touchpoint) SELECT {names}, 'nowhere' FROM windows_1h WHERE {one}",
            "INSERT INTO windows SELECT * FROM kept_windows WHERE topic = 'feedback' AND part = {part} LIMIT 1",
            # The last: its rebuild leaves that partition kept by the minute.
            "ALTER TABLE rolled DELETE WHERE topic = 'feedback' AND part = {part}",
        ],
    )
    def test_whatever_happens_to_an_hour_is_found_and_a_rebuild_puts_it_right(self, hourly: Case, change: str) -> None:
        key = "cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch, part"
        (row,) = hourly.rows(f"SELECT {key} FROM windows_1h WHERE b9 > 0 AND topic = 'feedback' ORDER BY ALL LIMIT 1")
        one = " AND ".join(f"{name} = {value!r}" for name, value in row.items())
        names = ", ".join([*key.replace("touchpoint, ", "").split(", "), "ver", "seq", *(f"b{i}" for i in range(11))])
        run(hourly, change.format(one=one, names=names, part=row["part"]))
        code, said = audited(hourly)
        assert code == 3
        assert "differ from the ledger" in said or "written late, read by nobody" in said
        done = hourly.here("rebuild")
        assert done.exit_code == 0, done.output
        assert audited(hourly) == (0, "")


def test_a_part_that_cannot_be_reached_is_exit_4(case: Case) -> None:
    for broken in (replace(case, url="http://127.0.0.1:9"), replace(case, bootstrap="127.0.0.1:9")):
        code, said = audited(broken)
        assert code == 4
        assert "touchline doctor" in said


def test_a_rebuild_without_workers_restores_the_windows_byte_for_byte(case: Case) -> None:
    before = case.rows(WINDOWS)
    run(case, "ALTER TABLE windows DELETE WHERE cityHash64(minute, touchpoint) % 2 = 0")
    run(case, "ALTER TABLE windows UPDATE b9 = b9 + 5 WHERE cut = 'stage'")
    assert audited(case)[0] == 3
    done = case.command("rebuild", "--json")
    assert done.returncode == 0, done.stderr
    parts = json.loads(done.stdout)
    assert all(part["equal"] for part in parts)
    assert sum(part["written"] for part in parts) > 0
    assert case.rows(WINDOWS) == before
    assert audited(case) == (0, "")


def test_a_rebuild_with_workers_is_carried_out_by_the_owners(case: Case) -> None:
    before = case.rows(WINDOWS)
    worker = case.worker("two")
    case.feed(rate=3_000, seed=7).start(200).join()
    case.verify()
    grown = case.rows(WINDOWS)
    assert len(grown) > len(before)
    run(case, "ALTER TABLE windows DELETE WHERE cityHash64(minute, touchpoint) % 2 = 0")
    done = case.command("rebuild", "--wait", "60")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "their owners rebuild" in done.stderr
    assert case.rows(WINDOWS) == grown
    assert audited(case) == (0, "")
    worker.terminate()
