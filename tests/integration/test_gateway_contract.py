"""Schemathesis asks the gateway what its OpenAPI document allows and forbids: never a defect, always an answer."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pipeline.access.keys import Right
from pipeline.intake.openapi import document
from pipeline.stack.launch import Stack
from tests.integration.gateway_place import Place, placed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what schemathesis and its parts say of themselves while they load
    import schemathesis

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

#: Requests by operation and kind; a second or two each.
EXAMPLES = 40


@pytest.fixture
async def place(stack: Stack, topic_prefix: str, database: str) -> AsyncIterator[Place]:
    async with placed(stack, topic_prefix, database, gateway_key_rate=0, gateway_rate=0) as made:
        yield made


ZERO = {"accepted": 0, "rejected": 0, "shed": 0}
#: Operations whose requests bring events.
BRINGING = ("/v1/events", "/v1/in/{integration}/{key}")


def asked(url: str, token: str, mode: Any) -> tuple[Counter[int], Counter[str]]:
    """Statuses of generated requests, and what became of their events by what was answered.

    Each answer is checked against the document.
    """
    schema: Any = schemathesis.openapi.from_dict(document())
    found: Counter[int] = Counter()
    fates: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.method != "post":
            continue  # nothing that could be wrong is asked there

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call(base_url=url, headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=CHECKS)
            found[answer.status_code] += 1
            fates.update(told(case.operation.path, answer))

        ask()
    return found, fates


def told(path: str, answer: Any) -> Counter[str]:
    """What an answer says of the events of its request; one that was not looked at counts as one event."""
    try:
        document = answer.json()
    except ValueError:
        return Counter()  # no route of ours
    if isinstance(document, dict) and "items" in document:
        counts = Counter(item["verdict"] for item in document["items"])
        assert counts == +Counter(accepted=document["accepted"], rejected=document["rejected"])
        return counts
    if answer.status_code != 401 and (path not in BRINGING or "error" not in document):
        return Counter()
    of_the_header = document["error"] in ("bad_idempotency_key", "idempotency_key_reused")
    return Counter(rejected=brought(answer.request) if of_the_header else 1)


def brought(request: Any) -> int:
    """Events in the body of a request that could be cut into them."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    if "ndjson" in request.headers["Content-Type"]:
        return sum(1 for line in body.split(b"\n") if line.strip())
    return len(json.loads(body)) if body.strip().startswith(b"[") else 1


schemathesis.checks.load_all_checks()
CHECKS = schemathesis.checks.CHECKS.get_by_names(
    [
        *("not_a_server_error", "status_code_conformance"),
        *("content_type_conformance", "response_schema_conformance"),
    ]
)


# The gateway's Kafka clients live in this process and draw random numbers while a strategy draws its own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=str)
async def test_whatever_the_document_allows_or_forbids_has_an_answer_that_it_names(place: Place, mode: Any) -> None:
    token = await place.key("all", frozenset({Right.ADMIN}))
    found, fates = await asyncio.to_thread(asked, place.server.url, token, mode)
    assert found.total() >= EXAMPLES
    assert set(found) <= {200, 202, 204, 207, 400, 401, 404, 413, 415, 422}
    counted = await place.counted()
    assert fates.total() >= EXAMPLES
    assert counted["received"].total() == fates.total(), "what was sent"
    assert {name: counted[name].total() for name in ("accepted", "rejected", "shed")} == {**ZERO, **fates}
