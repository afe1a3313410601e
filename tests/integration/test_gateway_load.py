"""Too much, too slow, broken: the gateway sheds, refuses or ends what it must, and loses count of nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime

import pytest
from msgspec import convert

from pipeline.intake.pipe import COMPANY, Parcel
from pipeline.intake.serving import Server
from pipeline.stack.launch import Stack
from schemas.codec import encode
from schemas.feedback import Feedback
from tests.integration.gateway_place import Place, event, eventually, placed, raw

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


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


def headed(place: Place, size: int) -> bytes:
    """A request of one event whose headers, names and values, have so many bytes together."""
    body = json.dumps(event()).encode()
    named = {"Host": "x", "Authorization": f"Bearer {place.token}", "Content-Length": str(len(body))}
    named |= {"Connection": "close", "X-One": "x" * 8_000, "X-Two": "x" * 6_000, "X-Three": ""}
    named["X-Three"] = "x" * (size - sum(map(len, [*named, *named.values()])))
    lines = [f"{name}: {value}\r\n" for name, value in named.items()]
    return "".join(["POST /v1/events HTTP/1.1\r\n", *lines, "\r\n"]).encode() + body


async def test_slow_and_broken_connections_end_and_nothing_is_lost_count_of(
    stack: Stack, topic_prefix: str, database: str
) -> None:
    """T30; and headers beyond what they may have, each, by number and together (S3), are not taken."""
    async with placed(stack, topic_prefix, database, gateway_patience_s=1.0) as place:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {place.token}\r\n".encode()
        async with asyncio.timeout(30):
            idle, slow_head, slow_body, cut, chunked, garbage, long_header, many_headers = await asyncio.gather(
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
                raw(place.server, head + b"X-Long: " + b"x" * 16_384 + b"\r\n\r\n"),
                raw(place.server, head + b"".join(b"X-%d: x\r\n" % number for number in range(65)) + b"\r\n"),
            )
            full, fuller = [await raw(place.server, headed(place, 16 * 1024 + more)) for more in (0, 1)]
        assert idle == slow_head == b""
        assert slow_body.startswith(b"HTTP/1.1 408")
        assert cut.startswith(b"HTTP/1.1 413")
        assert chunked.startswith(b"HTTP/1.1 413") or chunked == b""
        assert garbage.startswith(b"HTTP/1.0 400")
        assert long_header.startswith(b"HTTP/1.0 400")
        assert many_headers.startswith(b"HTTP/1.0 400")
        assert full.startswith(b"HTTP/1.1 202")
        assert fuller.startswith(b"HTTP/1.1 431")
        assert b'"headers_too_large"' in fuller
        counted = await place.counted()
        assert counted["rejected"] == {"timeout": 1, "too_large": 2, "headers_too_large": 1}
        assert (counted["received"].total(), counted["accepted"].total()) == (5, 1)
        assert (await place.post(event()))[0] == 202


async def test_whoever_does_not_read_his_answers_loses_his_connection(
    stack: Stack, topic_prefix: str, database: str
) -> None:
    """T31: nobody needs a key to ask for more than the kernel holds, again and again, and never to read it."""
    async with placed(stack, topic_prefix, database, gateway_patience_s=0.5) as place:
        port = int(place.server.url.rpartition(":")[2])
        asking = b"GET /docs/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n"

        def taking(request: bytes) -> socket.socket:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            made.connect(("127.0.0.1", port))
            made.sendall(request)
            return made

        readers = [taking(asking * 12) for _ in range(20)]
        readers += [taking(asking * 11 + asking[:-2] + b"Connection: close\r\n\r\n") for _ in range(20)]
        try:
            await eventually(lambda: counts(place.server, len(readers), 99))
            await eventually(lambda: counts(place.server, 0, 0), 10)
        finally:
            for reader in readers:
                reader.close()
        async with place.client.get(
            f"{place.server.url}/docs/viewer.js", headers={"Accept-Encoding": "identity"}
        ) as whole:
            assert len(await whole.read()) == int(whole.headers["Content-Length"]) > 800_000


async def counts(server: Server, least: int, most: int) -> bool:
    return least <= server.connections <= most


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database) as made:
        yield made


async def test_an_answer_is_the_same_whether_its_connection_goes_on_or_ends(place: Place) -> None:
    """The first of two requests of a connection is answered in one piece, the last one by aiohttp."""
    body = json.dumps(event()).encode()
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {place.token}\r\nContent-Length: {len(body)}\r\n"
    ).encode()
    async with asyncio.timeout(30):
        both = await raw(place.server, head + b"\r\n" + body, head + b"Connection: close\r\n\r\n" + body)
        old = await raw(place.server, head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + body)
    _, first, second = both.split(b"HTTP/1.1 ")
    told = [set(each.split(b"\r\n")) - {b""} for each in (first, second, old.removeprefix(b"HTTP/1.0 "))]
    dates = [next(line for line in lines if line.startswith(b"Date: ")) for lines in told]
    assert all(parsedate_to_datetime(date[6:].decode()).tzinfo for date in dates)
    bare = [lines - {date, b"Connection: close"} for lines, date in zip(told, dates, strict=True)]
    assert bare[0] == bare[1] == bare[2]
    assert {b"202 Accepted", b"Content-Type: application/json", b"Access-Control-Allow-Origin: *"} < bare[0]


async def test_behind_a_run_of_many_requests_the_next_one_waits_for_as_many(place: Place) -> None:
    """Without that, whoever comes back first leaves alone and all others wait for the end of that run."""
    pipe, rounds, together = place.server.pipe, 20, 2 * COMPANY

    async def producer(number: int) -> None:
        parcel = Parcel("feedback", b"k", encode(convert(event(number), Feedback)), [])
        for _ in range(rounds):
            for _ in range(number % 4):  # some are back a few turns of the loop later than others
                await asyncio.sleep(0)
            await pipe.put([parcel])

    async with asyncio.timeout(30):
        await producer(0)
        alone = await place.runs()
        await asyncio.gather(*(producer(number) for number in range(together)))
    assert alone == rounds, "nobody waits behind a run of one"
    assert len(await place.sent("feedback")) == rounds * (together + 1)
    # The first round may leave in parts: nothing says yet how many there are.
    assert rounds <= await place.runs() - alone <= rounds + 4


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
    assert counted["received"].total() == 800, "what was sent"
    assert (counted["accepted"].total(), counted["rejected"].total(), counted["shed"].total()) == (720, 80, 0)
