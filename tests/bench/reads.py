"""Reading scores: what a question costs on 30 days of 5,000,000 answers, 40 units x 12 touchpoints x 6 channels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from pipeline.clickhouse import ClickHouse
from pipeline.scores import compared
from pipeline.scores.history import histories
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.spans import zone
from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.load import now_ms
from tests.bench.place import drop_place, make_place

_DAYS = 30
_DAY = 86_400
#: Days that a deployment keeps by the minute.
_MINUTES_DAYS = 7
#: Partitions of the table `windows`, days in turn.
_PARTITIONS = 8
#: Answers of each of 500,000 customers, evenly over the time; 1 in 50 came after its window was closed.
LEDGER = """INSERT INTO ledger (topic, epoch, part, off, ver, ingest_ms, disposition, reason, event_hash, occurred_ms,
    key_id, customer, source, metric, scale, answer, bin, brand, unit, channel, touchpoint)
SELECT 'feedback', 1, number % 12, intDiv(number, 12), 1,
    {begin:Int64} + intDiv(number * {span:Int64}, {count:Int64}) AS at_ms,
    'aggregated', if(number % 50 = 0, 'delayed', ''), number + 1,
    at_ms - if(number % 50 = 0, 3600000, 1000), 1, cityHash64(number) % 500000 + 1, 'survey', 'nps', '0-10',
    cityHash64(number, 1) % 11 AS answer, answer, 'acme', concat('u', toString(cityHash64(number, 2) % 40)),
    ['web', 'app', 'store', 'call', 'email', 'chat'][cityHash64(number, 3) % 6 + 1],
    concat('t', toString(cityHash64(number, 4) % 12))
FROM numbers({count:UInt64})"""
WINDOWS = """INSERT INTO windows (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch,
    part, ver, seq, {bins}, s1, s2)
SELECT 'core', metric, scale, brand, unit, channel, touchpoint, '', intDiv(occurred_ms, 60000) * 60 AS minute_, topic,
    epoch, part, 1, 1, {sums}, 0, 0
FROM ledger GROUP BY metric, scale, brand, unit, channel, touchpoint, minute_, topic, epoch, part""".format(
    bins=", ".join(f"b{i}" for i in range(11)), sums=", ".join(f"countIf(bin = {i})" for i in range(11))
)
#: Days older than a week as a deployment keeps them: by the hour.
_HOURS = """INSERT INTO windows_1h (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch,
    part, ver, seq, {bins}, s1, s2)
SELECT cut, metric, scale, brand, unit, channel, touchpoint, dim, intDiv(minute, 3600) * 3600 AS hour, topic, epoch,
    part, 1, 1, {sums}, 0, 0
FROM windows WHERE minute < {{until:UInt32}}
GROUP BY cut, metric, scale, brand, unit, channel, touchpoint, dim, hour, topic, epoch, part""".format(
    bins=", ".join(f"b{i}" for i in range(11)), sums=", ".join(f"sum(b{i})" for i in range(11))
)
_ROLLED = """INSERT INTO rolled (topic, epoch, part, day, ver, cleared)
SELECT DISTINCT topic, epoch, part, intDiv(minute, 86400), 1, 1 FROM windows WHERE minute < {until:UInt32}"""
#: All of it is settled.
PROGRESS = """INSERT INTO progress (topic, epoch, part, ver, seq, position, settled, clock_ms)
SELECT topic, epoch, part, 1, 1, max(off), max(off), max(occurred_ms) FROM ledger GROUP BY topic, epoch, part"""
#: A closing every five minutes, one row a partition, a minute after the window's end.
_FRONTIERS = """INSERT INTO frontiers (window_end, topic, epoch, part, off, ver, closed_ms)
SELECT w, 'feedback', 1, p, intDiv((w * 1000 + 60000 - {begin:Int64}) * {count:Int64}, {span:Int64} * 12), 1,
    w * 1000 + 60000
FROM (SELECT toUInt32(intDiv({begin:Int64}, 300000) * 300 + 300 * (number + 1)) AS w FROM numbers({closings:UInt64}))
ARRAY JOIN range(12) AS p"""


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `reads`."""
    count, repeats = (200_000, 3) if quick else (5_000_000, 15)
    place = make_place(stack, "reads", partitions=12)
    client = place.client()
    end = now_ms() // 1000 // 3600 * 3600
    span = _DAYS * _DAY * 1000
    values = {"begin": end * 1000 - span, "span": span, "count": count, "closings": _DAYS * 288 - 1}
    for sql in (LEDGER, WINDOWS, _FRONTIERS):
        client.command(sql, values)
    _roll(client, (end - _MINUTES_DAYS * _DAY) // _DAY * _DAY)
    _settle(client, end)
    rows = client.query("SELECT (SELECT count() FROM windows) AS w, (SELECT count() FROM frontiers) AS f").row(0)
    note(f"{count:,} answers in {rows[0]:,} window rows, {rows[1]:,} rows in frontiers")
    for name, target, about, ask in questions(client, end):
        took = [_timed(ask) for _ in range(repeats)]
        p95 = sorted(took)[max(0, round(0.95 * len(took)) - 1)]
        report.add(Figure(f"read_{name}", 1000 * p95, "ms p95", target=target, about=about))
        note(f"{name}: median {1000 * statistics.median(took):.0f} ms")
    report.add(
        Figure("frontier_rows", rows[1] / _DAYS, "rows/day", target="", about="12 partitions, a closing each 5 min")
    )
    client.close()
    drop_place(place)


def _roll(client: ClickHouse, until: int) -> None:
    """Minutes before `until` (Unix seconds, a midnight) are kept by the hour, where this database has such a table."""
    here = "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'windows_1h'"
    if not client.query(here)["n"][0]:
        return
    for sql in (_HOURS, _ROLLED):
        client.command(sql, {"until": until})
    client.command("ALTER TABLE windows DELETE WHERE minute < {until:UInt32}", {"until": until}, {"mutations_sync": 2})
    hours = client.query("SELECT count() AS n FROM windows_1h")["n"][0]
    note(f"days older than a week are {hours:,} rows by the hour")


def _settle(client: ClickHouse, end: int) -> None:
    """Days before the newest one are single parts, as the server makes them once nothing came for an hour."""
    days = client.query("SELECT DISTINCT intDiv(minute, 86400) AS day FROM windows")["day"].to_list()
    for day in sorted(set(days) - {(end - 1) // _DAY}):
        client.command(f"OPTIMIZE TABLE windows PARTITION {day % _PARTITIONS} FINAL")
    client.command("OPTIMIZE TABLE windows_1h FINAL")


def questions(client: ClickHouse, end: int) -> list[tuple[str, str, str, Callable[[], object]]]:
    """Name, target, what it is, and the question itself."""
    day = Question("nps", end - _DAY, end, None, ("channel", "touchpoint"))
    month = Question("nps", end - _DAYS * _DAY, end, None, ("unit", "channel", "touchpoint"))
    hours = Question("nps", end - _DAY, end, 3600, ("channel",))
    as_of = replace(hours, as_of_ms=(end - 3600) * 1000)
    return [
        ("dashboard", "< 100", "24 h by channel and touchpoint", lambda: read_scores(client, day)),
        ("month", "< 1000", "30 days by unit, channel and touchpoint", lambda: read_scores(client, month)),
        ("as_of", "", "24 h by hour and channel, as known an hour ago", lambda: read_scores(client, as_of)),
        (
            "voices",
            "",
            "24 h by hour and channel, one voice per customer",
            lambda: read_scores(client, replace(hours, one_voice=True)),
        ),
        ("why", "", "24 h by hour: every number and its reasons", lambda: histories(client, replace(hours, by=()))),
        (
            "compare",
            "",
            "24 h by hour and channel with changes, trend and smallest drop",
            lambda: compared.compare(client, hours, read_scores(client, hours), zone("UTC")),
        ),
    ]


def _timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began
