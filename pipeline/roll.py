"""Who sent what [I/O]: from a worker's desk into its metrics and the roll, and who turned bad or fell silent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.ledger.attendance import BAD, SILENT
from pipeline.ledger.rollcall import Muster, tallied
from pipeline.slices import Partition, Slice

if TYPE_CHECKING:
    from pipeline.desk import Desk

#: The schema that events of a live topic follow, as a label.
_SCHEMAS = {"feedback": "feedback.v1", "touchpoints": "touchpoint.v1"}


def counted(desk: Desk, topic: str, written: Sequence[Slice]) -> None:
    """What became of the offsets of a batch, and who sent them, for the metrics and for the roll call."""
    tally = tallied(piece.rows for piece in written)
    for disposition, reason, stage, n in tally.select("disposition", "reason", "failed_at", "n").iter_rows():
        desk.telemetry.count("touchline_dispositions_total", n, disposition=disposition, reason=reason)
        if stage:
            desk.telemetry.count("touchline_rejected_total", n, stage=stage, reason=reason)
    schema = _SCHEMAS.get(topic, topic)
    for producer, reason, n in desk.rollcall.add(topic, tally).select("producer", "reason", "n").iter_rows():
        desk.telemetry.count("touchline_arrivals_total", n, producer=producer, schema=schema)
        if reason:
            desk.telemetry.count("touchline_quarantined_total", n, producer=producer, schema=schema, reason=reason)


async def call_the_roll(desk: Desk) -> None:
    """Writes what was counted; the owner of `ticks` then looks who turned bad or fell silent."""
    counts = desk.rollcall.taken()
    if not counts.is_empty():
        await desk.pool.insert("arrivals", counts)
    if Partition("ticks", 0) not in desk.group.assigned() or not desk.broker_ms:
        # Another worker looks now: what this one says of producers must not stand for ever.
        _show(desk, {})
        desk.muster = Muster()
        return
    parts = range(desk.settings.topic_partitions)
    ends = await desk.group.log_ends({Partition(topic, part) for topic in _SCHEMAS for part in parts})
    found = await desk.pool.call(lambda client: desk.muster.look(client, desk.broker_ms, ends))
    _show(desk, {one.producer: one.state for one in found})


def _show(desk: Desk, states: Mapping[str, str]) -> None:
    """Who is bad or silent; of those that are known and have no state here, neither."""
    for producer in {*(desk.muster.since or ()), *states}:
        for state in (BAD, SILENT):
            desk.telemetry.set(f"touchline_producer_{state}", states.get(producer) == state, producer=producer)
