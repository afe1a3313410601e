"""Warn: it keeps its place. It says whether published scores can be read back, and detects nothing."""

from __future__ import annotations

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


def test_it_is_the_last_step_of_the_flow_and_says_that_it_detects_nothing() -> None:
    assert FLOW == ("accept", "enrich", "label", "record", "score", "warn")
    assert "detects nothing" in (warn.__doc__ or "")
