"""Record: one ledger row per offset, then the offset is let go. Nothing is committed before this step has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import faust
import polars as pl

from pipeline import roll
from pipeline.desk import Desk
from pipeline.gathering import Gathering, Patience
from pipeline.ledger import positions, retractions
from pipeline.ledger.writer import Lost
from pipeline.scores.windows import needed
from pipeline.slices import Slice
from schemas.vocabulary import Reason

#: Four inserts a second and topic. The rows bound the memory: as many may be in work as wait. With 120,000 a worker on
#: a backlog took 70 to 200 MB more at its peak, no less CPU, and was no faster.
_PATIENCE = Patience(within_s=0.25, slices=32, rows=48_000)
#: Arrivals by producer are written, and looked at by one worker, this often: a bad producer is named within a minute.
_ROLL_S = 10.0


def attach(app: faust.App, desk: Desk, reads: Any, writes: Any) -> None:
    """Batches of slices by topic into the ledger; what stands there goes on to score."""

    @desk.agent(app, reads, "record")
    async def record(stream: Any) -> None:
        async for waiting in Gathering(_PATIENCE, desk.custody.all_taken).batches(stream):
            for _, batch in groupby(sorted(waiting, key=_topic), key=_topic):
                for piece in await write(desk, list(batch)):
                    # Nothing of them is sealed from here on, and only what is counted is looked at.
                    await writes.send(value=replace(piece, values=(), rows=needed(piece.rows)))

    @desk.timer(app, _ROLL_S, "roll call")
    async def roll_call() -> None:
        await roll.call_the_roll(desk)


async def write(desk: Desk, batch: Sequence[Slice]) -> Sequence[Slice]:
    """Stores the batch and lets its offsets go; an empty answer when it was not ours any more."""
    with desk.step("record", sum(piece.rows.height for piece in batch)):
        current = [piece for piece in batch if desk.custody.holds(piece)]
        if len(current) < len(batch):
            desk.telemetry.count("touchline_dropped_slices_total", len(batch) - len(current), step="record")
        current, torn = desk.custody.following(current, lambda holding: holding.position)
        await desk.torn("record", torn)
        if not current:
            return ()
        try:
            async with desk.keeper.writing:
                ready: list[Slice] = []
                for piece in current:
                    ready.append(await retracted(desk, piece, ready))
                written = await desk.writer.write(ready)
        except Lost as lost:
            desk.telemetry.count("touchline_dropped_slices_total", len(lost.slices), step="record")
            await desk.keeper.rewind([piece.partition for piece in lost.slices])
            return ()
        for piece in written:
            desk.custody.written(piece)
        roll.counted(desk, batch[0].partition.topic, written)
        # Accept remembers a refused row as the first of its id; the ledger, where it is a dead letter, does not.
        refused = [piece.partition for piece in written if str(Reason.REFUSED_BY_SINK) in piece.rows["reason"]]
        await desk.keeper.rewind(list(dict.fromkeys(refused)))
        return written


async def retracted(desk: Desk, piece: Slice, earlier: Sequence[Slice]) -> Slice:
    """The slice with what its revised answers counted before, in `earlier` slices of the batch or in the ledger."""
    offsets = retractions.wanted(piece.rows)
    if not offsets:
        return piece.with_rows(retractions.retract(piece.rows, []))
    near = [found.rows.filter(pl.col("off").is_in(offsets)) for found in earlier if found.partition == piece.partition]
    offsets = sorted(set(offsets).difference(*(rows["off"] for rows in near)))
    before = pl.DataFrame()
    if offsets:
        found = await desk.keeper.until_answered(
            lambda: desk.pool.call(lambda c: positions.predecessors(c, piece.partition, piece.epoch, offsets)),
            piece.generation,
        )
        if found is None:
            raise Lost([piece])
        before = found
    return piece.with_rows(retractions.retract(piece.rows, [*near, before]))


def _topic(piece: Slice) -> str:
    return piece.partition.topic
