"""The gateway on the real Kafka: a verdict for every event; what is accepted lies on its topic, nothing else does."""

from __future__ import annotations

import gzip
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from backports import zstd

from pipeline.errors import SettingsError
from pipeline.intake.serving import started
from pipeline.stack.launch import Stack
from tests.integration.gateway_place import Place, event, eventually, placed, raw, ready, reasons
from tests.integration.test_intake import part_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database) as made:
        yield made


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
    odd = b"OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nWebHook-Request-Origin: \xff\r\n\r\n"
    assert (await raw(place.server, odd)).startswith(b"HTTP/1.1 200 "), "no defect is to be had for nothing"
    assert (await get("/livez"))[:2] == (200, "ok\n")
    assert (await get("/readyz"))[:2] == (200, "ready\n")
    # Who sends, how much, and what is wrong inside is told on this machine only.
    assert (await get("/metrics"))[0] == 404
    taken = place.settings.model_copy(update={"gateway_health_port": int(place.server.health_url.rpartition(":")[2])})
    with pytest.raises(SettingsError, match="GATEWAY_HEALTH_PORT"):
        async with started(taken):
            pass
    async with place.client.get(f"{place.server.health_url}/readyz") as answer:
        assert await answer.text() == "[+]kafka ok\n[+]keys ok\n"
    assert (await get("/v1/events"))[0] == 405
