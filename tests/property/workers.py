"""One worker of the simulator: the real Writer, Custody and fence, used as agents/ and Keeper use them.

Position and fence come from the tables, slices from the log, batches go through Writer, windows as Folder writes them.
`Rules` makes a worker wrong on purpose: such a mutant must be caught, or the simulator proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from pipeline.errors import Unavailable
from pipeline.ledger.custody import Custody, Holding, fence, raised
from pipeline.ledger.positions import beyond
from pipeline.ledger.writer import Guard, Lost, Writer
from pipeline.slices import Partition, Slice
from tests.property.stand_ins import Broker, Call, Counts, Event, Log, Sink, Version, counted

#: A loop that stands still for longer than this may have lost its partitions, seconds.
_STALL_S = 2.0
#: Newest minutes that a worker folds in memory; older ones are counted again from the ledger.
_WARM = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """What a worker does right; each False, and any other fence or position, is a mutant."""

    guard: bool = True
    commit_after_insert: bool = True
    whole_token: bool = True
    absolute_windows: bool = True
    fence: Callable[[int, int, int], int] = fence
    beyond: Callable[[int, Iterable[tuple[int, int]]], int] = beyond


class World(Protocol):
    """What is around a worker."""

    rules: Rules
    now: float
    broker: Broker
    sink: Sink
    logs: Mapping[int, Log]

    def rebalance(self) -> None:
        """The group shares the partitions out anew."""


class NoGuard:
    """Believes that everything is still ours."""

    def holds(self, piece: Slice) -> bool:
        return True


class _Told:
    """The sink and the topic `rejected` of one worker: each call waits for the schedule."""

    def __init__(self, whole_token: bool) -> None:
        self._whole_token = whole_token

    async def insert(self, table: str, rows: pl.DataFrame, token: str) -> None:
        await Call(table, rows, token if self._whole_token else without_lo(token))

    async def publish(self, rows: pl.DataFrame) -> None:
        await Call("rejected", rows)


async def _wait(_: float) -> None:
    await Call("wait")


def without_lo(token: str) -> str:
    """A token that does not say where a run begins. Without the fence too, which alone would tell two runs apart."""
    runs, _, rest = token.partition("|")
    fields = (run.split(":") for run in runs.split(";"))
    return ";".join(f"{topic}:{epoch}:{part}:{hi}" for topic, epoch, part, _, hi, _ in fields) + "|" + rest


@dataclass
class Ours:
    """A partition's windows in one worker's hands."""

    attempt: int
    ver: int
    floor: int
    hot: Counts


@dataclass(eq=False)
class Flight:
    """A coroutine of a worker that waits for an answer."""

    work: Coroutine[Call, Exception | None, Any]
    call: Call


class Worker:
    """One process. `step` methods run until the next answer is needed."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.generation = 0
        self.assigned: set[int] = set()
        self.frozen = self.cut = self.woken = False
        self.custody = Custody(lambda: self.generation, lambda: world.now, _STALL_S)
        self.guard: Guard = self.custody if world.rules.guard else NoGuard()
        told = _Told(world.rules.whole_token)
        self.writer = Writer(told, told, self.guard, lambda piece, off: (1, b"sealed"), _wait)
        self.queue: list[Slice] = []
        self.recorded: list[Slice] = []
        self.writing: Flight | None = None
        self.folding: Flight | None = None
        self.ours: dict[int, Ours] = {}
        self.seq = 0

    # The group

    def join(self, generation: int, assigned: set[int]) -> None:
        """A rebalance ends: what was held is released, a new generation begins."""
        self.custody.release(list(self.custody.holdings()))
        self.generation, self.assigned = generation, set(assigned)
        self.cut = False

    def beat(self) -> None:
        """The loop's heartbeat; after a freeze the group is asked whether we are still in it."""
        if self.custody.beat() or self.custody.stalled:
            if self.name in self.world.broker.members:
                self.rewind(list(self.custody.holdings()))
            else:
                self.world.rebalance()
            self.custody.recover()
        self.woken = False

    def beat_only(self) -> None:
        """A worker that cannot reach the group only knows that its loop runs."""
        if self.custody.beat():
            self.custody.recover()

    # Keeper and accept

    def load(self, part: int) -> None:
        """Takes a partition over as the tables say."""
        partition, sink = Partition("feedback", part), self.world.sink
        if part not in self.assigned or self.custody.holding(partition) or not self.custody.alive() or not sink.up:
            return
        position, attempt = sink.position(part), self.custody.next_attempt(partition)
        ver = self.world.rules.fence(sink.fence(part), self.generation, attempt)
        if not sink.fence(part) or raised(ver, sink.fence(part)):
            sink.land(Call("epochs", (part, ver)))
        self.custody.take(partition, Holding(1, self.generation, attempt, ver, position, position, position + 1))

    def take(self, part: int, limit: int) -> None:
        """One fetch of a partition becomes a slice; a hole before it is written down."""
        log, holding = self.world.logs[part], self.custody.holding(Partition("feedback", part))
        run = None if holding is None else log.run(holding.next_off, limit)
        if holding is None or run is None or not self.custody.alive():
            return
        lo, hi = run
        if lo > holding.next_off:
            if not self.world.sink.up:
                return
            self.world.sink.land(Call("gaps", (part, holding.next_off, lo - 1, holding.ver)))
        holding.next_off = hi + 1
        rows = log.rows[lo : hi + 1]
        self.queue.append(
            Slice(Partition("feedback", part), 1, self.generation, holding.attempt, holding.ver, lo, hi, rows)
        )

    def drop(self, index: int) -> None:
        """A step found a row at fault: the slice is dropped, its partition begins anew."""
        self.rewind([self.queue.pop(index).partition])

    def rewind(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self.custody.forget(partition)

    # Record

    def flush(self, slices: int) -> None:
        """A batch to the writer."""
        if self.writing is None and self.queue:
            batch, self.queue = self.queue[:slices], self.queue[slices:]
            current = [piece for piece in batch if self.guard.holds(piece)]
            if current:
                self.writing = self._start(self._write(current))

    async def _write(self, batch: Sequence[Slice]) -> None:
        try:
            written = await self.writer.write(batch)
        except Lost as lost:
            self.rewind([piece.partition for piece in lost.slices])
            return
        for piece in written:
            self.custody.written(piece)
        self.recorded.extend(written)

    def commit(self) -> None:
        """Kafka's offset follows."""
        offsets = {
            partition.part: (holding.position + 1 if self.world.rules.commit_after_insert else holding.next_off)
            for partition, holding in self.custody.holdings().items()
        }
        if self.custody.alive() and not self.cut:
            self.world.broker.commit(self.name, self.generation, offsets)

    # Score

    def fold(self) -> None:
        """What stands in the ledger into windows; partitions without news are taken over as well."""
        if self.folding is None:
            pieces, self.recorded = self.recorded, []
            self.folding = self._start(self._fold(pieces))

    def settled(self) -> bool:
        """Whether the windows of all that is ours were taken over."""
        held = self.custody.holdings()
        attempts = {partition.part: holding.attempt for partition, holding in held.items()}
        return attempts == {part: ours.attempt for part, ours in self.ours.items() if part in attempts}

    async def _fold(self, pieces: Sequence[Slice]) -> None:
        try:
            for partition in list(self.custody.holdings()):
                await self._taken_over(partition)
            for piece in pieces:
                holding = self.custody.holding(piece.partition)
                if holding is None or holding.attempt != piece.attempt or not await self._taken_over(piece.partition):
                    continue
                if piece.lo > holding.loaded:
                    await self._add(piece)
        except Lost:
            return

    async def _taken_over(self, partition: Partition) -> bool:
        holding = self.custody.holding(partition)
        if holding is None:
            return False
        part, ours = partition.part, self.ours.get(partition.part)
        if ours is not None and ours.attempt == holding.attempt:
            return True
        self.ours.pop(part, None)
        while not self.world.sink.up:
            await Call("wait")
        sink = self.world.sink
        fresh, there = sink.recompute(part, holding.loaded), sink.stored(part)
        settled = sink.progress[part][1] if part in sink.progress else -1
        newest = max((minute for _, minute, _ in (*fresh, *there)), default=0)
        floor = newest - _WARM
        behind = (off for p, off in sink.ledger if p == part and settled < off <= holding.loaded)
        minutes = {sink.ledger[part, off].event.minute for off in behind} | set(range(floor + 1, newest + 1))
        changed = _differences(fresh, there, minutes)
        made = Ours(holding.attempt, holding.ver, floor, {k: n for k, n in fresh.items() if k[1] > floor})
        if changed:
            await self._progress(partition, made, settled)
        await self._upsert(partition, made, changed)
        self.ours[part] = made
        await self._progress(partition, made, holding.loaded)
        return True

    async def _add(self, piece: Slice) -> None:
        part = piece.partition.part
        ours, sink = self.ours[part], self.world.sink
        columns = piece.rows.select("off", "occurred_ms", "bin", "disposition").iter_rows()
        delta = counted((part, Event(moment // 60_000, bin_, what, False)) for _, moment, bin_, what in columns)
        hot = {key: count for key, count in delta.items() if key[1] > ours.floor}
        for key, count in hot.items():
            ours.hot[key] = ours.hot.get(key, 0) + count
        absolute = self.world.rules.absolute_windows
        await self._upsert(piece.partition, ours, {key: ours.hot[key] for key in hot} if absolute else delta)
        cold = {key[1] for key in delta if key[1] <= ours.floor}
        if cold and absolute:
            await self._upsert(
                piece.partition, ours, _differences(sink.recompute(part, piece.hi), sink.stored(part), cold)
            )
        await self._progress(piece.partition, ours, piece.hi)

    async def _upsert(self, partition: Partition, ours: Ours, counts: Counts) -> None:
        self.seq += 1
        if counts:
            await self._send(partition, ours, Call("windows", (Version(ours.ver, self.seq), counts)))

    async def _progress(self, partition: Partition, ours: Ours, settled: int) -> None:
        self.seq += 1
        await self._send(partition, ours, Call("progress", (Version(ours.ver, self.seq), partition.part, settled)))

    async def _send(self, partition: Partition, ours: Ours, call: Call) -> None:
        while True:
            holding = self.custody.holding(partition)
            if not self.custody.alive() or holding is None or holding.attempt != ours.attempt:
                self.ours.pop(partition.part, None)
                raise Lost([])
            try:
                await call
                return
            except Unavailable:
                await Call("wait")

    # Answers

    def _start(self, work: Coroutine[Call, Exception | None, Any]) -> Flight | None:
        return self._go(Flight(work, Call("wait")), None)

    def _go(self, flight: Flight, answer: Exception | None) -> Flight | None:
        try:
            flight.call = flight.work.send(answer)
        except StopIteration:
            return None
        return flight

    def flights(self) -> list[Flight]:
        return [flight for flight in (self.writing, self.folding) if flight is not None]

    def answered(self, flight: Flight, answer: Exception | None) -> None:
        """The answer to what a coroutine waits for; it runs on to its next question or its end."""
        after = self._go(flight, answer)
        if flight is self.writing:
            self.writing = after
        else:
            self.folding = after


def _differences(fresh: Counts, there: Counts, minutes: set[int]) -> Counts:
    """What must be upserted so that these minutes equal `fresh`, zeros included."""
    return {
        key: fresh.get(key, 0)
        for key in fresh.keys() | there.keys()
        if key[1] in minutes and fresh.get(key, 0) != there.get(key, 0)
    }
