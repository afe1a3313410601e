"""How long journeys, drivers, outcomes, consistency and one customer take to read, over 30 days of 5,000,000 events."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pipeline.clickhouse import ClickHouse
from pipeline.customers.watcher import read_registry
from pipeline.journeys.customer import CustomerQuestion, read_customer, read_definition
from pipeline.journeys.drivers import DriverQuestion, read_drivers
from pipeline.journeys.evenness import EvennessQuestion, read_evenness
from pipeline.journeys.outcomes import OutcomeQuestion, read_outcomes
from pipeline.journeys.ways import JourneyQuestion, read_journeys
from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report, note
from tests.bench.place import drop_place, make_place

#: 2026-05-01 00:00 UTC.
_START = 1_777_593_600
_DAY = 86_400
_DAYS = 30
#: Events of one customer in the 30 days, on average.
_EACH = 20
#: Calls of each question; the median is shown.
_CALLS = 3

#: Event number -> ledger row: 60 % touchpoints of 12 kinds and 3 outcomes, 40 % answers of 3 metrics; 40 units,
#: 6 channels, 12 partitions. Hashes stand for chance, so each run has the same events.
_ROWS = """INSERT INTO ledger (topic, epoch, part, off, ver, ingest_ms, disposition, occurred_ms, key_id, customer,
    source, metric, scale, answer, bin, brand, unit, channel, touchpoint, stage, value, currency, event_hash)
SELECT if(touched, 'touchpoints', 'feedback'), 1, customer % 12, number, 1, occurred_ms + 300, 'aggregated',
    {start:Int64} * 1000 + cityHash64(number, 1) % ({days:Int64} * 86400000) AS occurred_ms, 1,
    cityHash64(number, 2) % {customers:UInt64} + 1 AS customer, if(touched, '', 'survey'),
    multiIf(touched, 'volume', kind < 70, 'nps', kind < 85, 'csat', 'ces'),
    multiIf(touched, 'outcome', kind < 70, '0-10', kind < 85, '1-5', '1-7'), bin,
    multiIf(touched, cityHash64(number, 3) % 20 < 18 ? 1 : 2, kind < 70, cityHash64(number, 4) % 11,
        kind < 85, cityHash64(number, 4) % 5, cityHash64(number, 4) % 7) AS bin,
    'acme', concat('u', toString(customer % 40)), ['web', 'app', 'store', 'call', 'email', 'chat'][place % 6 + 1],
    {touchpoints:Array(String)}[place + 1], {stages:Array(String)}[place + 1], if(touched, 10, 0), 'EUR', number
FROM (SELECT number, cityHash64(number, 5) % 100 < 60 AS touched, cityHash64(number, 6) % 100 AS kind,
        cityHash64(number, 7) % length({touchpoints:Array(String)}) AS place
      FROM numbers({first:UInt64}, {count:UInt64}))"""

#: The windows of these answers that the questions read: by stage, and by unit.
_WINDOWS = """INSERT INTO windows (cut, metric, scale, brand, unit, channel, touchpoint, dim, minute, topic, epoch,
    part, ver, seq, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, s1, s2)
SELECT cut, metric, scale, brand, if(cut = 'core', unit, ''), if(cut = 'core', channel, ''),
    if(cut = 'core', touchpoint, ''), if(cut = 'stage', stage, ''), intDiv(occurred_ms, 60000) * 60 AS minute,
    topic, epoch, part, 1, 1, countIf(bin = 0), countIf(bin = 1), countIf(bin = 2), countIf(bin = 3), countIf(bin = 4),
    countIf(bin = 5), countIf(bin = 6), countIf(bin = 7), countIf(bin = 8), countIf(bin = 9), countIf(bin = 10), 0, 0
FROM (SELECT *, arrayJoin(['core', 'stage']) AS cut FROM ledger WHERE metric = 'nps')
GROUP BY ALL"""


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `journeys`."""
    count = 200_000 if quick else 5_000_000
    place = make_place(stack, "journeys", partitions=1)
    client = place.client()
    try:
        customers = _filled(client, count)
        for name, about, ask in _questions(client):
            taken = []
            for _ in range(_CALLS):
                began = time.monotonic()
                ask()
                taken.append(time.monotonic() - began)
            what = f"{about}; {count:,} events of {customers:,} customers in {_DAYS} days"
            report.add(Figure(name, statistics.median(taken), "s", about=what))
    finally:
        client.close()
        drop_place(place)


def _filled(client: ClickHouse, count: int) -> int:
    registry, customers = read_registry(), count // _EACH
    names = list(registry.touchpoints)[:12]
    stages = [registry.touchpoints[name].stage for name in names]
    step = 500_000
    for first in range(0, count, step):
        given = {"start": _START, "days": _DAYS, "customers": customers, "touchpoints": names, "stages": stages}
        client.command(_ROWS, given | {"first": first, "count": min(step, count - first)})
    client.command(_WINDOWS)
    client.command("OPTIMIZE TABLE ledger FINAL")
    note(f"{count:,} events are in the ledger")
    return customers


def _questions(client: ClickHouse) -> list[tuple[str, str, Callable[[], object]]]:
    registry, end = read_registry(), _START + _DAYS * _DAY
    by_stage, by_touchpoint = (
        JourneyQuestion(_START, end, of, arrived=registry.journey.arrived) for of in ("stage", "touchpoint")
    )
    half = _START + 15 * _DAY
    left = OutcomeQuestion(_START, half, end, horizon_days=15, purchases=registry.journey.arrived)
    one = CustomerQuestion(1, 4_711, end * 1000)
    return [
        ("journeys_stage", "journeys by stage", lambda: read_journeys(client, by_stage, registry)),
        (
            "journeys_touchpoint",
            "journeys by touchpoint",
            lambda: read_journeys(client, by_touchpoint, registry),
        ),
        ("drivers_touchpoint", "drivers, met before", lambda: read_drivers(client, DriverQuestion(_START, end))),
        (
            "drivers_moment",
            "drivers, touchpoint and outcome",
            lambda: read_drivers(client, DriverQuestion(_START, end, of="moment")),
        ),
        (
            "drivers_answer",
            "drivers, unit of the answer",
            lambda: read_drivers(client, DriverQuestion(_START, end, of="answer.unit")),
        ),
        ("outcomes", "who left and what was spent", lambda: read_outcomes(client, left)),
        ("consistency", "40 units", lambda: read_evenness(client, EvennessQuestion(_START, end, "unit"))),
        ("customer", "one customer", lambda: read_customer(client, one, read_definition())),
    ]
