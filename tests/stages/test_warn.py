"""Warn: it judges closed windows and says whether published scores can be read back."""

from __future__ import annotations

import time

import pytest

from agents import FLOW, score, warn
from pipeline.desk import Desk
from pipeline.scores.publishing import readable
from tests.stages.flow import recorded
from tests.stages.records import FEEDBACK
from tests.stages.test_score import TICKS, recent
from tests.stages.worker import Members

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


async def test_a_tick_judges_the_windows_that_were_closed_and_shows_it(bench: tuple[Desk, Members]) -> None:
    desk, members = bench
    members.mine = {TICKS}
    await score.fold(desk, [await recorded(desk, FEEDBACK, recent(12))])
    await score.publish(desk)
    watch = warn.watching(desk)
    assert await warn.watched(desk, watch, time.time_ns() // 1_000_000) == []
    judged = desk.telemetry.registry.get_sample_value("touchline_windows_judged_total")
    assert judged == watch.figures.windows
    assert judged is not None
    assert judged > 0


def test_it_is_the_last_step_of_the_flow() -> None:
    assert FLOW == ("accept", "enrich", "label", "record", "score", "warn")
