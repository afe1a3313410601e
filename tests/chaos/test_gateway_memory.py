"""A gateway's memory over ten minutes of everything that comes: it holds what is on its way, and nothing else grows."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp
import numpy as np
import pytest

from tests.chaos.harness import Case
from tests.chaos.test_gateway import Gateway

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

#: Before the first sample: clients connect, buffers of both sides find their size.
WARM_S = 60
SECONDS = 600
#: Requests a second, and how many may be open at once.
RATE, SENDERS = 200, 16
#: Megabytes a minute; more fills a machine of 8 GiB within a few days.
MOST_GROWTH = 1.0
_EVERY_S = 2.0


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Megabytes a minute, by least squares over (seconds, megabytes)."""
    seconds, megabytes = np.array(samples).T
    return float(np.polyfit(seconds / 60, megabytes, 1)[0])


def request(number: int) -> tuple[bytes, dict[str, str], int]:
    """A body, its headers and its status: single events, batches, names by Idempotency-Key, packed ones, garbage."""
    known = {"occurred_at": datetime.now(UTC).isoformat(), "channel": "web", "touchpoint": "checkout", "metric": "nps"}
    event = known | {"event_id": f"e{number}", "customer_id": f"c{number}", "score": number % 11, "text": "Quick."}
    batch = [event | {"event_id": f"e{number}-{each}", "customer_id": f"c{number}-{each}"} for each in range(20)]
    match number % 10:
        case 0:
            return json.dumps(batch).encode(), {}, 202
        case 1:
            return gzip.compress(json.dumps(batch).encode(), 1), {"Content-Encoding": "gzip"}, 202
        case 2:
            del event["event_id"]
            return json.dumps(event).encode(), {"Idempotency-Key": f"order-{number}"}, 202
        case 3:
            return json.dumps([*batch[:4], event | {"score": 11}]).encode(), {}, 207
        case 4:
            return b'{"event_id": "torn-%d"' % number, {}, 400
    return json.dumps(event).encode(), {}, 202


async def loaded(gateway: Gateway) -> tuple[Counter[str], list[tuple[float, float]]]:
    """Answers, as expected or else by status, and the memory meanwhile."""
    answers: Counter[str] = Counter()
    samples: list[tuple[float, float]] = []
    began = time.monotonic()

    def passed() -> float:
        return time.monotonic() - began

    async def sender(client: aiohttp.ClientSession, number: int) -> None:
        while (due := number / RATE) < WARM_S + SECONDS:
            await asyncio.sleep(max(0.0, due - passed()))
            body, headers, status = request(number)
            async with client.post(f"{gateway.url}/v1/events", data=body, headers=headers) as answer:
                await answer.read()
                answers["expected" if answer.status == status else str(answer.status)] += 1
            number += SENDERS

    async def sampler() -> None:
        while passed() < WARM_S + SECONDS:
            await asyncio.sleep(_EVERY_S)
            if passed() > WARM_S:
                samples.append((passed(), gateway.process.memory_mb))

    known = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=known) as client:
        await asyncio.gather(sampler(), *(sender(client, number) for number in range(SENDERS)))
    return answers, samples


def test_growth_is_seen() -> None:
    assert growth([(0, 100), (60, 101), (120, 102)]) == pytest.approx(1.0)
    assert growth([(0, 100), (60, 110), (120, 100)]) == pytest.approx(0.0)


@pytest.mark.prove
@pytest.mark.slow
@pytest.mark.timeout(WARM_S + SECONDS + 120)
def test_memory_is_flat_over_ten_minutes(case: Case) -> None:
    gateway = Gateway(case)
    answers, samples = asyncio.run(loaded(gateway))
    slope = growth(samples)
    told = f"{slope:+.2f} MB a minute, {samples[0][1]:.0f} to {samples[-1][1]:.0f} MB, answers {dict(answers)}"
    print(told)  # noqa: T201 - the figure is what somebody runs this for
    assert slope < MOST_GROWTH, told
    assert answers["expected"] > 0.99 * answers.total(), told
    assert answers.total() > 0.9 * RATE * SECONDS, told
