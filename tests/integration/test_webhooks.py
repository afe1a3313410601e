"""Webhooks through a real gateway into a real ledger: signed, once, kept, mapped anew when the mapping was wrong."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from pipeline.access import store
from pipeline.access.keys import UNAUTHORIZED, Grant, Right
from pipeline.clickhouse import ClickHouse
from pipeline.command.deliveries import app
from pipeline.intake.integrations.cases import FOLDER
from pipeline.intake.serving import started
from pipeline.settings import Settings
from tests.chaos.harness import Case

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
        async with asyncio.timeout(60):
            while (await (await client.get(server.url + "/readyz")).text()).count("[+]") < 2:  # noqa: ASYNC110 - a process of its own, no event to wait for
                await asyncio.sleep(0.05)
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
    settings = case.settings.model_copy(update={"integrations": options, "gateway_port": 0})
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


def counts(case: Case) -> dict[str, int]:
    rows = case.rows("SELECT disposition, toInt64(count()) AS n FROM ledger FINAL GROUP BY disposition")
    return {row["disposition"]: row["n"] for row in rows}
