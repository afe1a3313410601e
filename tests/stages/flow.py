"""The steps of the flow by hand, one after the other: what agents/__main__.py joins by channels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from agents import accept, label, record
from pipeline.desk import Desk
from pipeline.slices import Partition, Record, Slice
from schemas.vocabulary import Stage
from tests.stages.worker import poll_of


async def accepted(desk: Desk, partition: Partition, records: Sequence[Record]) -> Slice:
    """A poll through the keeper and accept; AssertionError when it gave nothing."""
    poll = poll_of(partition, list(records), generation=desk.group.generation())
    admitted = await desk.keeper.admit(poll)
    assert admitted is not None
    piece = await accept.judged(desk, poll, *admitted)
    assert piece is not None
    return piece


async def enriched(desk: Desk, piece: Slice) -> Slice:
    """A slice through enrich."""
    assert await desk.following.ensure(piece.partition.part, piece.generation)
    rows = await desk.columns(piece, Stage.ENRICH, partial(desk.enriched, piece))
    assert rows is not None
    return piece.with_rows(rows)


async def labelled(desk: Desk, partition: Partition, records: Sequence[Record]) -> Slice:
    """A poll up to where record takes it."""
    return await label.with_labels(desk, await enriched(desk, await accepted(desk, partition, records)))


async def recorded(desk: Desk, partition: Partition, records: Sequence[Record]) -> Slice:
    """A poll up to where score takes it: it stands in the ledger."""
    (piece,) = await record.write(desk, [await labelled(desk, partition, records)])
    return piece
