"""Score: slices into windows; the owner of `ticks` closes windows and publishes whole scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import faust
import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.errors import RefusedRows, Unavailable, UsageError
from pipeline.gathering import Gathering, Patience
from pipeline.ledger import identities, relabelling, requests, restating
from pipeline.ledger.custody import Holding, fence
from pipeline.ledger.positions import Standing
from pipeline.scores.folding import NoLongerOurs, Ours, Taking
from pipeline.scores.recompute import Part
from pipeline.slices import Partition, Slice
from pipeline.telemetry import log
from schemas.codec import encode
from schemas.outgoing import Tick
from schemas.vocabulary import Tier

#: Windows are written at most four times a second. While 50,000 records of a partition wait behind a slice, once a
#: second: each row then stands for more events, and nobody sees the minutes between; the rows bound the memory.
_PATIENCE = Patience(within_s=0.25, slices=64, rows=100_000, behind=50_000, behind_s=1.0)
#: A partition without new events still has its windows settled after an assignment; looked at this often, seconds.
_SETTLE_S = 0.5
#: One tick a second, see design: its append time is the clock of everything that closes.
_TICK_S = 1.0
#: Days that became old enough are looked for this often, seconds; an import that pauses for less is not at its end.
_ROLL_S = 300.0
#: Between two ticks what changed is published this often, as far as the publisher does not rest.
_LOOK_S = 0.1
#: Requests of people are looked at this often, seconds.
_ASKED_S = 2.0

_log = log("touchline.score")


def attach(app: faust.App, desk: Desk, reads: Any) -> None:
    """Folds what stands in the ledger; takes new partitions over from the tables."""

    @desk.agent(app, reads, "score")
    async def score(stream: Any) -> None:
        async for waiting in Gathering(_PATIENCE, desk.custody.all_recorded).batches(stream):
            await fold(desk, waiting)

    @desk.timer(app, _TICK_S, "tick")
    async def tick() -> None:
        await publish(desk)

    @desk.timer(app, _LOOK_S, "look")
    async def between() -> None:
        await look(desk)

    @desk.timer(app, _SETTLE_S, "settle")
    async def settle() -> None:
        async with desk.folding:
            await taken_over(desk, desk.custody.holdings())

    @desk.timer(app, _ROLL_S, "roll")
    async def roll() -> None:
        await rolled(desk)

    @desk.timer(app, _ASKED_S, "asked")
    async def asked() -> None:
        await carry_out(desk)


async def carry_out(desk: Desk) -> None:
    """What people asked of the owners of partitions: rebuild windows, release a paused partition, restate rows."""
    try:
        waiting = await desk.pool.call(
            lambda client: requests.waiting(client, ("rebuild", "release", *restating.KINDS))
        )
    except Unavailable:
        return
    for request in waiting.iter_rows(named=True):
        partition = Partition(request["topic"], request["part"])
        holding = desk.custody.holding(partition)
        if holding is None:
            continue
        try:
            if request["kind"] in restating.KINDS:
                said = await restated(desk, request, partition, holding)
            else:
                said = await carried_out(desk, request["kind"], partition, holding)
            await desk.pool.call(partial(requests.done, request=request, ver=holding.ver, body=said))
        except (RefusedRows, UsageError, pl.exceptions.PolarsError) as error:
            # Asked for again it would fail again, and stop every worker that owns the partition.
            _log.error("request failed", kind=request["kind"], error=type(error).__name__, exc_info=error)
            said = f"{requests.FAILED}: {type(error).__name__}"
            await desk.pool.call(partial(requests.done, request=request, ver=holding.ver, body=said))
        except (Unavailable, NoLongerOurs):
            # It stays open: this worker or the next owner looks again.
            continue


async def carried_out(desk: Desk, kind: str, partition: Partition, holding: Holding) -> str:
    """Carries one request out; what is to be kept of it: of a release, from which offset the breaker counts anew."""
    if kind == "release":
        since = f"{holding.epoch}:{holding.next_off}"
        await desk.release(partition, holding)
        return since
    async with desk.folding:
        ours = desk.folder.ours(partition)
        if ours is not None:
            await desk.folder.rebuild(partition, ours, holding.clock_ms)
    return ""


async def restated(desk: Desk, request: dict[str, Any], partition: Partition, holding: Holding) -> str:
    """Carries out a request that rewrites rows of the ledger; what is to be kept of it: never whom it was about."""
    if request["kind"] in (relabelling.RELABEL, relabelling.TOPICS):
        await relabelled(desk, request, partition)
    else:
        await rewrite(desk, request, partition, holding)
    return "" if request["kind"] in (identities.MERGE, identities.ERASE) else str(request["body"])


async def rewrite(
    desk: Desk, request: dict[str, Any], partition: Partition, holding: Holding, labels: pl.DataFrame | None = None
) -> None:
    """Rewrites rows of the ledger between two attempts, then the windows of their minutes.

    Nothing is on its way in an epoch that is over: there it needs no attempt of its own.
    """
    if request["epoch"] not in (0, holding.epoch):
        async with desk.folding:  # nobody rolls its days meanwhile
            await desk.pool.call(lambda client: restating.of_past_epoch(client, holding.ver, request, labels))
        return
    async with desk.folding:

        def between(client: ClickHouse, standing: Standing, ver: int) -> None:
            where = Part(partition.topic, standing.epoch, partition.part, standing.position)
            restating.carry_out(client, where, ver, request, labels)

        done = await desk.keeper.anew(partition, holding.generation, between)
        fresh = desk.custody.holding(partition)
        if not done or fresh is None or not await taken_over(desk, {partition: fresh}):
            raise NoLongerOurs("the partition was taken over before it was restated")
        fresh.paused = holding.paused
        where = Part(partition.topic, fresh.epoch, partition.part, fresh.loaded)
        minutes = await desk.pool.call(lambda client: restating.noted_minutes(client, where, request["asked_ms"]))
        await desk.folder.restated(partition, minutes, fresh.loaded)


async def relabelled(desk: Desk, request: dict[str, Any], partition: Partition) -> None:
    """Texts of a range under the labels and topics of today, a portion at a time; the flow goes on meanwhile."""
    wish, after = relabelling.Wish.of(str(request["body"])), -1
    while True:
        holding = desk.custody.holding(partition)
        if holding is None:
            raise NoLongerOurs("the partition was taken over while its texts were labelled")
        past = request["epoch"] not in (0, holding.epoch)
        epoch, up_to = (request["epoch"], restating.ALL) if past else (holding.epoch, holding.position)
        where = Part(partition.topic, epoch, partition.part, up_to)
        texts, last = await desk.pool.call(partial(relabelling.portion, where=where, wish=wish, after=after))
        if texts.height:
            found = texts.select("off").with_columns(desk.topics_of(texts["text"], texts["language"]))
            await desk.pool.call(partial(relabelling.retold, where=where, ver=holding.ver, found=found))
        if texts.height and wish.tier:
            labels = await desk.labeller.label(texts["text"], texts["language"], burst=wish.tier == Tier.STATIC)
            if (labels["tier"] == str(Tier.FALLBACK)).any():
                # A worse label in place of a good one is not what was asked for.
                raise UsageError(f"the model of tier {wish.tier} did not answer: nothing of this portion is relabelled")
            await rewrite(desk, request, partition, holding, labels.with_columns(texts["off"]))
        if last is None:
            return
        after = last


async def rolled(desk: Desk) -> None:
    """Days that became old enough, by the broker's time, are kept by the hour from now on."""
    held = desk.custody.holdings()
    now_ms = max([desk.broker_ms, *(holding.ingest_ms for holding in held.values())])
    if not now_ms:
        return  # nothing has come yet, so nothing says what day it is
    folded = {partition: max(holding.folded, holding.loaded) for partition, holding in held.items()}
    await desk.roller.look(folded, now_ms // 86_400_000 - desk.settings.minutes_kept_days)


async def publish(desk: Desk) -> None:
    """Only the owner of `ticks`: one record there a second, whose append time is "now"; then scores and closings."""
    if Partition("ticks", 0) not in desk.group.assigned():
        desk.publisher.forget()
        desk.broker_ms = 0
        return
    try:
        ver = fence(desk.tick_fence, desk.group.generation())
        desk.ticks += 1
        tick = encode(Tick(ver=ver, number=desk.ticks))
        now_ms = await desk.outbox.send("ticks", [(b"tick", tick, [])])
        await desk.tables_follow()
        desk.broker_ms = now_ms
        sent = await desk.publisher.step(now_ms, ver)
    except Unavailable:
        return
    desk.telemetry.count("touchline_scores_published_total", sent)
    desk.telemetry.total("touchline_windows_closed_total", desk.publisher.closed)


async def look(desk: Desk) -> None:
    """Between two ticks the owner publishes what changed since the last look; the time is that of the last tick."""
    if not desk.broker_ms or Partition("ticks", 0) not in desk.group.assigned() or desk.publisher.resting:
        return
    try:
        sent = await desk.publisher.step(desk.broker_ms, fence(desk.tick_fence, desk.group.generation()))
    except Unavailable:
        return
    desk.telemetry.count("touchline_scores_published_total", sent)


async def fold(desk: Desk, waiting: Sequence[Slice]) -> None:
    """Folds the slices that are still ours; an older attempt's are in the tables already and are recomputed there."""
    async with desk.folding:
        with desk.step("score", sum(piece.rows.height for piece in waiting)):
            held = desk.custody.holdings()
            now = [
                piece for piece in waiting if piece.partition in held and piece.attempt == held[piece.partition].attempt
            ]
            mine = await taken_over(desk, {piece.partition: held[piece.partition] for piece in now})
            # What was recomputed when its partition was taken over is counted already.
            ours = [piece for piece in now if piece.partition in mine and piece.lo > held[piece.partition].loaded]
            ours, torn = desk.custody.following(ours, lambda holding: max(holding.folded, holding.loaded))
            await desk.torn("score", torn)
            if not ours:
                return
            try:
                await desk.folder.fold(ours)
            except NoLongerOurs:
                desk.telemetry.count("touchline_dropped_slices_total", len(ours), step="score")
                # Those of them that are still ours begin anew from the ledger as well.
                await desk.keeper.rewind([piece.partition for piece in ours])
                return
            desk.folded(ours)


async def taken_over(desk: Desk, held: Mapping[Partition, Holding]) -> set[Partition]:
    """Those of the partitions whose windows are ours: recomputed up to the position they came with, once an attempt."""
    wanted = {
        partition: Ours(holding.epoch, holding.ver, holding.generation, holding.attempt)
        for partition, holding in held.items()
    }
    new = [
        Taking(partition, ours, held[partition].loaded, held[partition].clock_ms)
        for partition, ours in wanted.items()
        if desk.folder.ours(partition) != ours
    ]
    while new:
        try:
            await desk.folder.begin(new)
            break
        except NoLongerOurs:
            # Some were taken from us meanwhile. The others go on at once, or their slices would have to be read again.
            now, before = desk.custody.holdings(), len(new)
            new = [each for each in new if each.partition in now and now[each.partition].attempt == each.ours.attempt]
            if len(new) == before:
                break  # the loop stood still for too long: nothing is ours until the group has spoken
    return {partition for partition, ours in wanted.items() if desk.folder.ours(partition) == ours}
