"""An answer by a link in an e-mail: a mail filter's visit does not count, a person's does, and why is a revision."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from pipeline.stack.launch import Stack
from tests.integration.gateway_place import Place, placed

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database) as made:
        yield made


def signed(url: str, *words: str) -> dict[str, object]:
    environment = {**os.environ, "TOUCHLINE_GATEWAY_URL": url, "TOUCHLINE_INSECURE_KEYS": "true"}
    command = [sys.executable, "-m", "pipeline.command.main", "links", *words, "--json"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, object] = json.loads(made.stdout)
    return found


async def test_only_a_persons_answer_counts_and_the_reason_is_a_later_revision(place: Place) -> None:
    words = ("customer-4711", "--touchpoint", "delivery", "--question", "<b>Fast</b> enough?")
    link = await asyncio.to_thread(signed, place.server.url, *words)
    scores = link["scores"]
    assert isinstance(scores, dict)
    assert set(scores) == {str(step) for step in range(11)}
    for _ in range(3):  # what a mail filter does
        async with place.client.get(scores["9"]) as page:
            text = await page.text()
            assert page.status == 200
            assert "no-store" in page.headers["Cache-Control"]
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        async with place.client.head(scores["9"]) as page:
            assert page.status == 200
    assert "&lt;b&gt;Fast&lt;/b&gt; enough?" in text
    assert 'value="9" id=chosen' in text
    assert await place.sent("feedback") == []

    async def post(score: str, why: str = "") -> tuple[int, str]:
        async with place.client.post(str(link["url"]), data={"score": score, "why": why}) as answer:
            return answer.status, await answer.text()

    status, text = await post("9")
    assert (status, "main reason" in text) == (200, True)
    assert (await post("9", "Quick; mail me at canary@example.org"))[0] == 200
    assert [(await post(score))[0] for score in ("11", "-1", "", "9.0", "\u0669")] == [400] * 5
    first, second = sorted(
        (json.loads(record.value) for record in await place.sent("feedback")), key=lambda event: event["revision"]
    )
    assert (first["score"], first["touchpoint"], first["customer_id"]) == (9, "delivery", "customer-4711")
    assert second["text"] == "Quick; mail me at [email]"
    assert second["submission_id"] == first["submission_id"]
    assert second["revision"] > first["revision"]
    async with place.client.get(str(link["url"])[:-2]) as gone:
        assert gone.status == 404
    counted = await place.counted()
    assert counted["received"].total() == 7
    assert counted["rejected"] == {"bad_score": 5}
