"""The gateway on the real Kafka: a verdict for every event; what is accepted lies on its topic, nothing else does."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import polars as pl
import pytest
from backports import zstd
from prometheus_client.parser import text_string_to_metric_families

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.intake.serving import Server, started
from pipeline.ledger.migrate import migrate
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from pipeline.topics import Topics
from tests.integration.test_intake import arrived, part_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

WRITE = frozenset({Right.WRITE})


@dataclass
class Place:
    """One gateway with topics and keys of its own."""

    settings: Settings
    server: Server
    tables: ClickHouse
    client: aiohttp.ClientSession
    token: str

    async def key(self, name: str, rights: frozenset[Right] = WRITE, **scope: frozenset[str]) -> str:
        """A new key's token, known to the gateway."""
        grant = Grant("", name, rights, **scope)
        token = (await asyncio.to_thread(store.create, self.tables, grant, 0))[1]
        await eventually(lambda: self.server.verifier.grant(token))
        return token

    async def post(self, body: Any, token: str | None = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, document and headers of a POST; `headers` with underlines for dashes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {token or self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.post(f"{self.server.url}/v1/events", data=io.BytesIO(data), headers=sent) as answer:
            return answer.status, await answer.json(), answer.headers

    async def sent(self, *topics: str) -> list[Any]:
        """All records of the topics."""
        return [record for topic in topics for record in await arrived(self.settings, topic)]

    async def counted(self) -> dict[str, Counter[str]]:
        """The gateway's counters: name without frame -> label that matters -> number."""
        async with self.client.get(f"{self.server.url}/metrics") as answer:
            text = await answer.text()
        found: dict[str, Counter[str]] = {name: Counter() for name in ("received", "accepted", "rejected", "shed")}
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix("touchline_gateway_")
            if name in found:
                for sample in family.samples:
                    if sample.name.endswith("_total"):
                        word = sample.labels.get("reason") or sample.labels.get("cause") or ""
                        found[name][word] += int(sample.value)
        return found


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database) as made:
        yield made


def placed(stack: Stack, topic_prefix: str, database: str, **more: Any) -> Any:
    """A gateway for a block."""

    @asynccontextmanager
    async def go() -> AsyncIterator[Place]:
        settings = load_settings(
            bootstrap_servers=stack.bootstrap,
            clickhouse_url=stack.clickhouse_url,
            clickhouse_database=database,
            topic_prefix=topic_prefix,
            topic_partitions=4,
            insecure_keys=True,
            gateway_port=0,
            **more,
        )
        async with Topics(settings) as topics:
            await topics.apply()
        tables = ClickHouse(settings)
        await asyncio.to_thread(migrate, tables, settings)
        async with started(settings) as server, aiohttp.ClientSession() as client:
            await eventually(lambda: ready(client, server))
            made = Place(settings, server, tables, client, "")
            made.token = await made.key("shop")
            yield made
        tables.close()

    return go()


async def ready(client: aiohttp.ClientSession, server: Server) -> bool:
    async with client.get(f"{server.url}/readyz") as answer:
        return answer.status == 200


async def eventually(condition: Callable[[], Awaitable[Any]], deadline_s: float = 30.0) -> None:
    """Waits until the condition holds; TimeoutError after the deadline."""
    async with asyncio.timeout(deadline_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


def event(number: int = 0, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    full = {"event_id": f"e{number}", "occurred_at": now, "channel": "web", "metric": "nps", "score": number % 11}
    return {name: value for name, value in (full | {"customer_id": f"c{number}"} | fields).items() if value is not None}


def reasons(document: dict[str, Any]) -> dict[int, tuple[str, str]]:
    return {
        item["index"]: (item["reason"], item["path"]) for item in document["items"] if item["verdict"] == "rejected"
    }


async def test_of_a_batch_the_bad_ones_are_named_and_the_others_lie_where_every_producer_puts_them(
    place: Place,
) -> None:
    """C1: 100 events, 3 of them bad."""
    batch: list[Any] = [event(number) for number in range(100)]
    batch[7], batch[31] = event(7, score=11), event(31, channel="fax")
    batch[99] = {"event_id": "t99", "occurred_at": event()["occurred_at"], "channel": "app"}
    batch[50] = {**batch[99], "event_id": "t50", "touchpoint": "checkout", "shelf": 3}
    status, document, _ = await place.post(batch)
    assert (status, document["accepted"], document["rejected"]) == (207, 97, 3)
    assert reasons(document) == {
        7: ("out_of_range", "$.score"),
        31: ("unknown_value", "$.channel"),
        99: ("missing_field", "$.touchpoint"),
    }
    assert [item["event_id"] for item in document["items"][:3]] == ["e0", "e1", "e2"]
    records = await place.sent("feedback", "touchpoints")
    assert len(records) == 97
    assert all(record.partition == part_of(record.key) for record in records)
    assert all(dict(record.headers)["touchline_producer"] == b"shop" for record in records)
    assert all(dict(record.headers)["touchline_source"] == b"http" for record in records)
    (touched,) = await place.sent("touchpoints")
    assert json.loads(touched.value)["attributes"] == {"shelf": 3}
    counted = await place.counted()
    assert counted["received"].total() == 100
    assert counted["accepted"].total() == 97
    assert counted["rejected"] == {"out_of_range": 1, "unknown_value": 1, "missing_field": 1}


async def test_an_idempotency_key_gives_the_same_answer_and_the_same_events_at_every_gateway(
    place: Place, stack: Stack, topic_prefix: str, database: str
) -> None:
    """T24."""
    batch = [event(number, event_id=None) for number in range(5)] + [event(9)]
    first = await place.post(batch, Idempotency_Key="order-4711")
    assert first[0] == 202
    again = await place.post(batch, Idempotency_Key="order-4711")
    async with started(place.settings) as other:
        elsewhere = Place(place.settings, other, place.tables, place.client, place.token)
        await eventually(lambda: ready(place.client, other))
        assert (await elsewhere.post(batch, Idempotency_Key="order-4711"))[:2] == first[:2] == again[:2]
        # Another key's header names other events.
        token = await elsewhere.key("other")
        foreign = await elsewhere.post(batch[:1], token, Idempotency_Key="order-4711")
        assert foreign[1]["items"][0]["event_id"] != first[1]["items"][0]["event_id"]
    ids = Counter(json.loads(record.value)["event_id"] for record in await place.sent("feedback"))
    assert sorted(ids.values()) == [1, *[3] * 6]  # the worker counts each once
    assert ids["e9"] == 3
    changed = await place.post(batch[:1], Idempotency_Key="order-4711")
    assert (changed[0], changed[1]["error"]) == (422, "idempotency_key_reused")
    assert (await place.post(event(event_id=None)))[1]["items"][0]["path"] == "$.event_id"
    assert (await place.post(event(), Idempotency_Key="x" * 300))[1]["error"] == "bad_idempotency_key"


async def test_whoever_has_no_valid_key_gets_the_same_answer_whatever_is_wrong(place: Place) -> None:
    """T33."""

    async def refused(token: str) -> bool:
        return await place.server.verifier.grant(token) is None

    old = await place.key("old")
    await asyncio.to_thread(store.revoke, place.tables, "old")
    await eventually(lambda: refused(old), 5)
    wrong = place.token[:-1] + ("a" if place.token[-1] != "a" else "b")
    answers = [
        await place.post(event(), old),
        await place.post(event(), wrong),
        await place.post(event(), "tl_" + "0" * 12 + "_" + "0" * 43),
        await place.post(b"\xff" * 100, "nonsense"),
        await place.post(event(), Authorization=""),
        await place.post(event(), Authorization="Basic !!!"),
    ]
    assert {(status, json.dumps(document)) for status, document, _ in answers} == {
        (401, json.dumps({"error": "unauthorized", "detail": "a valid key is needed: Authorization: Bearer KEY"}))
    }
    assert {headers["WWW-Authenticate"] for _, _, headers in answers} == {"Bearer"}
    assert await place.sent("feedback") == []


async def test_a_key_writes_only_within_its_scope(place: Place) -> None:
    """T34."""
    bounded = await place.key("bounded", channels=frozenset({"web"}), brands=frozenset({"a"}))
    reader = await place.key("reader", frozenset({Right.READ}))
    status, document, _ = await place.post([event(1, brand="b"), event(2, channel="app", brand="a")], bounded)
    assert status == 403
    assert reasons(document) == {0: ("out_of_scope", "$.brand"), 1: ("out_of_scope", "$.channel")}
    assert (await place.post(event(), reader))[:2] == (
        403,
        {"error": "forbidden", "detail": "this key has no right to write"},
    )
    assert await place.sent("feedback", "touchpoints") == []
    mixed = await place.post([event(1, brand="b"), event(2, brand="a")], bounded)
    assert (mixed[0], mixed[1]["accepted"]) == (207, 1)


ENVELOPE = {"specversion": "1.0", "source": "/s", "type": "touchline.feedback.v1"}


async def test_every_form_of_a_body_arrives_as_the_same_event(place: Place) -> None:
    data = {"channel": "web", "metric": "csat", "score": 4, "text": "Danke f\u00fcr nichts"}
    now = datetime.now(UTC).isoformat()
    names = [uuid.uuid4().hex for _ in range(7)]
    clouds = [{**ENVELOPE, "id": name, "time": now, "subject": "c \u20ac", "data": data} for name in names]
    bare = [{**data, "event_id": name, "occurred_at": now, "customer_id": "c \u20ac"} for name in names]
    lines = b"\n".join(json.dumps(each).encode() for each in (bare[1], bare[2]))
    ce = {"ce_specversion": "1.0", "ce_source": "/s", "ce_type": "touchline.feedback.v1", "ce_time": now}
    binary = {**ce, "ce_id": f'"{names[6]}"', "ce_subject": "c%20%E2%82%AC"}
    for answer in (
        await place.post(bare[0]),
        await place.post(lines, Content_Type="application/x-ndjson", Content_Encoding="identity"),
        await place.post(gzip.compress(json.dumps([bare[3]]).encode()), Content_Encoding="gzip"),
        await place.post(zstd.compress(json.dumps(clouds[4]).encode()), Content_Encoding="zstd"),
        await place.post([clouds[5]], Content_Type="application/cloudevents-batch+json"),
        await place.post(data, **binary),
    ):
        assert answer[0] == 202, answer
    values = [json.loads(record.value) for record in await place.sent("feedback")]
    assert {value.pop("event_id") for value in values} == set(names)
    assert len({json.dumps(value, sort_keys=True) for value in values}) == 1
    assert values[0]["customer_id"] == "c \u20ac"


#: Body, headers, status and the word of the answer.
UNREADABLE: tuple[tuple[bytes, dict[str, str], int, str], ...] = (
    (b"{}", {"Content_Type": "application/xml"}, 415, "unsupported_media_type"),
    (b"{}", {"Content_Encoding": "br"}, 415, "unsupported_encoding"),
    (b"{}", {"ce_datacontenttype": "application/json", "ce_id": "1"}, 400, "bad_envelope"),
    (b"{}", {"ce_subject": "%C0%A0"}, 400, "bad_envelope"),
    (b"", {}, 400, "empty"),
    (b"[{]", {}, 400, "not_json"),
    (b" " * (257 * 1024) + b"{}", {}, 413, "too_large"),
    (b"[" + b" " * (1 << 20) + b"{}]", {}, 413, "too_large"),
    (b"[" + b"1," * 500 + b"1]", {}, 413, "too_many_events"),
    (gzip.compress(bytes(1 << 20)) * 64, {"Content_Encoding": "gzip"}, 413, "too_large"),
    (b"no gzip", {"Content_Encoding": "gzip"}, 400, "bad_encoding"),
)


async def test_a_request_that_cannot_be_read_says_why_and_counts_as_one(place: Place) -> None:
    for body, headers, status, error in UNREADABLE:
        answer = await place.post(body, **headers)
        assert (answer[0], answer[1]["error"]) == (status, error), (body[:40], headers)
    counted = await place.counted()
    assert counted["rejected"] == Counter(error for *_, error in UNREADABLE)
    assert counted["received"].total() == len(UNREADABLE)
    assert await place.sent("feedback", "touchpoints") == []


async def test_what_is_said_of_the_gateway_is_told_to_everybody(place: Place) -> None:
    async def get(path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
        async with place.client.request(method, place.server.url + path, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    limits = json.loads((await get("/v1/limits"))[1])
    assert (limits["max_events"], limits["max_bytes"], limits["max_event_bytes"]) == (500, 1 << 20, 256 << 10)
    assert json.loads((await get("/openapi.json"))[1])["openapi"] == "3.1.0"
    page = await get("/docs")
    assert "/docs/viewer.js" in page[1]
    assert "default-src 'self'" in page[2]["Content-Security-Policy"]
    assert "rapi-doc" in (await get("/docs/viewer.js"))[1]
    hand = await get("/v1/events", "OPTIONS", **{"WebHook-Request-Origin": "eventgrid.example"})
    assert (hand[0], hand[2]["WebHook-Allowed-Origin"]) == (200, "eventgrid.example")
    assert hand[2]["WebHook-Allowed-Rate"] == str(20_000 * 60)
    assert (await get("/livez"))[:2] == (200, "ok\n")
    assert (await get("/readyz"))[1] == "[+]kafka ok\n[+]keys ok\n"
    assert (await get("/v1/events"))[0] == 405


async def test_twice_the_rate_is_told_to_wait_and_everything_is_counted(
    stack: Stack, topic_prefix: str, database: str
) -> None:
    """T35, the first half."""
    async with placed(stack, topic_prefix, database, gateway_key_rate=100, gateway_rate=10_000) as place:
        answers = [await place.post([event(n) for n in range(100)]) for _ in range(8)]
        statuses = Counter(status for status, _, _ in answers)
        assert set(statuses) == {202, 429}
        assert all(int(headers["Retry-After"]) >= 1 for status, _, headers in answers if status == 429)
        other = await place.key("other")
        assert (await place.post([event(n) for n in range(100)], other))[0] == 202
        counted = await place.counted()
        assert counted["received"].total() == 900
        assert counted["accepted"].total() == 100 * (statuses[202] + 1) == len(await place.sent("feedback"))
        assert counted["shed"] == {"rate": 100 * statuses[429]}


async def raw(server: Server, *parts: bytes) -> bytes:
    """What comes back for these bytes, sent as they are; empty when the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_slow_and_broken_connections_end_and_nothing_is_lost_count_of(
    stack: Stack, topic_prefix: str, database: str
) -> None:
    """T30."""
    async with placed(stack, topic_prefix, database, gateway_patience_s=1.0) as place:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {place.token}\r\n".encode()
        async with asyncio.timeout(30):
            idle, slow_head, slow_body, cut, chunked, garbage = await asyncio.gather(
                raw(place.server),
                raw(place.server, head),
                raw(place.server, head + b"Content-Length: 100\r\n\r\n{"),
                raw(place.server, head + b"Content-Length: 9999999\r\n\r\n"),
                raw(
                    place.server,
                    head + b"Transfer-Encoding: chunked\r\n\r\n",
                    *[b"10000\r\n" + bytes(65536) + b"\r\n"] * 17,
                ),
                raw(place.server, b"\x16\x03\x01 not http at all\r\n\r\n"),
            )
        assert idle == slow_head == b""
        assert slow_body.startswith(b"HTTP/1.1 408")
        assert cut.startswith(b"HTTP/1.1 413")
        assert chunked.startswith(b"HTTP/1.1 413") or chunked == b""
        assert garbage.startswith(b"HTTP/1.0 400")
        counted = await place.counted()
        assert counted["rejected"] == {"timeout": 1, "too_large": 2}
        assert counted["received"].total() == 3
        assert (await place.post(event()))[0] == 202


async def test_of_a_load_with_a_tenth_of_garbage_every_event_is_accepted_or_refused(place: Place) -> None:
    bad: Sequence[bytes] = (b"{", b"\xff", b"[]", b"null", b'{"metric":', json.dumps(event(score=99)).encode())

    async def worker(number: int) -> Counter[int]:
        found: Counter[int] = Counter()
        for step in range(40):
            if step % 10 == 9:
                body = bad[(number + step // 10) % len(bad)]
                found[(await place.post(body))[0]] += 1
            else:
                found[(await place.post(event(number * 1_000 + step)))[0]] += 1
        return found

    totals = sum(await asyncio.gather(*(worker(number) for number in range(20))), Counter())
    assert totals == {202: 720, 400: 80}
    assert len(await place.sent("feedback")) == 720
    counted = await place.counted()
    assert counted["received"].total() == 800
    assert counted["received"].total() == (counted["accepted"] + counted["rejected"] + counted["shed"]).total()


async def test_whoever_sends_surveys_asks_over_http_whom_and_a_reader_sees_who_sends(place: Place) -> None:
    """C14 and the roll call: rights, scopes, answers."""
    reader = await place.key("reader", frozenset({Right.READ}))
    acme = await place.key("acme", brands=frozenset({"acme"}))

    async def ask(path: str, document: Any, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or place.token}"}
        async with place.client.post(f"{place.server.url}{path}", json=document, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    first = {"customer_id": "c-1", "survey": "nps", "invitation": "i-1"}
    assert (await ask("/v1/invitations", first | {"dry_run": True}))[1]["allowed"]
    for _ in range(2):  # the same invitation, the same answer
        status, told = await ask("/v1/invitations", first)
        assert (status, told["allowed"], told["invitation"]) == (200, True, "i-1")
    _, told = await ask("/v1/invitations", {"customer_id": "c-1", "survey": "csat"})
    assert (told["allowed"], told["reason"]) == (False, "quiet_period")
    assert told["again"] > datetime.now(UTC).isoformat()
    assert (await ask("/v1/bounces", {"customer_id": "c-1", "invitation": "i-1"}))[0] == 204
    assert (await ask("/v1/bounces", {"customer_id": "c-1", "invitation": "i-9"}))[0] == 404
    assert (await ask("/v1/invitations", {"customer_id": "c-1", "survey": "csat"}))[1]["allowed"]
    assert (await ask("/v1/choices", {"customer_id": "c-2", "choice": "opt_out"}))[0] == 204
    assert (await ask("/v1/invitations", {"customer_id": "c-2", "survey": "nps"}))[1]["reason"] == "opted_out"

    status, told = await ask("/v1/invitations", {"customer_id": "c-3"})
    assert (status, told["error"], told["detail"][:8]) == (400, "missing_field", "$.survey")
    assert (await ask("/v1/invitations", first, acme))[0] == 403
    assert (await ask("/v1/invitations", first | {"brand": "acme"}, acme))[0] == 200
    assert (await ask("/v1/invitations", first, reader))[0] == 403
    assert (await ask("/v1/invitations", first, "tl_nobody"))[0] == 401

    rows = {"producer": "till", "state": "silent", "why": "nothing for 2 min; its normal gap is 10 s"}
    now = time.time_ns() // 1_000_000  # the table forgets after 35 days
    counts = {"arrived": 5, "rejected": 1, "share": 0.2, "gap_ms": 10_000}
    counts |= {"last_ms": now, "since_ms": now, "looked_ms": now}
    await asyncio.to_thread(place.tables.insert, "producers", pl.DataFrame([rows | counts]))
    for token, status in ((reader, 200), (place.token, 403)):
        headers = {"Authorization": f"Bearer {token}"}
        async with place.client.get(f"{place.server.url}/v1/producers", headers=headers) as answer:
            assert answer.status == status
            found = await answer.json()
            if status == 200:
                assert [(row["producer"], row["state"], row["gap_ms"]) for row in found] == [("till", "silent", 10_000)]
