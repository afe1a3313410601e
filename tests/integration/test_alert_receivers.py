"""Handing over for real: HTTP and SMTP on this machine, what each answer leads to, and where calls never go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts.entries import Notice
from pipeline.alerts.finding import Verdict
from pipeline.alerts.outbox import Answer
from pipeline.alerts.posting import Posting
from pipeline.alerts.receivers.webhook import signature
from pipeline.alerts.routes import Receiver
from pipeline.alerts.trying import trial
from tests.integration.receivers import inbox, letterbox
from tests.unit.alerts.findings import Desk, finding, routes_of

NOW_MS = 1_772_446_000_000
HERE = frozenset({"127.0.0.1", "localhost"})


def notice(receiver: str = "r") -> Notice:
    return trial(receiver, "default", NOW_MS)


def hook(url: str) -> Receiver:
    return Receiver("r", "webhook", {"url": url, "key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})


async def tried(url: str, **more: Any) -> Answer:
    posting = Posting(**{"allowed": HERE, **more})
    try:
        return await posting.deliver(hook(url), notice(), NOW_MS)
    finally:
        await posting.close()


async def test_a_webhook_is_signed_so_that_its_receiver_can_check_it() -> None:
    async with inbox() as box:
        assert (await tried(box.url + "/in")).fate == "sent"
        (taken,) = box.taken
    assert (taken.path, taken.headers["webhook-id"]) == ("/in", notice().id)
    signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", notice().id, NOW_MS // 1000, taken.body)
    assert taken.headers["webhook-signature"] == signed
    assert taken.json["data"]["title"].startswith("TEST")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (204, {}, ("sent", 0.0)),
        (429, {"Retry-After": "17"}, ("again", 17.0)),
        (503, {"Retry-After": "Mon, 02 Mar 2026 10:07:40 GMT"}, ("again", 60.0)),
        (500, {}, ("again", 0.0)),
        (400, {}, ("refused", 0.0)),
        (410, {}, ("gone", 0.0)),
    ],
)
async def test_each_answer(status: int, headers: dict[str, str], expected: tuple[str, float]) -> None:
    async with inbox() as box:
        box.answers = [(status, headers)]
        answer = await tried(box.url)
    assert (answer.fate, answer.retry_after_s) == expected


async def test_a_redirect_is_not_followed_wherever_it_leads() -> None:
    async with inbox() as box:
        for place in ("http://169.254.169.254/latest/meta-data", "file:///etc/passwd", box.url + "/elsewhere"):
            box.answers = [(302, {"Location": place})]
            answer = await tried(box.url)
            assert (answer.fate, answer.said) == ("refused", "answered 302: redirects are not followed")
        assert {taken.path for taken in box.taken} == {"/"}


#: Where a call must not go, in all the ways to write it.
INSIDE = """127.0.0.1 [::1] 169.254.169.254 10.0.0.7 192.168.1.1 172.16.0.1 100.64.0.1 0.0.0.0 0x7f.1 2130706433
localhost [::ffff:127.0.0.1] [64:ff9b::a9fe:a9fe] [fd00::1] [fe80::1]"""


@pytest.mark.parametrize("host", INSIDE.split())
async def test_private_and_metadata_addresses_are_refused_before_connecting(host: str) -> None:
    async with inbox() as box:
        port = box.url.rpartition(":")[2]
        answer = await tried(f"https://{host}:{port}/", allowed=frozenset())
        assert answer.fate == "refused", answer
        assert "allowed_hosts" in answer.said
        assert box.taken == []


async def test_a_name_that_leads_inside_is_refused_also_when_it_does_so_only_the_second_time() -> None:
    """DNS rebinding: the name is judged when it is looked up for the connection, not only before."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]

    answer = await tried("https://evil.example/", allowed=frozenset(), resolve=rebinding)
    assert (answer.fate, asked) == ("refused", ["evil.example", "evil.example"])
    assert "127.0.0.1" in answer.said


async def test_one_private_address_among_public_ones_is_enough() -> None:
    async def mixed(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "10.0.0.1"]

    answer = await tried("https://evil.example/", allowed=frozenset(), resolve=mixed)
    assert (answer.fate, "10.0.0.1" in answer.said) == ("refused", True)


async def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    async def pinned(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with inbox() as box:
        port = box.url.rpartition(":")[2]
        allowed = frozenset({"chat.example"})
        assert (await tried(f"http://chat.example:{port}/", allowed=allowed, resolve=pinned)).fate == "sent"
        assert box.taken[0].headers["host"] == f"chat.example:{port}"


async def test_plain_http_is_refused_unless_the_host_is_allowed_by_name() -> None:
    answer = await tried("http://example.com/", allowed=frozenset())
    assert answer.fate == "refused"
    assert "without TLS" in answer.said


async def test_a_receiver_that_is_not_there_or_does_not_answer_is_tried_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert (await tried(f"http://127.0.0.1:{free.getsockname()[1]}/")).fate == "again"

    async def lost(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror("no such name")

    assert (await tried("https://nowhere.example/", resolve=lost)).fate == "again"


def mailer(port: int, ca_file: Path, **more: Any) -> Receiver:
    fields = {"host": "localhost", "port": port, "sender": "touchline@example.com", "to": ["lead@example.com"]}
    return Receiver("mail", "email", {**fields, "ca_file": str(ca_file), **more})


async def test_mails_of_an_incident_are_one_thread_over_starttls_with_text_html_and_picture(tmp_path: Path) -> None:
    desk = Desk(routes_of("mail"))
    for window in range(1, 4):
        desk.turn(finding(window), after_s=300)
    desk.turn(finding(4, Verdict.CALM), after_s=300)
    notices = [sending.notice for sending in desk.book.sendings.values()]
    assert [each.state for each in notices] == ["firing", "resolved"]
    posting = Posting(HERE)
    async with letterbox(tmp_path) as box:
        receiver = mailer(box.port, box.ca_file, user="touchline", password="swordfish")
        for each in notices:
            assert await posting.deliver(receiver, each, NOW_MS) == Answer("sent", "taken by the mail server")
    first, last = box.mails
    assert box.secure == [True, True]
    assert box.users == ["touchline", "touchline"]
    assert first["Subject"] == last["Subject"]
    assert first["References"] == last["In-Reply-To"] == f"<{desk.incident().id}@example.com>"
    assert first["Message-ID"] == f"<{notices[0].id}@example.com>" != last["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in last.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert b"swordfish" not in last.as_bytes()


async def test_a_mail_server_without_tls_a_wrong_authority_and_a_full_box_are_answers_and_no_errors(
    tmp_path: Path,
) -> None:
    posting = Posting(HERE)
    async with letterbox(tmp_path) as box:
        box.answers = [b"452 full", b"554 never"]
        answers = [
            await posting.deliver(mailer(box.port, box.ca_file), notice(), NOW_MS),
            await posting.deliver(mailer(box.port, box.ca_file), notice(), NOW_MS),
            await posting.deliver(
                Receiver("m", "email", {**mailer(box.port, box.ca_file).fields, "ca_file": None}), notice(), NOW_MS
            ),
        ]
        refused = await Posting(frozenset()).deliver(mailer(box.port, box.ca_file), notice(), NOW_MS)
    assert [answer.fate for answer in answers] == ["again", "refused", "again"]
    assert (refused.fate, "allowed_hosts" in refused.said) == ("refused", True)
    assert box.mails == []


async def test_receivers_are_told_side_by_side_and_a_slow_one_holds_up_nobody() -> None:
    posting = Posting(HERE)
    talks: list[asyncio.Task[None]] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side gives up
        writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.create_task(mute(reader, writer)))

    async with inbox() as box:
        slow = await asyncio.start_server(accepted, "127.0.0.1", 0)
        port = slow.sockets[0].getsockname()[1]
        began = asyncio.get_running_loop().time()
        late = asyncio.create_task(posting.deliver(hook(f"http://127.0.0.1:{port}/"), notice(), NOW_MS))
        assert (await posting.deliver(hook(box.url), notice(), NOW_MS)).fate == "sent"
        assert not late.done()
        assert (await late).fate == "again"
        assert asyncio.get_running_loop().time() - began < 20
        slow.close()
    await posting.close()
    await asyncio.gather(*talks)
