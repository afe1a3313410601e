"""Who may send to the gateway, what, and of whom: keys, scopes, and what a key asks about customers and producers."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from pipeline.access import store
from pipeline.access.keys import Grant, Right
from pipeline.stack.launch import Stack
from tests.integration.gateway_place import WRITE, Place, event, eventually, placed, raw, reasons

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database) as made:
        yield made


async def test_whoever_has_no_valid_key_gets_the_same_answer_whatever_is_wrong(place: Place) -> None:
    """T33."""

    async def refused(token: str) -> bool:
        return await place.server.verifier.grant(token) is None

    old = await place.key("old")
    await asyncio.to_thread(store.revoke, place.tables, "old")
    await eventually(lambda: refused(old), 5)
    over = (await asyncio.to_thread(store.create, place.tables, Grant("", "over", WRITE), 1))[1]
    await eventually(lambda: refused(over), 5)
    wrong = place.token[:-1] + ("a" if place.token[-1] != "a" else "b")
    answers = [
        await place.post(event(), old),
        await place.post(event(), wrong),
        await place.post(event(), "tl_" + "0" * 12 + "_" + "0" * 43),
        await place.post(b"\xff" * 100, "nonsense"),
        await place.post(event(), Authorization=""),
        await place.post(event(), Authorization="Basic !!!"),
        await place.post(event(), over),
    ]
    assert {(status, json.dumps(document)) for status, document, _ in answers} == {
        (401, json.dumps({"error": "unauthorized", "detail": "a valid key is needed: Authorization: Bearer KEY"}))
    }
    assert {headers["WWW-Authenticate"] for _, _, headers in answers} == {"Bearer"}
    assert await place.sent("feedback") == []
    # Bytes that are no text are no defect either: each would be a traceback in the log, for nobody's key.
    for bad in (b"Bearer \xff", b"Bearer tl_\xed\xa0\x80", b"Basic \xff", b"\xff"):
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: "
        answer = await raw(place.server, head + bad + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == answers[0][1]
    for path in (b"/v1/events?key=%FF", b"/v1/events?key=%ED%A0%80", b"/v1/in/typeform/%FF"):
        head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert (await raw(place.server, head)).startswith(b"HTTP/1.1 401 ")
    assert (await place.counted())["rejected"] == {"unauthorized": len(answers) + 7}


async def test_headers_that_are_no_text_hold_up_no_delivery(place: Place) -> None:
    """The body is kept with its headers; what cannot be written would wait there for ever, with all that came then."""
    body = b'{"type": "page", "messageId": "m1"}'
    head = f"POST /v1/in/segment/{place.token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
    async with asyncio.timeout(20):
        answer = await raw(place.server, head + b"Connection: close\r\nwebhook-id: \xff\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 200 "), answer


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


async def page_key(place: Place) -> str:
    """A key as docs/browser.md makes it."""
    name = f"page-{uuid.uuid4().hex[:8]}"
    return await place.key(name, channels=frozenset({"web"}))


async def test_whoever_sends_surveys_asks_over_http_whom_and_a_reader_sees_who_sends(place: Place) -> None:
    """C14 and the roll call: rights, scopes, answers."""
    reader = await place.key("reader", frozenset({Right.READ}))
    contact = frozenset({Right.CONTACT})
    crm = await place.key("crm", contact)
    acme = await place.key("acme", contact, brands=frozenset({"acme"}))
    mail = await place.key("mail", contact, channels=frozenset({"email"}))

    async def ask(path: str, document: Any, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or crm}"}
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
    assert (await ask("/v1/invitations", first | {"channel": "web"}, mail))[0] == 403
    assert (await ask("/v1/invitations", first, mail))[0] == 403, "the channel of a key must be named"
    assert (await ask("/v1/invitations", first | {"channel": "email"}, mail))[0] == 200
    assert (await ask("/v1/bounces", {"customer_id": "c-1", "invitation": "i-1"}, acme))[0] == 404
    for path, body in (
        ("/v1/invitations", first | {"dry_run": True, "channel": "web"}),
        ("/v1/choices", {"customer_id": "c-1", "choice": "opt_out"}),
        ("/v1/bounces", {"customer_id": "c-1", "invitation": "i-1"}),
    ):
        # A page's key can be read in its source: it neither decides for customers nor learns what they chose.
        for token in (place.token, await page_key(place), reader):
            assert (await ask(path, body, token))[0] == 403, path
        assert (await ask(path, body, "tl_nobody"))[0] == 401
        async with place.client.post(f"{place.server.url}{path}?key={crm}", json=body) as answer:
            assert answer.status == 401, "what may be read in a URL has no say either"
    for token in (acme, mail):  # a choice holds for all brands and channels
        assert (await ask("/v1/choices", {"customer_id": "c-1", "choice": "opt_out"}, token))[0] == 403

    rows = {"producer": "till", "state": "silent", "why": "nothing for 2 min; its normal gap is 10 s"}
    now = time.time_ns() // 1_000_000  # the table forgets after 35 days
    counts = {"arrived": 5, "rejected": 1, "share": 0.2, "gap_ms": 10_000}
    counts |= {"last_ms": now, "since_ms": now, "looked_ms": now}
    await asyncio.to_thread(place.tables.insert, "producers", pl.DataFrame([rows | counts]))
    board = await place.key("board", frozenset({Right.READ}), brands=frozenset({"acme"}))
    for token, status in ((reader, 200), (place.token, 403), (board, 403)):
        headers = {"Authorization": f"Bearer {token}"}
        async with place.client.get(f"{place.server.url}/v1/producers", headers=headers) as answer:
            assert answer.status == status
            found = await answer.json()
            if status == 200:
                assert [(row["producer"], row["state"], row["gap_ms"]) for row in found] == [("till", "silent", 10_000)]
