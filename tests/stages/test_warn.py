"""Warn: findings become alerts in the owner of `ticks`; it says whether published scores can be read back."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import pytest

from agents import FLOW, score, warn
from pipeline.alerts.finding import Finding
from pipeline.alerts.watching import Figures, Watch
from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.scores.closing import QUIET_MS
from pipeline.scores.publishing import readable
from pipeline.slices import Partition
from tests.chaos.generator import moment
from tests.integration.recording import DAY, Fall, record
from tests.stages.flow import recorded
from tests.stages.records import FEEDBACK, answer
from tests.stages.test_score import TICKS, recent
from tests.stages.worker import Members
from tests.unit.alerts.findings import START, finding

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


async def test_scores_that_were_published_can_be_read_back_and_nothing_published_cannot(
    bench: tuple[Desk, Members],
) -> None:
    desk, members = bench
    assert not await readable(desk.settings)
    members.mine = {TICKS}
    await score.fold(desk, [await recorded(desk, FEEDBACK, recent(12))])
    await score.publish(desk)
    assert desk.publisher.published > 0
    assert await readable(desk.settings)
    await desk.outbox.send("scores", [(b"k", b"no score", [])] * 50)
    assert not await readable(desk.settings)


def test_it_is_the_last_step_of_the_flow() -> None:
    assert FLOW == ("accept", "enrich", "label", "record", "score", "warn")


async def test_a_tick_judges_the_windows_that_were_closed_and_shows_it(bench: tuple[Desk, Members]) -> None:
    desk, members = bench
    members.mine = {TICKS}
    members.ends = {Partition("feedback", 0): 0, FEEDBACK: 1}  # one is empty, one has been read
    now_ms = time.time_ns() // 1_000_000
    early = answer(0, occurred_at=moment(now_ms - 1_200_000))._replace(timestamp=now_ms)
    await score.fold(desk, [await recorded(desk, FEEDBACK, [early])])
    for later in (0, QUIET_MS):
        await desk.publisher.step(now_ms + later, 1)
    await warn.look(desk, time.time_ns() // 1_000_000)
    judged = desk.telemetry.registry.get_sample_value("touchline_windows_judged_total")
    assert judged == desk.watch.figures.windows
    assert judged is not None
    assert judged > 0


class Found:
    """A watch that has found something, and gives it until it is settled."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        self.settled_after = 0
        self.figures = Figures()

    async def step(self, now_ms: int) -> tuple[Finding, ...]:
        """The findings, until they are settled."""
        self.settled_after += 1
        return self.findings

    async def settled(self) -> None:
        """They are safe."""
        self.findings = ()

    def forget(self) -> None:
        """Nothing to forget."""


async def test_a_finding_becomes_a_row_an_event_and_a_message_only_in_the_owner_of_ticks(
    bench: tuple[Desk, Members], capsys: pytest.CaptureFixture[str]
) -> None:
    desk, members = bench
    watch = Found(finding(1, event="feedback:1:0:1"))
    desk.watch = cast(Watch, watch)
    await warn.look(desk, START * 1000)
    assert (desk.caller.book, watch.settled_after) == (None, 0)
    members.mine = {TICKS}
    await warn.look(desk, START * 1000)
    assert watch.findings == ()
    await warn.hand_over(desk)
    await asyncio.gather(*desk.calling)
    assert desk.caller.counts() == {"open": 1, "acknowledged": 0, "resolved": 0}
    assert '"alert":"firing"' in capsys.readouterr().out
    members.mine = set()
    await warn.look(desk, START * 1000 + 1)
    assert desk.caller.book is None


async def test_the_owner_judges_closed_windows_with_the_rules_that_come_along(bench: tuple[Desk, Members]) -> None:
    desk, members = bench
    members.mine = {TICKS}
    client = ClickHouse(desk.settings)
    record(client, fall=Fall(hour=6.0))
    client.close()
    now_ms = (DAY + 86_400 + 120) * 1000
    while desk.watch.figures.windows < 288:
        await warn.look(desk, now_ms)
    await warn.look(desk, now_ms + 31_000)  # the first message waits half a minute for more of the same
    assert desk.caller.book is not None
    told = [sending.notice for sending in desk.caller.book.sendings.values()]
    assert {notice.state for notice in told} == {"firing"}
    assert {notice.accounts[0].owner for notice in told} == {"care"}  # the registry of these tests knows no other
