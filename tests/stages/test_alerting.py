"""The book of alerts on the real ClickHouse and Kafka: steps are rows and events, owners take over, people ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from pipeline.alerts import asking
from pipeline.alerts.calling import Caller
from pipeline.alerts.entries import Notice
from pipeline.alerts.finding import Verdict
from pipeline.alerts.outbox import Answer
from pipeline.alerts.reading import history, read_book
from pipeline.alerts.reading import orders as read_orders
from pipeline.alerts.routes import Receiver, Route, Routes
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.ledger.outbox import Outbox
from pipeline.settings import Settings
from pipeline.topics import partitions_of, stopped
from pipeline.views.page.server import Server
from pipeline.views.page.view import Grant
from schemas.outgoing import Alert
from tests.integration.page_place import serving, until
from tests.unit.alerts.findings import START, finding, routes_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

NOW = START * 1000
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Post:
    """A transport that keeps what it is given and answers as told."""

    taken: list[Notice] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    refreshed: list[tuple[int, list[str]]] = field(default_factory=list)

    async def deliver(self, receiver: Receiver, notice: Notice, now_ms: int) -> Answer:
        """Keeps the notice."""
        answer = self.answers.pop(0) if self.answers else Answer("sent")
        if answer.fate == "sent":
            self.taken.append(notice)
        return answer

    async def refresh(self, receiver: Receiver, accounts: Any, now_ms: int) -> None:
        """Keeps when, and what still fires."""
        self.refreshed.append((now_ms, [str(account.state) for account in accounts]))


@dataclass
class Office:
    """What callers of one test share."""

    settings: Settings
    pool: Pool
    outbox: Outbox

    def caller(self, post: Post) -> Caller:
        """A worker's caller that owns nothing yet."""
        return Caller(self.pool, self.outbox.send, routes_of("ops"), post)

    async def events(self) -> list[Alert]:
        """Every record of the topic `alerts` so far."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers, enable_auto_commit=False)
        await consumer.start()
        try:
            parts = await partitions_of(consumer, self.settings.topic("alerts"))
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)
            found: list[Alert] = []
            while any([await consumer.position(part) < ends[part] for part in parts]):
                batches = await consumer.getmany(timeout_ms=1_000)
                found += [msgspec.json.decode(r.value, type=Alert) for batch in batches.values() for r in batch]
            return found
        finally:
            await stopped(consumer)


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    """A pool and a producer."""
    made = Office(settings, Pool(settings), Outbox(settings))
    yield made
    await made.outbox.close()
    made.pool.close()
    made.pool._executor.shutdown(wait=True)


def fence(number: int) -> Any:
    """A fence of a worker in that generation."""
    return lambda found: max(number << 16, found + 1) if number else found + 1


def books(caller: Caller) -> list[str]:
    assert caller.book is not None
    return sorted(repr(entry) for entry in caller.book.entries())


@contextlib.asynccontextmanager
async def working(one: Caller) -> AsyncIterator[None]:
    """The caller carries out what people ask, as a worker does."""
    ended = asyncio.Event()

    async def work() -> None:
        now = NOW + 1_000
        while not ended.is_set():
            await one.step([], now, fence(1))
            await one.deliver(now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.05)

    worker = asyncio.create_task(work())
    try:
        yield
    finally:
        ended.set()
        await worker


async def test_every_step_is_a_row_and_an_event_and_the_next_owner_has_the_same_book(office: Office) -> None:
    post = Post()
    one = office.caller(post)
    await one.step([finding(1)], NOW, fence(1))
    await one.deliver(NOW)
    await one.step([finding(2, Verdict.CALM)], NOW + 300_000, fence(1))
    await one.deliver(NOW + 300_000)
    assert [notice.state for notice in post.taken] == ["firing", "resolved"]
    before = books(one)
    two = office.caller(post)
    await two.step([], NOW + 301_000, fence(2))
    await two.deliver(NOW + 301_000)
    assert books(two) == before
    assert len(post.taken) == 2, "what was sent is not sent again by the next owner"
    client = ClickHouse(office.settings)
    (incident,) = read_book(client).incidents.values()
    story = [(s.kind, s.step) for s in history(client, [incident.key, *incident.members]) if s.step != "grouped"]
    view = client.query("SELECT state, owner, scope FROM alerts")
    client.close()
    assert story == [
        ("alert", "firing"),
        ("incident", "opened"),
        ("incident", "firing"),
        ("alert", "resolved"),
        ("incident", "resolved"),
    ]
    assert view.rows() == [("resolved", "logistics", "brand=acme,touchpoint=delivery")]
    events = await office.events()
    assert [(e.kind, e.step) for e in sorted(events, key=lambda e: (e.at, e.kind, e.revision)) if e.step != "grouped"]
    assert {(e.kind, e.step) for e in events} >= set(story)
    fired = next(e for e in events if e.step == "firing" and e.kind == "alert")
    assert (fired.owner, fired.score and fired.score.n, fired.severity) == ("logistics", 400, "error")


async def test_what_was_decided_and_not_sent_is_sent_by_the_next_owner_under_the_same_id(office: Office) -> None:
    first, second = Post(), Post()
    one = office.caller(first)
    await one.step([finding(1)], NOW, fence(1))
    assert one.book is not None
    (decided,) = one.book.sendings.values()
    two = office.caller(second)
    await two.step([], NOW + 1_000, fence(2))
    await two.deliver(NOW + 1_000)
    assert [notice.id for notice in second.taken] == [decided.id]
    # The former owner, which knows nothing of it yet, looks before it sends.
    assert await one.deliver(NOW + 1_001) == 0
    assert first.taken == []
    assert one.book is None


async def test_a_former_owner_writes_rows_that_do_not_count(office: Office) -> None:
    one, two = office.caller(Post()), office.caller(Post())
    await one.step([finding(1)], NOW, fence(1))
    await two.step([], NOW + 1_000, fence(2))
    # It was frozen and goes on: its step is written under its older fence, and it learns that it is none any more.
    assert await one.step([finding(2, Verdict.CALM), finding(2, rule="late")], NOW + 2_000, fence(1)) == 0
    assert one.book is None
    three = office.caller(Post())
    await three.step([], NOW + 3_000, fence(3))
    assert books(three) == books(two)


async def test_a_step_that_was_written_and_not_published_is_published_by_the_next_owner(office: Office) -> None:
    one = office.caller(Post())

    async def broken(topic: str, messages: Any) -> int:
        raise ConnectionError("killed between the row and the event")

    one._publish = broken
    with pytest.raises(ConnectionError):
        await one.step([finding(1)], NOW, fence(1))
    assert await office.events() == []
    await office.caller(Post()).step([], NOW + 1_000, fence(2))
    assert {(e.kind, e.step) for e in await office.events()} >= {("alert", "firing"), ("incident", "opened")}


async def test_a_failing_receiver_gets_the_message_later_with_the_same_id(office: Office) -> None:
    post = Post(answers=[Answer("again", "500"), Answer("again", "429", 60.0)])
    one = office.caller(post)
    await one.step([finding(1)], NOW, fence(1))
    assert await one.deliver(NOW) == 1
    assert await one.deliver(NOW + 1_000) == 0
    two = office.caller(post)  # the attempts so far stand in the rows
    await two.step([], NOW + 8_000, fence(2))
    assert await two.deliver(NOW + 8_000) == 1
    assert await two.deliver(NOW + 60_000) == 0
    assert await two.deliver(NOW + 68_000) == 1
    assert two.book is not None
    (sent,) = two.book.sendings.values()
    assert (sent.attempts, sent.state, [n.id for n in post.taken]) == (3, "sent", [sent.id])


async def test_an_alertmanager_is_told_again_each_minute_and_five_minutes_after_the_end(office: Office) -> None:
    post = Post()
    routes = Routes({"am": Receiver("am", "alertmanager", {"url": "-"})}, {"default": Route("default", ("am",))})
    one = Caller(office.pool, office.outbox.send, routes, post)
    await one.step([finding(1)], NOW, fence(1))
    for second in (30, 31, 60, 89, 91):
        await one.step([], NOW + second * 1_000, fence(1))
        await one.deliver(NOW + second * 1_000)
    await one.step([finding(2, Verdict.CALM)], NOW + 100_000, fence(1))
    for second in (152, 213, 399, 461):
        await one.deliver(NOW + second * 1_000)
    assert [((at - NOW) // 1_000, states) for at, states in post.refreshed] == [
        (30, ["firing"]),
        (91, ["firing"]),
        (152, ["resolved"]),
        (213, ["resolved"]),
        (399, ["resolved"]),
    ]


async def touchline(office: Office, *words: str) -> tuple[int, Any]:
    """The command's exit code and its JSON."""
    settings = office.settings
    environment = {
        "PATH": os.defpath,
        "TOUCHLINE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "TOUCHLINE_CLICKHOUSE_URL": settings.clickhouse_url,
        "TOUCHLINE_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "TOUCHLINE_TOPIC_PREFIX": settings.topic_prefix,
        "TOUCHLINE_STATE_DIR": str(settings.state_dir),
    }
    command = [sys.executable, "-m", "pipeline.command.main", "alerts", *words, "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, orjson.loads(done.stdout) if done.stdout.strip() else done.stderr


@pytest.mark.slow
async def test_people_list_show_acknowledge_silence_and_resolve_and_each_leaves_an_audit_row(office: Office) -> None:
    post = Post()
    one = office.caller(post)
    await one.step([finding(1)], NOW, fence(1))
    await one.deliver(NOW)
    async with working(one):
        code, listed = await touchline(office, "list")
        assert (code, len(listed), listed[0]["state"]) == (0, 1, "firing")
        name = listed[0]["id"]
        score = listed[0]["alerts"][0]["score"]
        assert score == pytest.approx({"value": 0.12, "low": 0.07, "high": 0.17, "n": 400})
        code, said = await touchline(office, "ack", name[:6], "--by", "ann", "--comment", "on it")
        assert (code, said["said"]) == (0, "acknowledged")
        code, listed = await touchline(office, "list")
        assert listed[0]["acked_by"] == "ann"
        code, said = await touchline(
            office, "silence", "owner=logistics", "--for", "1h", "--by", "bob", "--comment", "x"
        )
        assert (code, said["said"]) == (0, f"silence {said['order']}")
        code, said = await touchline(office, "resolve", name, "--by", "ann")
        assert (code, said["said"]) == (0, "resolved 1")
        code, shown = await touchline(office, "show", name)
        assert [(s["step"], s["by"]) for s in shown["steps"] if s["by"]] == [
            ("acknowledged", "ann"),
            ("resolved", "ann"),
        ]
        code, text = await touchline(office, "ack", "0000")
        assert (code, "names nothing" in text) == (2, True)
        code, text = await touchline(office, "silence", "owner=x", "--by", "bob")
        assert (code, "--comment is missing" in text) == (2, True)
    client = ClickHouse(office.settings)
    rows = client.query("SELECT who, kind, said, done_ms > 0 AS done FROM alert_orders FINAL ORDER BY asked_ms")
    assert asking.waiting(client) == []
    client.close()
    assert [(r["who"], r["kind"], r["done"]) for r in rows.iter_rows(named=True)] == [
        ("ann", "ack", 1),
        ("bob", "silence", 1),
        ("ann", "resolve", 1),
    ]
    assert [notice.state for notice in post.taken] == ["firing", "acknowledged", "resolved"]


async def asked(server: Server, path: str, key: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """A GET, or a POST where there is a body."""
    url, headers = f"http://127.0.0.1:{server.port}{path}", {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        sent = http.get(url) if body is None else http.post(url, json=body)
        async with sent as answer:
            return answer.status, orjson.loads(await answer.read())


async def test_programs_do_over_http_what_people_do_and_each_act_names_the_key(office: Office) -> None:
    keys = {"all": Grant("board"), "acme": Grant("shop", brands=("acme",)), "other": Grant("rival", brands=("birch",))}

    async def verify(token: str) -> Grant | None:
        return keys.get(token)

    one = office.caller(Post())
    await one.step([finding(1)], NOW, fence(1))
    await one.deliver(NOW)
    client = ClickHouse(office.settings)
    (incident,) = read_book(client).incidents.values()
    place = f"/v1/alerts/{incident.id}"
    async with working(one), serving(office.settings, verify) as server:
        status, shown = await asked(server, place, "acme")
        assert (status, shown["id"], shown["alerts"][0]["scope"]["touchpoint"]) == (200, incident.id, "delivery")
        assert (await asked(server, place, "acme", body=None))[1]["steps"][0]["step"] == "firing"
        await until(lambda: server.live.alarms.find(incident.id), "the page has heard of it")
        # A key of another brand neither sees it nor answers for it; without a key nobody does.
        for key, code in (("other", 404), ("", 401)):
            assert (await asked(server, place, key))[0] == code
            assert (await asked(server, f"{place}/ack", key, {"comment": "mine"}))[0] == code
        assert await asked(server, f"{place}/ack", "acme", {"by": "ann", "comment": "on it"}) == (
            200,
            {"order": read_orders(client)[0]["order_id"], "said": "acknowledged"},
        )
        assert read_book(client).incidents[incident.key].acked_by == "ann (key shop)"
        assert (await asked(server, f"{place}/unack", "acme", {}))[1]["said"] == "no longer acknowledged"
        wish: dict[str, Any] = {"matchers": ["owner=logistics"], "for": "1h", "comment": "strike"}
        assert (await asked(server, "/v1/alerts/silences", "acme", wish))[0] == 403
        wish["matchers"] += ["brand=acme"]
        status, said = await asked(server, "/v1/alerts/silences", "acme", wish)
        assert (status, said["said"]) == (200, f"silence {said['order']}")
        assert (await asked(server, f"/v1/alerts/{said['order']}/unsilence", "all", {}))[1]["said"] == "ended"
        assert (await asked(server, f"{place}/resolve", "all", {"by": "bob"}))[1]["said"] == "resolved 1"
        for wrong in ({"matchers": [], "comment": "x"}, {"matchers": ["owner=x"]}, {"matchers": ["nonsense"]}):
            assert (await asked(server, "/v1/alerts/silences", "all", wrong))[0] == 400
        assert (await asked(server, "/v1/alerts/orders", "acme"))[0] == 403
        status, listed = await asked(server, "/v1/alerts/orders", "all")
    client.close()
    assert [(row["who"], row["kind"]) for row in reversed(listed["orders"])] == [
        ("ann (key shop)", "ack"),
        ("key shop", "unack"),
        ("key shop", "silence"),
        ("key board", "unsilence"),
        ("bob (key board)", "resolve"),
    ]
