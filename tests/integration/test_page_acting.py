"""What a person does on the page, on the real engine: acknowledges, sees who sends, goes from event to customer."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from typer.testing import CliRunner

from pipeline.alerts import asking, reading
from pipeline.clickhouse import ClickHouse
from pipeline.command.tail import app as tail_command
from pipeline.ledger.attendance import Attendance
from pipeline.stack.launch import Stack
from pipeline.views.page.entry import Seals
from pipeline.views.page.server import Server
from pipeline.views.page.view import Grant
from tests.chaos.harness import Case, deployed
from tests.integration.lives import DAY, Lives
from tests.integration.page_place import called, serving, texts_of, until
from tests.terminal import at_terminal

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

GRANTS = {"all": Grant("board"), "a": Grant("shop", brands=("aurora",))}


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("acting"), partitions=1)) as case:
        yield case


async def verify(token: str) -> Grant | None:
    return GRANTS.get(token)


async def sent(server: Server, path: str, key: str = "all", **more: Any) -> tuple[int, dict[str, Any]]:
    """A POST with a JSON body (`json`), or a GET without one."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    method = "POST" if more else "GET"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers, **more) as answer,
    ):
        return answer.status, orjson.loads(await answer.read())


def fires(server: Server, name: str, **scope: str) -> None:
    """An incident of this scope, as the topic says it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    step = {"alert_id": name, "state": "firing", "rule": "", "scope": scope, "owner": "logistics", "revision": 1}
    assert server.live.alarms.take(orjson.dumps({**step, "at": at, "kind": "incident"}))


async def carried_out(client: ClickHouse, said: str) -> None:
    """What the owner of the book does, as soon as somebody asks."""
    orders = await until(lambda: asking.waiting(client), "an order waits")
    await asyncio.to_thread(asking.done, client, orders, {one.id: said for one in orders}, 1, 1)


async def test_an_acknowledgement_leaves_an_audit_row_with_the_person_and_the_key(place: Case) -> None:
    client = ClickHouse(place.settings)
    async with serving(place.settings, verify) as server:
        fires(server, "i-1", brand="aurora")
        wish = {"by": "Ana  Lee", "comment": "calling the carrier"}
        asked = asyncio.ensure_future(sent(server, "/v1/alerts/i-1/ack", "a", json=wish))
        await carried_out(client, "acknowledged")
        status, said = await asked
        assert (status, said["said"]) == (200, "acknowledged")
        (row,) = reading.orders(client)
        assert (row["who"], row["kind"], row["target"]) == ("Ana Lee (key shop)", "ack", "i-1")
        assert orjson.loads(row["body"]) == {"comment": "calling the carrier"}
        assert row["done_ms"] > 0
    client.close()


async def test_without_a_worker_the_wish_is_kept_and_said_to_be_waiting(place: Case) -> None:
    client = ClickHouse(place.settings)
    async with serving(place.settings, verify) as server:
        fires(server, "i-2", brand="birch")
        status, said = await sent(server, "/v1/alerts/i-2/ack", json={"by": "Bo"})
        assert status == 202
        assert said["order"] in {one.id for one in asking.waiting(client)}
    client.close()


async def test_what_a_key_does_not_see_it_cannot_acknowledge_and_no_form_of_another_page_can(place: Case) -> None:
    client = ClickHouse(place.settings)
    before = len(reading.orders(client))
    async with serving(place.settings, verify) as server:
        fires(server, "i-3", brand="birch")
        fires(server, "i-4")
        for name in ("i-3", "i-4", "nothing"):
            assert (await sent(server, f"/v1/alerts/{name}/ack", "a", json={"by": "x"}))[0] == 404
        assert (await sent(server, "/v1/alerts/i-3/ack", "", json={"by": "x"}))[0] == 401
        assert (await sent(server, "/v1/alerts/i-3/ack", data={"by": "x"}))[0] == 400
        assert (await sent(server, "/v1/alerts/i-3/ack", data='{"by": "x"}'))[0] == 400  # text/plain
        assert (await sent(server, "/v1/alerts/i-3/ack", json=["x"]))[0] == 400
    async with serving(place.settings) as server:  # open to this machine: there is no key, so a name is needed
        fires(server, "i-3", brand="birch")
        status, said = await sent(server, "/v1/alerts/i-3/ack", "", json={"by": "  "})
        assert (status, "who are you" in said["detail"]) == (400, True)
    assert len(reading.orders(client)) == before
    client.close()


async def test_who_sends_is_shown_to_those_who_see_everything(place: Case) -> None:
    client = ClickHouse(place.settings)
    names = Attendance.__dataclass_fields__
    insert = "INSERT INTO producers (producer, state, why, arrived, rejected, share, looked_ms) VALUES "
    now = int(time.time() * 1000)  # the table forgets what was looked at long ago
    client.command(insert + f"('shop', 'bad', '9 of 10', 10, 9, 0.9, {now}), ('app', 'ok', '', 5, 0, 0, {now})")
    async with serving(place.settings, verify) as server:
        _, found = await sent(server, "/v1/producers")
        assert [(one["producer"], one["state"], one["rejected"]) for one in found["producers"]] == [
            ("shop", "bad", 9),
            ("app", "ok", 0),
        ]
        assert set(names) <= set(found["producers"][0])
        assert found["rejected"] == {}
        assert (await sent(server, "/v1/producers", "a"))[0] == 403
    client.close()


async def test_an_event_leads_to_its_customer_for_those_who_see_everything(place: Case) -> None:
    client = ClickHouse(place.settings)
    lives = Lives()
    lives.did(7, time.time() - DAY, "checkout")
    lives.said(7, time.time() - DAY + 60, 9, "checkout")
    lives.write(client)
    client.close()
    async with serving(place.settings, verify) as server:
        status, found = await sent(server, "/v1/customers/feedback:1:0:1")
        assert (status, found["customer"], found["events"]) == (200, f"k1:{7:016x}", 2)
        assert (await sent(server, "/v1/customers/feedback:1:0:1", "a"))[0] == 403
        assert (await sent(server, "/v1/customers/feedback:1:0:99"))[0] == 400
        assert (await sent(server, "/v1/customers/feedback:1:0:x"))[0] == 400


def test_tail_writes_what_customers_say_or_what_becomes_of_alerts(place: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    client = ClickHouse(place.settings)
    texts_of(client, "so quick\x1b[2J")
    client.close()
    asyncio.run(called(place.settings))

    def written(*words: str) -> list[str]:
        done = CliRunner().invoke(tail_command, ["--seconds", "0.1", *words])
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    for feedback in (written(), written("--feedback")):
        assert all("so quick\\x1b[2J" in line for line in feedback)
        assert sum("negative" in line and "about delivery, price" in line for line in feedback) == 3
    assert len(written("--lines", "1")) == 1
    command = [str(Path(sys.executable).with_name("touchline")), "tail", "--alerts"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
    assert re.fullmatch(r"\S+Z  firing  .*brand=aurora.*  owner logistics\n", first), first


def test_page_open_prints_a_link_that_lets_in_for_a_minute_and_opens_a_browser(place: Case, tmp_path: Path) -> None:
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{told}"\n')
    browser.chmod(0o755)
    keys = {"TOUCHLINE_INSECURE_KEYS": "false", "TOUCHLINE_PSEUDONYM_KEY": "1" * 64, "TOUCHLINE_SEAL_KEY": "2" * 64}
    environment = {**place.environment(), "BROWSER": f"{browser} %s"}
    command = [str(Path(sys.executable).with_name("touchline")), "page", "--open"]
    for closed in ({}, keys):
        said = at_terminal(command, {**environment, **closed}, []).strip()
        assert told.read_text().strip() == said
        where, _, ticket = said.partition("?ticket=")
        assert where == f"http://localhost:{place.settings.page_port}/" + ("login" if closed else "")
        seals = Seals(bytes.fromhex("2" * 64))
        assert bool(seals.redeemed(ticket, int(time.time()))) == bool(closed)
        assert not seals.redeemed(ticket, int(time.time()) + 61)
