"""Accept: bytes to valid events or reasoned rejections; duplicates, bad times and revisions are found here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faust
import polars as pl

from pipeline.arrival import asking
from pipeline.arrival.accept import Accepted, Arrival, Known
from pipeline.arrival.reading import Reading
from pipeline.desk import Desk
from pipeline.isolation import isolate
from pipeline.ledger.custody import Holding
from pipeline.slices import Partition, Poll, Record, Slice
from pipeline.telemetry import log
from schemas.codec import Rejection
from schemas.topics import LEDGER_TOPICS
from schemas.vocabulary import Reason, Stage

#: Partitions without new events are taken over as well, so that their windows close; looked at this often, seconds.
_LOOK_S = 0.5

_log = log("touchline.accept")


def attach(app: faust.App, desk: Desk, reads: Any, writes: Any) -> None:
    """Turns each poll into a slice of judged rows."""

    @desk.agent(app, reads, "accept")
    async def accept(stream: Any) -> None:
        async for poll in stream:
            admitted = await desk.keeper.admit(poll)
            if admitted is not None:
                piece = await judged(desk, poll, *admitted)
                if piece is not None:
                    await writes.send(value=piece)
                    if desk.crashes.run(piece.partition, piece.lo):
                        await desk.calm(piece.partition, admitted[0])

    @desk.timer(app, _LOOK_S, "keep")
    async def keep() -> None:
        mine = {partition for partition in desk.group.assigned() if partition.topic in LEDGER_TOPICS}
        await desk.keeper.load(mine, desk.group.generation())


async def judged(desk: Desk, poll: Poll, holding: Holding, records: Sequence[Record]) -> Slice | None:
    """The next slice of a partition; None when it is paused or the group changed meanwhile."""
    partition = poll.partition
    arrival = await remembered(desk, partition, holding)
    if arrival is None or holding.paused:
        return None
    if run := desk.crashes.run(partition, holding.next_off):
        if not await desk.calm(partition, holding):
            return None
        if run < len(records):
            records = records[:run]
            await desk.group.seek(partition, records[-1].offset + 1)
    with desk.step("accept", len(records)):
        reading = read(desk, arrival, records, refusals(desk, partition, holding))
        questions = arrival.questions(reading)
        known: Known | None = Known()
        if questions:
            known = await desk.keeper.until_answered(
                lambda: desk.pool.call(
                    lambda c: asking.answer(c, partition, holding.epoch, holding.next_off, questions)
                ),
                poll.generation,
            )
        if known is None or desk.custody.holding(partition) is not holding:
            return None
        accepted = arrival.settle(reading, desk.rules, known)
    if accepted.breaker_open:
        pause(desk, partition, holding, accepted)
    if accepted.rows.is_empty():
        return None
    return sliced(poll, holding, records, accepted)


def read(desk: Desk, arrival: Arrival, records: Sequence[Record], refused: dict[int, Rejection]) -> Reading:
    """Decodes and checks; records that make it raise are found by halving and rejected."""
    try:
        return arrival.read(records, desk.rules, refused)
    # Whatever a record makes a column step raise is that record's fault: it is rejected, its neighbours go on.
    except Exception:
        offsets = pl.DataFrame({"off": [record.offset for record in records]})
        lo = records[0].offset

        def step(part: pl.DataFrame) -> pl.DataFrame:
            first = part["off"][0] - lo
            arrival.read(records[first : first + part.height], desk.rules, refused)
            return part

        faulty = isolate(offsets, step)
        if not faulty:
            raise
        found = {off: Rejection(Stage.ACCEPT, Reason.STEP_FAILED, "$", kind) for off, kind in faulty.items()}
        return arrival.read(records, desk.rules, refused | found)


def sliced(poll: Poll, holding: Holding, records: Sequence[Record], accepted: Accepted) -> Slice:
    """The slice of what was accepted; the partition's next offset moves behind it."""
    lo = records[0].offset
    hi = lo + accepted.rows.height - 1
    follows = max(holding.taken, holding.loaded)
    holding.next_off, holding.taken = hi + 1, hi
    return Slice(
        partition=poll.partition,
        epoch=holding.epoch,
        generation=holding.generation,
        attempt=holding.attempt,
        ver=holding.ver,
        lo=lo,
        hi=hi,
        rows=accepted.rows,
        clock_ms=accepted.clock_ms,
        log_end=max(poll.log_end, holding.log_end),
        follows=follows,
        values=[record.value for record in records[: accepted.rows.height]],
    )


async def remembered(desk: Desk, partition: Partition, holding: Holding) -> Arrival | None:
    """The partition's memory of this attempt, made anew from the ledger when another attempt's is there."""
    attempt, arrival = desk.arrivals.get(partition, (-1, None))
    if attempt == holding.attempt and arrival is not None:
        return arrival
    recalled = await desk.keeper.until_answered(
        lambda: desk.pool.call(
            lambda client: asking.recollect(client, partition, holding.epoch, holding.next_off, desk.rules)
        ),
        holding.generation,
    )
    if recalled is None or not await known_again(desk, partition, holding):
        return None
    arrival = Arrival.restore(partition, desk.memory, recalled, desk.rules)
    desk.arrivals[partition] = (holding.attempt, arrival)
    return arrival


async def known_again(desk: Desk, partition: Partition, holding: Holding) -> bool:
    """Fills the memory with the newest ids and answers of all partitions that began a new attempt, all at once.

    Which of them hold the newest ones only all together can tell. False when the group changed meanwhile.
    """
    mine = {each for each in desk.group.assigned() if each.topic in LEDGER_TOPICS}
    await desk.keeper.load(mine, holding.generation)
    held = {each: now for each, now in desk.custody.holdings().items() if each.topic in LEDGER_TOPICS}
    if held.get(partition) is not holding:
        return False
    new = {each: now.attempt for each, now in held.items() if desk.recalled.get(each) != now.attempt}
    if not new:
        return True
    places = {each: asking.Place(held[each].epoch, held[each].next_off) for each in new}
    desk.recalled = {each: attempt for each, attempt in desk.recalled.items() if each in held and each not in new}
    desk.arrivals = {each: known for each, known in desk.arrivals.items() if each in desk.recalled}
    desk.memory.forget([each for each in desk.memory.partitions if each not in desk.recalled])
    ids, answers = desk.memory.ids.room, desk.memory.answers.room
    kept = await desk.keeper.until_answered(
        lambda: desk.pool.call(lambda client: asking.remembered(client, places, ids, answers)), holding.generation
    )
    if kept is None:
        return False
    desk.memory.restore(kept)
    desk.recalled |= new
    return True


def refusals(desk: Desk, partition: Partition, holding: Holding) -> dict[int, Rejection]:
    """Records that a later step found to be at fault, and one that stopped the worker three times."""
    refused = dict(desk.refused.get(partition, {}))
    if desk.crashes.fatal(partition, holding.next_off):
        refused[holding.next_off] = Rejection(
            Stage.RECORD, Reason.CRASH_LOOP, "$", "stopped the worker three times in a row"
        )
    return refused


def pause(desk: Desk, partition: Partition, holding: Holding, accepted: Accepted) -> None:
    """Too many bad events: the partition stands still, loudly, until an operator releases it."""
    holding.paused = accepted.breaker_open or ""
    desk.group.pause(partition)
    desk.telemetry.set("touchline_breaker_open", 1, topic=partition.topic, partition=str(partition.part))
    _log.error("partition paused", topic=partition.topic, partition=partition.part, reason=holding.paused)
