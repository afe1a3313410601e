"""The owner of the book of alerts, killed at a chosen moment of its calling.

python tests/chaos/calling_worker.py GENERATION before|after|never URL

It finds a drop of its own (scope and owner by its generation), decides, writes, publishes, and then calls the webhook:
killed `before` its first call, `after` the receiver took the first message and before that is written down, or `never`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipeline.alerts.calling import Caller
from pipeline.alerts.entries import Account, Notice
from pipeline.alerts.outbox import Answer
from pipeline.alerts.posting import Posting
from pipeline.alerts.routes import Receiver, Route, Routes
from pipeline.clickhouse import Pool
from pipeline.ledger.custody import fence
from pipeline.ledger.outbox import Outbox
from pipeline.settings import load_settings
from tests.unit.alerts.findings import START, finding


class Deadly:
    """Hands over and dies as told."""

    def __init__(self, when: str) -> None:
        self._posting = Posting({"127.0.0.1"})
        self._when = when

    async def deliver(self, receiver: Receiver, notice: Notice, now_ms: int) -> Answer:
        """One try, the last act of this process unless it is spared."""
        if self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await self._posting.deliver(receiver, notice, now_ms)
        if self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    async def refresh(self, receiver: Receiver, accounts: Sequence[Account], now_ms: int) -> None:
        """Webhooks are not told again."""


async def main(generation: int, when: str, url: str) -> None:
    """One worker's life."""
    settings = load_settings()
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    receiver = Receiver("ops", "webhook", {"url": url, "key": key})
    routes = Routes({"ops": receiver}, {"default": Route("default", ("ops",), group_wait_s=0)})
    pool, outbox = Pool(settings), Outbox(settings)
    caller = Caller(pool, outbox.send, routes, Deadly(when))
    now_ms = (START + generation) * 1000
    found = [] if when == "never" else [finding(generation, scope={"unit": f"u-{generation}"}, owner=f"o-{generation}")]
    await caller.step(found, now_ms, lambda highest: fence(highest, generation))
    while await caller.deliver(now_ms):
        await caller.step([], now_ms, lambda highest: fence(highest, generation))
    await outbox.close()
    pool.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
