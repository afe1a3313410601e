"""Decode, ledger and windows only: `python -m tests.bench.lean`, a wiring of its own for one comparison.

The same application, keeper, folder and score agent as in production, but accept only decodes (typed) and reads five
fields, nothing enriches or labels, a ledger row has only the facts that the windows need, and the windows are by
channel, touchpoint and metric: what a plain agent counts. No duplicates, no times, no rejections: it is no product.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import faust
import numpy as np
import polars as pl
from faust import Worker

from agents import score
from pipeline import memory
from pipeline.app import build_app, input_channel, step_channel
from pipeline.arrival import checks, columns
from pipeline.arrival.columns import words
from pipeline.blanks import blank
from pipeline.desk import Desk
from pipeline.gathering import Gathering, Patience
from pipeline.ledger.custody import Holding
from pipeline.ledger.writer import token_of
from pipeline.scores.windows import FOLDED
from pipeline.settings import Settings, load_settings
from pipeline.slices import ACCEPTED, ENRICHED, LABELLED, Poll, Record, Slice
from schemas.codec import decode

_FACTS = ("channel", "touchpoint", "metric")
#: As record in production waits.
_PATIENCE = Patience(within_s=0.25, slices=32)
#: What score looks at, empty: this wiring leaves most of it so.
_EMPTY = {
    name: "" if dtype == pl.String() else 0
    for name, dtype in {**ACCEPTED, **ENRICHED, **LABELLED}.items()
    if name in FOLDED
} | {"old_off": -1}


def wire(app: faust.App, desk: Desk, settings: Settings) -> None:
    """accept -> record -> score."""
    polls = input_channel(app, settings, "feedback", "ticks")
    decoded, recorded = step_channel(app), step_channel(app)

    @desk.agent(app, polls, "accept")
    async def accept(stream: Any) -> None:
        async for poll in stream:
            admitted = await desk.keeper.admit(poll) if poll.partition.topic == "feedback" else None
            if admitted is not None:
                holding, records = admitted
                with desk.step("accept", len(records)):
                    piece = sliced(poll, holding, records)
                await decoded.send(value=piece)

    @desk.agent(app, decoded, "record")
    async def record(stream: Any) -> None:
        async for batch in Gathering(_PATIENCE, desk.custody.all_taken).batches(stream):
            with desk.step("record", sum(piece.rows.height for piece in batch)):
                await desk.pool.insert("ledger", ledger_rows(batch), token_of(batch))
            for piece in batch:
                desk.custody.written(piece)
                await recorded.send(value=with_empty(piece))

    score.attach(app, desk, reads=recorded)
    desk.attach(app)


def sliced(poll: Poll, holding: Holding, records: Sequence[Record]) -> Slice:
    """Decoded events as a slice of the facts that windows need."""
    events: Any = decode("feedback", [r.value for r in records], [r.headers for r in records]).events
    own = {name: words(events, name) for name in _FACTS}
    nothing = blank("", pl.String(), len(events))
    fitted = checks.scaled(own["metric"], nothing, columns.scores_of(events))
    lo = records[0].offset
    holding.next_off = lo + len(records)
    rows = pl.DataFrame(
        {
            "off": np.arange(lo, lo + len(records), dtype=np.int64),
            "ingest_ms": np.fromiter(map(attrgetter("timestamp"), records), np.int64, len(records)),
            "occurred_ms": columns.moments(events),
            "disposition": blank("aggregated", pl.String(), len(events)),
            "reason": nothing,
            "brand": words(events, "brand"),
            **own,
            "scale": fitted.scale,
            "bin": fitted.bin,
        }
    )
    return Slice(
        partition=poll.partition,
        epoch=holding.epoch,
        generation=holding.generation,
        attempt=holding.attempt,
        ver=holding.ver,
        lo=lo,
        hi=lo + len(records) - 1,
        rows=rows,
        clock_ms=int(rows["occurred_ms"].to_numpy().max()),
        log_end=poll.log_end,
    )


def ledger_rows(batch: Sequence[Slice]) -> pl.DataFrame:
    """The rows of one insert; every other column of the table takes its default."""
    return pl.concat(
        piece.rows.with_columns(
            pl.lit(piece.partition.topic).alias("topic"),
            pl.lit(piece.epoch, pl.UInt16).alias("epoch"),
            pl.lit(piece.partition.part, pl.UInt16).alias("part"),
            pl.lit(piece.ver, pl.UInt64).alias("ver"),
        )
        for piece in batch
    )


def with_empty(piece: Slice) -> Slice:
    """The slice as score takes it: the dimensions that nobody read are empty."""
    empty = (pl.lit(value).alias(name) for name, value in _EMPTY.items() if name not in piece.rows.columns)
    return piece.with_rows(piece.rows.with_columns(*empty))


def main() -> None:
    """Runs until SIGTERM."""
    settings = load_settings()
    app = build_app(settings)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    wire(app, Desk(app, settings), settings)
    memory.settle()
    Worker(app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
