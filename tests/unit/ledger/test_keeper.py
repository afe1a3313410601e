"""What of a poll is next: taking over from the tables, replays, holes that are real and holes that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.errors import TopicRecreated
from pipeline.ledger.custody import Custody, Holding, fence
from pipeline.ledger.keeper import Keeper, first_at, run_length
from pipeline.slices import Partition, Poll, Record

Result = TypeVar("Result")
HERE = Partition("feedback", 0)


def records(*offsets: int) -> list[Record]:
    return [Record(off, 1_000 + off, None, b"{}", ()) for off in offsets]


class Tables:
    """One partition in ClickHouse, as far as the keeper asks; remembers what is written."""

    def __init__(self, position: int | None, ver: int = 0, gaps: Sequence[tuple[int, int]] = ()) -> None:
        self.position, self.ver, self.gaps = position, ver, list(gaps)
        self.written: list[tuple[str, dict[str, Any]]] = []

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *_: Any, **__: Any) -> pl.DataFrame:
        if "FROM epochs WHERE" in sql:
            return pl.DataFrame({"e": [1]})
        if "hi > transform" in sql:
            return pl.DataFrame([(0, *gap) for gap in self.gaps], schema=["part", "lo", "hi"], orient="row")
        names = ["part", "lo", "top", "gap", "ver", "ingest", "clock"]
        gap = max((hi for _, hi in self.gaps), default=-1)
        known = [] if self.position is None else [(0, 0, self.position, gap, self.ver, 0, 0)]
        return pl.DataFrame(known, schema=names, orient="row")

    def insert(self, table: str, rows: pl.DataFrame, token: str = "") -> None:
        self.written.append((table, rows.row(0, named=True)))

    async def call(self, work: Callable[[ClickHouse], Result]) -> Result:
        return work(cast(ClickHouse, self))

    def holes(self) -> list[tuple[int, int, str]]:
        return [(row["lo"], row["hi"], row["reason"]) for table, row in self.written if table == "gaps"]


class Log:
    """The group and one partition's log."""

    def __init__(self, offsets: Sequence[int]) -> None:
        self.offsets = list(offsets)
        self.present, self.changing, self.clock = 5, False, 10.0
        self.sought: list[int] = []

    def generation(self) -> int:
        return self.present

    def rebalancing(self) -> bool:
        return self.changing

    def now(self) -> float:
        self.clock += 1
        return self.clock

    async def seek(self, partition: Partition, offset: int) -> None:
        self.sought.append(offset)

    async def first_offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        return {HERE: self.offsets[0]}

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        return {HERE: self.offsets[-1] + 1}

    async def first_record(self, partition: Partition, offset: int) -> int:
        return min(off for off in self.offsets if off >= offset)


class Desk:
    """A keeper with all that it needs."""

    def __init__(self, tables: Tables, log: Log) -> None:
        self.tables, self.log = tables, log
        self.custody = Custody(log.generation, lambda: 0.0, 2.0)
        self.keeper = Keeper(cast(Pool, tables), log, self.custody)

    def poll(self, *offsets: int, at: float | None = None, generation: int = 5) -> Poll:
        fetched = self.log.now() if at is None else at
        return Poll(HERE, generation, fetched, self.log.offsets[-1] + 1, records(*offsets))

    async def admit(self, poll: Poll) -> list[int] | None:
        """Offsets that are admitted; they are taken, as accept does."""
        admitted = await self.keeper.admit(poll)
        if admitted is None:
            return None
        holding, found = admitted
        holding.next_off = found[-1].offset + 1
        return [record.offset for record in found]

    def held(self) -> Holding:
        holding = self.custody.holding(HERE)
        assert holding is not None
        return holding


def ran(work: Awaitable[Result]) -> Result:
    async def run() -> Result:
        return await work

    return asyncio.run(run())


def test_the_first_record_at_or_above_an_offset_is_found() -> None:
    found = records(3, 4, 7, 9)
    assert [first_at(found, off) for off in range(11)] == [0, 0, 0, 0, 1, 2, 2, 2, 3, 3, 4]
    assert first_at([], 5) == 0


def test_a_run_ends_where_offsets_stop_being_consecutive() -> None:
    assert [run_length(records(*offsets)) for offsets in ((5,), (5, 6, 7), (5, 7), (5, 6, 9, 10), (1, 2, 3, 4, 9))] == [
        1, 3, 1, 2, 4,
    ]  # fmt: skip


def test_a_new_partition_begins_at_its_first_offset_and_says_so() -> None:
    desk = Desk(Tables(None), Log(range(40, 50)))
    assert ran(desk.admit(desk.poll(40, 41))) == [40, 41]
    table, row = desk.tables.written[0]
    assert (table, row["lo"], row["ver"], row["reason"]) == ("epochs", 40, fence(0, 5, 1), "first")


def test_a_partition_is_taken_over_behind_what_the_ledger_holds() -> None:
    desk = Desk(Tables(6, ver=fence(0, 4, 2)), Log(range(20)))
    assert ran(desk.admit(desk.poll(*range(10)))) == [7, 8, 9]
    assert desk.log.sought == [7]
    assert desk.keeper.replayed == 7
    assert (desk.held().loaded, desk.held().ver) == (6, fence(0, 5, 1))
    assert not desk.tables.written


def test_generations_that_began_again_are_written_down_before_their_fence_is_used() -> None:
    found = fence(0, 900, 1)
    desk = Desk(Tables(6, ver=found), Log(range(20)))
    ran(desk.admit(desk.poll(7)))
    assert desk.held().ver == fence(found, 5, 1) > found
    assert [(table, row["ver"], row["reason"]) for table, row in desk.tables.written] == [
        ("epochs", desk.held().ver, "group")
    ]


def test_a_gap_ahead_of_rows_that_were_never_stored_does_not_move_the_position() -> None:
    desk = Desk(Tables(6, ver=1, gaps=[(9, 12)]), Log([*range(9), *range(13, 20)]))
    assert ran(desk.admit(desk.poll(7, 8))) == [7, 8]
    joined = Desk(Tables(6, ver=1, gaps=[(7, 12)]), Log([*range(7), *range(13, 20)]))
    assert ran(joined.admit(joined.poll(13))) == [13]


def test_a_position_beyond_the_end_of_the_log_is_a_topic_made_again() -> None:
    desk = Desk(Tables(20, ver=1), Log(range(20)))
    with pytest.raises(TopicRecreated, match="offsets reset"):
        ran(desk.admit(desk.poll(3)))


def test_polls_of_another_generation_and_of_a_group_that_changes_hands_are_dropped() -> None:
    desk = Desk(Tables(6, ver=1), Log(range(20)))
    assert ran(desk.admit(desk.poll(7, generation=4))) is None
    desk.log.changing = True
    assert ran(desk.admit(desk.poll(7))) is None
    assert desk.keeper.dropped == 2
    assert desk.custody.holding(HERE) is None


def test_a_group_that_changes_hands_while_tables_are_read_takes_nothing_over() -> None:
    desk = Desk(Tables(6, ver=1), Log(range(20)))
    desk.log.changing = True
    ran(desk.keeper.load({HERE}, 5))
    assert desk.custody.holding(HERE) is None


def test_a_hole_is_believed_only_after_a_seek_and_then_written_down() -> None:
    desk = Desk(Tables(6, ver=1), Log([*range(7), *range(9, 20)]))

    async def story() -> None:
        before = desk.poll(9, 10)
        assert await desk.admit(before) is None, "fetched before the seek of taking over"
        assert desk.log.sought == [7, 7]
        assert not desk.tables.holes()
        assert await desk.admit(desk.poll(9, 10)) == [9, 10]

    ran(story())
    assert desk.tables.holes() == [(7, 8, "markers")]


def test_a_hole_below_the_first_offset_is_retention() -> None:
    desk = Desk(Tables(6, ver=1), Log(range(12, 20)))

    async def story() -> None:
        assert await desk.admit(desk.poll(12)) is None
        assert await desk.admit(desk.poll(12, 13)) == [12, 13]

    ran(story())
    assert desk.tables.holes() == [(7, 11, "retention")]


def test_a_poll_that_a_seek_overtook_makes_no_hole() -> None:
    desk = Desk(Tables(6, ver=1), Log(range(20)))

    async def story() -> None:
        assert await desk.admit(desk.poll(7, 8)) == [7, 8]
        await desk.keeper.rewind([HERE])
        queued = desk.poll(9, 10, at=desk.log.clock)
        assert await desk.admit(queued) is None
        assert await desk.admit(desk.poll(15, 16)) is None, "claims to be of after the seek, but the log has more"
        assert await desk.admit(desk.poll(7, 8, 9)) == [7, 8, 9]

    ran(story())
    assert not desk.tables.holes()


def test_a_hole_inside_a_poll_ends_the_run_and_is_looked_at_next() -> None:
    desk = Desk(Tables(6, ver=1), Log([7, 8, 11, 12]))

    async def story() -> None:
        assert await desk.admit(desk.poll(7, 8, 11, 12)) == [7, 8]
        assert desk.log.sought[-1] == 9
        assert await desk.admit(desk.poll(11, 12)) == [11, 12]

    ran(story())
    assert desk.tables.holes() == [(9, 10, "markers")]


def test_a_rewind_begins_a_new_attempt_behind_the_position() -> None:
    desk = Desk(Tables(6, ver=1), Log(range(20)))

    async def story() -> None:
        await desk.admit(desk.poll(7, 8))
        first = desk.held()
        await desk.keeper.rewind([HERE])
        assert desk.log.sought[-1] == 7
        assert desk.custody.holding(HERE) is None
        await desk.admit(desk.poll(7, 8))
        assert desk.held().attempt > first.attempt
        assert desk.held().ver > first.ver

    ran(story())
