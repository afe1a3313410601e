"""Accept: a poll becomes a slice of judged rows; what it remembers comes from the tables, never from hearsay."""

from __future__ import annotations

import pytest

from agents import accept
from pipeline.desk import Desk
from pipeline.slices import Partition, Slice
from schemas.codec import Rejection
from schemas.topics import LEDGER_TOPICS
from schemas.vocabulary import Reason, Stage
from tests.stages.flow import accepted, recorded
from tests.stages.records import FEEDBACK, answer, answers, record
from tests.stages.worker import Members, closed, desk_of, poll_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Bench = tuple[Desk, Members]


def verdicts(piece: Slice) -> list[tuple[str, str]]:
    return piece.rows.select("disposition", "reason").rows()


async def test_a_poll_becomes_one_slice_with_a_row_for_every_record(bench: Bench) -> None:
    desk, _ = bench
    piece = await accepted(desk, FEEDBACK, [answer(0), record(1, b"{"), record(2, None), answer(3, event_id="e0")])
    assert (piece.lo, piece.hi, piece.epoch, piece.generation) == (0, 3, 1, 1)
    assert verdicts(piece) == [
        ("aggregated", ""),
        ("dead_letter", "not_json"),
        ("ignored", "tombstone"),
        ("duplicate", "conflict"),
    ]
    assert piece.rows["off"].to_list() == [0, 1, 2, 3]


async def test_records_that_came_again_are_dropped_and_a_hole_is_looked_at_before_it_is_believed(bench: Bench) -> None:
    desk, members = bench
    await accepted(desk, FEEDBACK, answers(3))
    assert await desk.keeper.admit(poll_of(FEEDBACK, answers(3))) is None
    piece = await accepted(desk, FEEDBACK, answers(5))
    assert (piece.lo, piece.hi) == (3, 4)
    members.sought.clear()
    assert await desk.keeper.admit(poll_of(FEEDBACK, answers(2, first=9))) is None
    assert members.sought == [(FEEDBACK, 5)]


async def test_a_poll_of_an_earlier_generation_is_dropped(bench: Bench) -> None:
    desk, members = bench
    members.present = 2
    assert await desk.keeper.admit(poll_of(FEEDBACK, answers(1), generation=1)) is None
    assert desk.keeper.dropped == 1
    assert await desk.keeper.admit(poll_of(FEEDBACK, answers(1), generation=2)) is not None


async def test_what_the_ledger_holds_is_remembered_by_the_next_owner(bench: Bench) -> None:
    desk, _ = bench
    await recorded(desk, FEEDBACK, answers(3))
    other, members = desk_of(desk.settings)
    members.present = 2
    piece = await accepted(other, FEEDBACK, [*answers(3), answer(3, event_id="e1"), answer(4)])
    assert (piece.lo, piece.hi) == (3, 4)
    assert verdicts(piece) == [("duplicate", "conflict"), ("aggregated", "")]
    assert piece.ver > 1
    await closed(other)


async def test_the_next_owner_remembers_as_much_as_one_that_lived_on_however_few_partitions_are_busy(
    bench: Bench,
) -> None:
    desk, _ = bench
    await recorded(desk, FEEDBACK, answers(1_100))
    other, members = desk_of(desk.settings.model_copy(update={"ids_remembered": 1_000}))
    members.present, members.mine = 2, {Partition(topic, part) for topic in LEDGER_TOPICS for part in range(2)}
    members.ends[FEEDBACK] = 2_000
    again = [answer(1_100 + number, event_id=f"e{number + 100}") for number in range(1_000)]
    piece = await accepted(other, FEEDBACK, again)
    assert piece.rows["disposition"].unique().to_list() == ["duplicate"]
    assert (other.memory.ids.remembered, other.memory.ids.dropped) == (1_000, 0)
    await recorded(other, FEEDBACK._replace(part=0), [answer(0)])
    await other.keeper.rewind([FEEDBACK])  # alone: what the others have stays
    again = [answer(1_100 + number, event_id=f"e{number + 101}") for number in range(999)]
    piece = await accepted(other, FEEDBACK, again)
    assert piece.rows["disposition"].unique().to_list() == ["duplicate"]
    assert (other.memory.ids.held(FEEDBACK), other.memory.ids.remembered) == (999, 1_000)
    await closed(other)


async def test_a_slice_that_was_dropped_is_no_duplicate_of_itself(bench: Bench) -> None:
    desk, members = bench
    await accepted(desk, FEEDBACK, answers(3))
    await desk.keeper.rewind([FEEDBACK])
    assert members.sought[-1] == (FEEDBACK, 0)
    piece = await accepted(desk, FEEDBACK, answers(3))
    assert verdicts(piece) == [("aggregated", "")] * 3
    assert piece.attempt > 1


async def test_two_hundred_bad_events_in_a_row_pause_the_partition_and_a_release_lets_it_go_on(bench: Bench) -> None:
    desk, members = bench
    bad = [record(offset, b"{") for offset in range(250)]
    piece = await accepted(desk, FEEDBACK, bad)
    assert (piece.lo, piece.hi) == (0, 199)
    assert members.paused == {FEEDBACK}
    assert "feedback[1]: 200 invalid events in a row" in (desk._paused() or "")
    admitted = await desk.keeper.admit(poll_of(FEEDBACK, bad))
    assert admitted is not None
    assert await accept.judged(desk, poll_of(FEEDBACK, bad), *admitted) is None
    await desk.release(FEEDBACK, admitted[0])
    assert members.paused == set()
    assert (await accepted(desk, FEEDBACK, bad)).hi == 249


async def test_a_record_that_another_step_found_at_fault_is_a_dead_letter_of_that_step(bench: Bench) -> None:
    desk, _ = bench
    desk.refused[FEEDBACK] = {1: Rejection(Stage.ENRICH, Reason.STEP_FAILED, "$", "ValueError")}
    piece = await accepted(desk, FEEDBACK, answers(3))
    assert verdicts(piece)[1] == ("dead_letter", "step_failed")
    assert piece.rows["failed_at"].to_list() == ["", "enrich", ""]
    assert piece.rows["detail"][1] == "ValueError"


async def test_a_record_that_stopped_the_worker_three_times_is_rejected(bench: Bench) -> None:
    desk, _ = bench
    assert (await accepted(desk, FEEDBACK, answers(3))).hi == 2
    for _ in range(2):
        desk.crashes.note({FEEDBACK: (0, 2)})
    await desk.keeper.rewind([FEEDBACK])
    alone = await accepted(desk, FEEDBACK, answers(3))
    assert (alone.lo, alone.hi) == (0, 0)
    desk.crashes.note({FEEDBACK: (0, 0)})
    await desk.keeper.rewind([FEEDBACK])
    assert verdicts(await accepted(desk, FEEDBACK, answers(3)))[0] == ("dead_letter", "crash_loop")
