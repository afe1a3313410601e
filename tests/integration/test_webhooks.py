"""Webhooks through a real gateway into a real ledger: signed, once, kept, mapped anew when the mapping was wrong."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from pipeline.access import store
from pipeline.access.keys import UNAUTHORIZED, Grant, Right
from pipeline.arrival.fingerprints import text_fingerprints
from pipeline.clickhouse import ClickHouse
from pipeline.command.deliveries import app
from pipeline.command.intake import app as intake
from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.cases import FOLDER, cases, events_of
from pipeline.intake.serving import Server, started
from pipeline.settings import Settings
from pipeline.stack.launch import Stack
from tests.chaos.faultproxy import FaultProxy
from tests.chaos.generator import Event
from tests.chaos.harness import Case, deployed
from tests.integration.gateway_place import eventually, ready
from tests.integration.test_intake import arrived

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

SECRET = "the secret of the webhook"


def response(token: str) -> bytes:
    """The published response of Typeform, submitted now under a token of its own."""
    payload = json.loads((FOLDER / "typeform" / "response.json").read_text())["payload"]
    payload["form_response"] |= {"token": token, "submitted_at": datetime.now(UTC).isoformat()}
    return json.dumps(payload).encode()


def signed(body: bytes) -> dict[str, str]:
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    return {"Typeform-Signature": "sha256=" + base64.b64encode(mac).decode()}


async def posted(url: str, settings: Settings, token: str, bodies: list[tuple[bytes, dict[str, str]]]) -> list[Any]:
    """(status, answer, headers) of each delivery, one after the other, to a gateway of these settings."""
    async with started(settings) as server, aiohttp.ClientSession() as client:
        address = server.url + url.format(key=token)
        await eventually(lambda: ready(client, server), 60)
        found = []
        for body, headers in bodies:
            async with client.post(address, data=body, headers=headers) as answer:
                found.append((answer.status, await answer.json(), answer.headers))
        return found


def command(case: Case, more: dict[str, str], *arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], env={**case.environment(), **more})
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_response_of_typeform_counts_once_and_what_was_refused_is_mapped_anew(case: Case, tmp_path: Path) -> None:
    client = ClickHouse(case.settings)
    _, token = store.create(client, Grant("", "forms", frozenset({Right.WRITE})), 0)
    options = tmp_path / "integrations.toml"
    options.write_text(f'[typeform]\nsecrets = ["{SECRET}"]\n[typeform.questions]\nown_scale = "csat 1-2"\n')
    settings = case.settings.model_copy(update={"integrations": options, "gateway_port": 0, "gateway_health_port": 0})
    body = response("r-1")
    answers = asyncio.run(
        posted(
            "/v1/in/typeform/{key}",
            settings,
            token,
            [(body, signed(body)), (body, signed(body)), (body, {}), (b"{", signed(b"{"))],
        )
    )
    assert [status for status, _, _ in answers] == [200, 200, 401, 400]
    assert (answers[0][1]["accepted"], answers[0][1]["rejected"]) == (3, 1)
    assert answers[0][1]["items"][3]["reason"] == "bad_scale"
    ((status, _, _),) = asyncio.run(posted("/v1/in/pigeon/{key}", settings, token, [(body, {})]))
    assert status == 404
    (nobody,) = asyncio.run(posted("/v1/in/typeform/{key}", settings, "tl_wrong", [(body, signed(body))]))
    for status, told, headers in (answers[2], nobody):
        assert (status, told, headers["WWW-Authenticate"]) == (401, UNAUTHORIZED, "Bearer"), "whatever is wrong"

    more = {"TOUCHLINE_INTEGRATIONS": str(options)}
    kept = command(case, more, "deliveries", "list", "--rejected")
    assert [(row["integration"], row["producer"], row["events"], row["rejected"]) for row in kept] == [
        ("typeform", "forms", 4, 1)
    ]
    case.worker("one")
    case.settle()
    assert counts(case) == {"aggregated": 3, "duplicate": 3}

    options.write_text('[typeform.questions]\nown_scale = "csat 1-7"\n')
    anew = ("deliveries", "remap", "--integration", "typeform")
    told = {"mapped": 4, "refused": 0, "counted_already": 3, "sent": 1}
    assert command(case, more, *anew, "--dry-run") == told | {"dry_run": True}
    assert counts(case) == {"aggregated": 3, "duplicate": 3}
    assert command(case, more, *anew) == told | {"dry_run": False}
    case.settle()
    assert counts(case) == {"aggregated": 4, "duplicate": 3}
    assert command(case, more, *anew)["sent"] == 0
    raw = case.rows("SELECT count() AS n FROM deliveries WHERE position(sealed, 'readable_ref') > 0")
    assert raw[0]["n"] == 0, "bodies are sealed"
    client.close()
    one_answer_by_four_ways(case, settings, token, tmp_path)


#: What may differ of one answer by four ways: where it lies, when it came, and the names under which each was sent.
OF_ITS_OWN = {"off", "ver", "ingest_ms", "row_hash", "event_hash", "payload_hash", "answer_hash"}


def one_answer_by_four_ways(case: Case, settings: Settings, token: str, folder: Path) -> None:
    """C2: four rows of the ledger, with the same customer, are the same but for what makes them four.

    And their texts, of which too much was written (T29).
    """
    text = "Quick and friendly. Call +49 171 5550199. " * 500
    at = datetime.now(UTC).isoformat()
    said = {
        "form_id": "f1", "submitted_at": at, "hidden": {"user_id": "c-1", "touchpoint": "checkout"}, "definition": {},
        "answers": [
            {"type": "number", "number": 9, "field": {"id": "q", "type": "nps", "ref": "nps"}},
            {"type": "text", "text": text, "field": {"id": "w", "type": "long_text", "ref": "why"}},
        ],
    }  # fmt: skip
    ours = {
        "occurred_at": at, "channel": "survey", "metric": "nps", "score": 9, "text": text,
        "touchpoint": "checkout", "customer_id": "c-1", "question_id": "nps", "ref": {"survey": "f1"},
    }  # fmt: skip
    kafka, http, file, webhook = (
        ours | {"event_id": f"typeform:{way}:nps", "submission_id": way} for way in ("kafka", "http", "file", "webhook")
    )
    case.produce([Event("feedback", b"c-1", json.dumps(kafka).encode())])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    ((status, *_),) = asyncio.run(posted("/v1/events", settings, token, [(json.dumps(http).encode(), headers)]))
    assert status == 202
    body = json.dumps({"form_response": said | {"token": "webhook"}}).encode()
    unsigned = settings.model_copy(update={"integrations": None})
    ((status, *_),) = asyncio.run(posted("/v1/in/typeform/{key}", unsigned, token, [(body, {})]))
    assert status == 200
    flat = {name: value for name, value in file.items() if name != "ref"} | {"ref.survey": "f1"}
    table = folder / "answers.csv"
    table.write_text(",".join(flat) + "\n" + ",".join(json.dumps(value) for value in flat.values()) + "\n")
    mapping = [
        word for name in flat for word in (("--map", f"{name}={name}") if name != "occurred_at" else ("--time", name))
    ]
    done = CliRunner().invoke(intake, ["import", str(table), "--live", *mapping], env=case.environment())
    assert done.exit_code == 0, done.stderr
    case.settle()
    names = [each["event_id"] for each in (kafka, http, file, webhook)]
    hashes = ", ".join(map(str, text_fingerprints(list(map(str, names))).tolist()))
    rows = case.rows(f"SELECT * FROM ledger FINAL WHERE event_hash IN ({hashes})")
    assert len(rows) == len({row["event_hash"] for row in rows}) == 4
    same = [{key: value for key, value in row.items() if key not in OF_ITS_OWN} for row in rows]
    assert same == [same[0]] * 4
    assert (same[0]["disposition"], same[0]["touchpoint"], same[0]["answer"]) == ("aggregated", "checkout", 9)
    offsets = ", ".join(f"({row['part']}, {row['off']})" for row in rows)
    texts = case.rows(f"SELECT text, topics, truncated FROM texts FINAL WHERE (part, off) IN ({offsets})")
    assert texts == [texts[0]] * 4
    assert (len(texts[0]["text"]), texts[0]["truncated"]) == (10_000, 1)
    assert texts[0]["text"].startswith("Quick and friendly. Call [phone]. Quick")


#: Keys of the fixtures under which a moment stands, in whatever form.
MOMENTS = ("_at", "At", "time", "timestamp", "Timestamp", "created", "createdDate", "seconds")


def moments(node: Any) -> Iterator[datetime]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from moments(value)
        elif value is not None and str(key).endswith(MOMENTS):
            yield moment(value)


def moment(value: Any) -> datetime:
    if isinstance(value, int) or value.isdigit():
        return datetime.fromtimestamp(int(value), UTC)
    return datetime.fromisoformat(value)


def shifted(node: Any, by: timedelta) -> Any:
    """The same payload, so much later."""
    if isinstance(node, list):
        return [shifted(value, by) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: later(value, by) if isinstance(value, str | int) and key.endswith(MOMENTS) else shifted(value, by)
        for key, value in node.items()
    }


def later(value: Any, by: timedelta) -> Any:
    then = moment(value) + by
    return type(value)(int(then.timestamp())) if isinstance(value, int) or value.isdigit() else then.isoformat()


def of_today(path: Path) -> dict[str, Any]:
    """A fixture whose newest moment is now."""
    case: dict[str, Any] = json.loads(path.read_text())
    newest = max(moments(case["payload"]), default=datetime.now(UTC))
    return case | {"payload": shifted(case["payload"], datetime.now(UTC) - newest)}


async def unkept(client: aiohttp.ClientSession, server: Server) -> int:
    async with client.get(server.health_url + "/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if "unkept_bodies_total{" in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def test_each_fixture_arrives_and_while_clickhouse_hangs_each_has_its_answer_in_time(
    stack: Stack, tmp_path: Path
) -> None:
    options = tmp_path / "integrations.toml"
    options.write_text(
        '[formbricks.questions]\nq1 = "nps"\nq2 = "csat 1-5"\nwhy = "text"\n'
        '[typeform.questions]\nown_scale = "csat 1-7"\n'
    )
    with FaultProxy(int(stack.clickhouse_url.rpartition(":")[2])) as proxy:
        between = f"http://127.0.0.1:{proxy.port}"
        with deployed(Case(stack.bootstrap, between, tmp_path, direct_url=stack.clickhouse_url)) as case:
            client = ClickHouse(case.settings)
            _, token = store.create(client, Grant("", "tools", frozenset({Right.WRITE})), 0)
            client.close()
            more = {"integrations": options, "gateway_port": 0, "gateway_health_port": 0, "clickhouse_url": between}
            asyncio.run(told(case.settings.model_copy(update=more), token, proxy))


async def told(settings: Settings, token: str, proxy: FaultProxy) -> None:
    async with started(settings) as server, aiohttp.ClientSession() as client:
        await eventually(lambda: ready(client, server), 60)

        async def post(name: str, case: dict[str, Any], key: str = token) -> tuple[int, Any, float]:
            began = time.monotonic()
            address = f"{server.url}/v1/in/{name}/{key}"
            headers = case.get("headers", {}) | {"Content-Type": "application/json"}
            async with client.post(address, json=case["payload"], headers=headers) as answer:
                return answer.status, await answer.json(), time.monotonic() - began

        sent = [(name, of_today(path)) for name in sorted(integrations()) for path in cases(name)]
        answers = await asyncio.gather(*(post(name, case) for name, case in sent))
        wanted = []
        for (name, case), (status, answer, _) in zip(sent, answers, strict=True):
            found = events_of(name, case)
            assert status == integrations()[name].answer, (name, answer)
            bad = [each["reason"] for each in answer["items"] if each["verdict"] == "rejected"]
            assert bad == [each["rejected"] for each in found if "rejected" in each], name
            assert len(found) == len(case["events"]), name
            wanted += [each for each in found if "event_id" in each]
        for topic, of_topic in (("feedback", True), ("touchpoints", False)):
            there = [json.loads(record.value) for record in await arrived(settings, topic)]
            ours = [each for each in wanted if ("metric" in each) is of_topic]
            assert sorted(each["event_id"] for each in there) == sorted(each["event_id"] for each in ours)
            assert len(ours) > 10

        now = datetime.now(UTC).isoformat()
        fine = {"type": "track", "event": "Order Completed", "messageId": "m-1", "userId": "u", "timestamp": now}
        two = [fine, {name: value for name, value in fine.items() if name != "messageId"}]
        for mode, least_s in (("cut", 0), ("hang", 3)):
            proxy.mode(mode)
            posts = [
                *(post("segment", {"payload": each}) for each in two),
                post("segment", {"payload": fine}, token[:-4] + "AAAA"),
            ]
            calm, shed, unknown = await asyncio.gather(*posts)
            assert (calm[0], shed[0]) == (200, 503), (calm, shed)
            assert unknown[0] == (503 if mode == "hang" else 401), "it may be a key that was made a moment ago"
            assert least_s < max(calm[2], shed[2], unknown[2]) < 5, "Segment has gone by then"
            assert await unkept(client, server) == 2, f"{mode}: of those that hang it is not known yet"
        proxy.mode("ok")


def counts(case: Case) -> dict[str, int]:
    rows = case.rows("SELECT disposition, toInt64(count()) AS n FROM ledger FINAL GROUP BY disposition")
    return {row["disposition"]: row["n"] for row in rows}
