"""What this worker holds: partitions with their fence, attempt and position, and whether the loop is alive.

Pure: time and the group's generation are arguments. The agents ask it before every write; a slice that it does
not know as current is dropped, and the partition begins a new attempt from what the tables say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.slices import Partition, Slice

#: Bits of a fence from the top: 16 for the incarnation, 32 for the group's generation, 16 for the attempt.
_GENERATION, _INCARNATION = 16, 48
_GENERATIONS, _ATTEMPTS = (1 << 32) - 1, (1 << 16) - 1


def fence(found: int, generation: int, attempt: int = 0) -> int:
    """`ver` for an attempt of a generation: higher than every fence `found` in the tables of the partition.

    The generation weighs more than the attempt: whatever a former owner still has in flight is below its successor,
    even if that did not see it. The incarnation rises when a generation found is above ours (the group was deleted,
    or a backup restored). An equal one found is our own: there the attempt rises.
    """
    incarnation, seen, tried = found >> _INCARNATION, found >> _GENERATION & _GENERATIONS, found & _ATTEMPTS
    if found and seen > generation:
        incarnation += 1
    elif found and seen == generation:
        attempt = max(attempt, tried + 1)
    return incarnation << _INCARNATION | generation << _GENERATION | min(attempt, _ATTEMPTS)


def raised(ver: int, found: int) -> bool:
    """Whether a fence bears a higher incarnation than what was found: then it must be written down before it is used.

    Or the next owner, whose generation is above ours but below that of the tables, could end up beneath us.
    """
    return ver >> _INCARNATION > found >> _INCARNATION


@dataclass(slots=True)
class Holding:
    """One partition in our hands.

    `loaded` is the ledger's position when it came, `position` the last offset stored since, `next_off` the first one
    not yet taken, `taken` the last one that went into the flow (a hole may lie between the two), `folded` the last one
    in the windows. `sought_off` and `sought_at` (monotonic seconds) remember the last seek.
    """

    epoch: int
    generation: int
    attempt: int
    ver: int
    loaded: int
    position: int
    next_off: int
    taken: int = -1
    folded: int = -1
    ingest_ms: int = 0
    clock_ms: int = 0
    log_end: int = 0
    sought_off: int = -1
    sought_at: float = 0.0
    paused: str = ""


class Custody:
    """The partitions of one worker. `generation` answers with the group's generation, `now` with monotonic seconds."""

    def __init__(self, generation: Callable[[], int], now: Callable[[], float], stall_limit_s: float) -> None:
        self._generation = generation
        self._now = now
        self._stall_limit_s = stall_limit_s
        self._beat_at = now()
        self._attempts: dict[Partition, int] = {}
        self._held: dict[Partition, Holding] = {}
        self.stalls = 0
        self.stalled = False

    def beat(self) -> bool:
        """Called ten times a second by the worker. True when the loop had stood still for too long: a stall began."""
        now = self._now()
        stood_still = now - self._beat_at > self._stall_limit_s
        self._beat_at = now
        if stood_still:
            self.stalls += 1
            self.stalled = True
        return stood_still

    def recover(self) -> None:
        """Ends a stall once the group has had time to tell us of a new generation: all in flight is forgotten."""
        for partition in list(self._held):
            self.forget(partition)
        self.stalled = False

    def alive(self) -> bool:
        """Whether the loop runs: a worker that was frozen must not believe what it remembers."""
        return not self.stalled and self._now() - self._beat_at <= self._stall_limit_s

    def take(self, partition: Partition, holding: Holding) -> None:
        """The partition is ours as the tables say; a new attempt begins."""
        self._attempts[partition] = holding.attempt
        self._held[partition] = holding

    def next_attempt(self, partition: Partition) -> int:
        """The number for the coming attempt."""
        return self._attempts.get(partition, 0) + 1

    def forget(self, partition: Partition) -> None:
        """Everything in flight for the partition is void; it must be loaded anew."""
        self._attempts[partition] = self.next_attempt(partition)
        self._held.pop(partition, None)

    def release(self, partitions: Iterable[Partition]) -> None:
        """The group took these partitions from us."""
        for partition in partitions:
            self.forget(partition)

    def holding(self, partition: Partition) -> Holding | None:
        """The partition as held in the present generation, or None when it must be loaded first."""
        holding = self._held.get(partition)
        if holding is None or holding.generation != self._generation():
            return None
        return holding

    def holdings(self) -> dict[Partition, Holding]:
        """All partitions held in the present generation."""
        return {p: h for p, h in self._held.items() if h.generation == self._generation()}

    def holds(self, piece: Slice) -> bool:
        """Whether a slice may still be written: the guard before every write."""
        holding = self.holding(piece.partition)
        return (
            self.alive()
            and holding is not None
            and piece.generation == holding.generation
            and piece.attempt == holding.attempt
        )

    def following(self, batch: Iterable[Slice], done: Callable[[Holding], int]) -> tuple[list[Slice], set[Partition]]:
        """The slices that follow without a break on what is `done` of their partition; and partitions with a break.

        Faust empties its queues now and then. A slice that got lost there must not become a hole in the ledger.
        """
        last: dict[Partition, int] = {}
        whole: list[Slice] = []
        torn: set[Partition] = set()
        for piece in batch:
            holding = self.holding(piece.partition)
            if holding is None or piece.partition in torn:
                continue
            if piece.follows is not None and piece.follows != last.get(piece.partition, done(holding)):
                torn.add(piece.partition)
                continue
            last[piece.partition] = piece.hi
            whole.append(piece)
        return [piece for piece in whole if piece.partition not in torn], torn

    def all_taken(self, waiting: Sequence[Slice]) -> bool:
        """Whether everything taken from Kafka stands in the ledger or is among these slices."""
        return self._reached(waiting, lambda holding: holding.taken, lambda holding: holding.position)

    def all_recorded(self, waiting: Sequence[Slice]) -> bool:
        """Whether everything in the ledger is in the windows or among these slices."""
        return self._reached(
            waiting, lambda holding: holding.position, lambda holding: max(holding.folded, holding.loaded)
        )

    def _reached(
        self, waiting: Sequence[Slice], sent: Callable[[Holding], int], done: Callable[[Holding], int]
    ) -> bool:
        reach = {piece.partition: piece.hi for piece in waiting}
        return all(
            sent(holding) <= max(done(holding), reach.get(partition, -1))
            for partition, holding in self.holdings().items()
        )

    def written(self, piece: Slice) -> None:
        """The slice stands in the ledger."""
        holding = self.holding(piece.partition)
        if holding is not None and holding.attempt == piece.attempt:
            holding.position = max(holding.position, piece.hi)
            holding.clock_ms = max(holding.clock_ms, piece.clock_ms)

    def folded(self, piece: Slice) -> None:
        """The slice is in the windows."""
        holding = self.holding(piece.partition)
        if holding is not None and holding.attempt == piece.attempt:
            holding.folded = piece.hi
