"""From an answer to its alert: a worker, a detractor, a webhook; answered by a person, handed on after a kill."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest

from tests.chaos import probe
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique
from tests.integration.receivers import DETRACTORS, inbox, to_hook, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

#: A loaded machine; on a quiet one a message is there within two seconds (docs/benchmarks.md).
PATIENCE_S = 60.0


async def test_a_detractor_is_told_within_seconds_once_and_an_answer_outlives_the_worker(case: Case) -> None:
    (case.folder / "rules.toml").write_text(DETRACTORS)

    def listed() -> list[dict[str, Any]]:
        done = case.command("alerts", "list", "--json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    async with inbox() as box:
        (case.folder / "routes.toml").write_text(to_hook(box.url))
        files = {"RULES": str(case.folder / "rules.toml"), "ROUTES": str(case.folder / "routes.toml")}
        worker = await asyncio.to_thread(case.worker, "one", **files)
        now = time.time_ns() // 1_000_000
        await asyncio.to_thread(probe.send, case, [feedback(unique("e"), now, score=9)])
        await until(lambda: asyncio.to_thread(ready, worker), PATIENCE_S)
        now = time.time_ns() // 1_000_000
        # What comes as history calls nobody, however new it is (C59).
        past = [feedback(unique("h"), now, f"customer-{n}", score=n % 7, touchpoint="delivery") for n in range(25)]
        await asyncio.to_thread(probe.send, case, [event._replace(topic="history") for event in past])
        bad = [feedback(unique("e"), now, f"customer-{number}", score=number % 7) for number in range(25)]
        await asyncio.to_thread(probe.send, case, bad)
        await until(lambda: bool(box.taken), PATIENCE_S)
        (case.folder / "seconds").write_text(f"{box.taken[0].at - now / 1000:.2f}")  # for whoever wants to know
        (found,) = await asyncio.to_thread(listed)
        told = box.taken[0].json["data"]["incidents"][0]
        assert told["id"] == found["id"]
        assert (found["state"], found["owner"]) == ("firing", told["owner"])
        said = await asyncio.to_thread(case.command, "alerts", "ack", found["id"], "--by", "ann")
        assert (said.returncode, said.stdout.strip()) == (0, "acknowledged"), said.stderr
        worker.kill()
        await asyncio.to_thread(case.worker, "two", **files)
        unacked = ("alerts", "unack", found["id"], "--by", "bob")
        await until(lambda: asyncio.to_thread(lambda: case.command(*unacked).returncode == 0), PATIENCE_S)

        def count() -> bool:
            return bool(listed()[0]["alerts"][0]["count"] == 25)

        # Answers that the first worker had not recorded yet are counted by the second, each once.
        await until(lambda: asyncio.to_thread(count), PATIENCE_S)
        counted = (
            "SELECT toInt64(count()) AS n FROM ledger FINAL WHERE topic = 'history' AND disposition = 'aggregated'"
        )
        assert await asyncio.to_thread(case.rows, counted) == [{"n": 25}]
        (after,) = await asyncio.to_thread(listed)
        assert after["id"] == found["id"]
        assert after["acked_by"] == ""
        ids = [taken.headers["webhook-id"] for taken in box.taken]
    firing = {id_ for id_ in ids if "-firing-" in id_}
    assert len(firing) == 1, ids


def ready(worker: Any) -> bool:
    """Whether it has taken its partitions and looked once: what was recorded before its first look calls nobody."""
    looked = re.search(r'^touchline_step_seconds_count{step="warn"} ([1-9])', worker.page("/metrics")[1], re.M)
    return looked is not None and worker.page("/readyz")[0] == 200
