"""Alerts: how soon an answer and a finding are at their receiver, and what a turn costs while much is open.

The receiver is a web server in this process; rows go to the engine and events to Kafka before a message leaves.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime

from pipeline.alerts.book import Book
from pipeline.alerts.calling import Caller
from pipeline.alerts.posting import Posting
from pipeline.alerts.routes import Receiver, Route, Routes
from pipeline.alerts.turn import advance
from pipeline.clickhouse import Pool
from pipeline.intake.producing import Producer
from pipeline.ledger.outbox import Outbox
from pipeline.stack.launch import Stack
from schemas.codec import encode
from schemas.feedback import Feedback
from schemas.vocabulary import Channel, Metric
from tests.bench.figures import Figure, Report, quantile
from tests.bench.place import Place, Worker, drop_place, make_place, running_worker, until
from tests.integration.receivers import DETRACTORS, inbox, to_hook
from tests.unit.alerts.findings import START, finding, routes_of

#: Between two answers: no divisor of a second, so that they meet every moment between two ticks.
_BETWEEN_S = 0.37
#: Alerts that are open at the same time: a bad day of a large installation.
_OPEN = 1_000


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `alerts`."""
    place = make_place(stack, "alerts")
    waits = asyncio.run(_told(place, 10 if quick else 100))
    drop_place(place)
    about = "finding to the answer of its receiver: decided, written to ClickHouse, published, sent"
    report.add(Figure("alert_told_p50", quantile(waits, 0.5), "s", about=about))
    report.add(Figure("alert_told_p95", quantile(waits, 0.95), "s", target="< 5", about=about))
    place = make_place(stack, "heard")
    heard = asyncio.run(_heard(place, 8 if quick else 60))
    drop_place(place)
    about = f"{len(heard)} detractors, each at a touchpoint of its own, from producing to the webhook; a whole worker"
    report.add(Figure("alert_heard_p50", quantile(heard, 0.5), "s", about=about))
    report.add(Figure("alert_heard_p95", quantile(heard, 0.95), "s", target="< 5", about=about))
    one, idle = _turns()
    report.add(
        Figure("turn_raised", one, "ms", cpu=one / 1000, about=f"{_OPEN:,} alerts in one turn, each raised again")
    )
    report.add(
        Figure("turn_idle", idle, "ms", cpu=idle / 1000, about=f"a turn with nothing new, {_OPEN:,} alerts open")
    )


async def _told(place: Place, count: int) -> list[float]:
    """Seconds from each of so many single events to the answer of the webhook."""
    pool, outbox, waits = Pool(place.settings), Outbox(place.settings), []
    async with inbox() as box:
        receiver = Receiver("hook", "webhook", {"url": box.url, "key": "whsec_AAAA"})
        routes = Routes({"hook": receiver}, {"default": Route("default", ("hook",))})
        posting = Posting({"127.0.0.1"})
        caller = Caller(pool, outbox.send, routes, posting)
        await caller.own(START * 1000, lambda found: found + 1)
        for number in range(count):
            now_ms = (START + number) * 1000
            seen = finding(0, event=f"feedback:1:0:{number}", scope={"unit": f"u-{number}"}, owner=f"o-{number}")
            began = time.perf_counter()
            await caller.step([seen], now_ms, lambda found: found + 1)
            assert await caller.deliver(now_ms) == 1
            waits.append(time.perf_counter() - began)
        assert len(box.taken) == count
        await posting.close()
    await outbox.close()
    pool.close()
    return waits


async def _heard(place: Place, count: int) -> list[float]:
    """Seconds from producing each of so many bad answers to its message at the webhook of a route."""
    place.folder.mkdir(parents=True, exist_ok=True)
    (rules := place.folder / "rules.toml").write_text(DETRACTORS)
    routes, sent = place.folder / "routes.toml", dict[str, float]()
    async with inbox() as box, Producer(place.settings) as producer:
        # Each touchpoint is an incident of its own.
        routes.write_text(to_hook(box.url, 'group_by = ["touchpoint"]'))
        files = {"TOUCHLINE_RULES": str(rules), "TOUCHLINE_ROUTES": str(routes)}
        with running_worker(place, variables=files) as worker:
            await asyncio.to_thread(worker.wait_ready)
            await asyncio.to_thread(until, lambda: _looks(worker) > 0, "it has looked once", worker)
            for number in range(count):
                where, now = f"place-{number:03}", datetime.now(UTC)
                event = Feedback(
                    event_id=where, occurred_at=now, channel=Channel.WEB, metric=Metric.NPS, score=1, touchpoint=where
                )
                sent[where] = time.time()
                await producer.send_many("feedback", [where.encode()], [encode(event)])
                await producer.flush()
                await asyncio.sleep(_BETWEEN_S)
            told: dict[str, float] = {}

            def all_told() -> bool:
                for taken in list(box.taken):
                    for where in re.findall(rb"place-[0-9]{3}", taken.body):
                        told.setdefault(where.decode(), taken.at)
                return len(told) >= count

            await asyncio.to_thread(until, all_told, "all have been told", worker)
    return [told[where] - at for where, at in sent.items()]


def _looks(worker: Worker) -> float:
    """How often it looked for alerts: what was recorded before its first look calls nobody."""
    return worker.metrics()["touchline_step_seconds_count"].get("warn", 0.0)


def _turns() -> tuple[float, float]:
    """CPU milliseconds of a turn in which all are raised again, and of one with nothing new."""
    routes, book = routes_of("ops"), Book()

    def many(window: int) -> list[float]:
        seen = [finding(window, scope={"unit": f"u-{n}", "brand": f"b-{n % 20}"}) for n in range(_OPEN)]
        spent = []
        for found in (seen, []):
            began = time.process_time()
            advance(book, routes, found, (), (START + window * 300) * 1000 + len(found))
            spent.append((time.process_time() - began) * 1000)
            book.steps.clear()
        return spent

    many(1)
    rounds = [many(window) for window in range(2, 7)]
    return min(spent[0] for spent in rounds), min(spent[1] for spent in rounds)
