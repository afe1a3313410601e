"""Who holds what: fences that only rise, attempts, a loop that stood still."""

from __future__ import annotations

from pipeline.ledger.custody import Custody, Holding, fence, raised
from pipeline.slices import Partition, Slice
from tests.rows import ledger_like

ZERO = Partition("feedback", 0)
ONE = Partition("feedback", 1)


class World:
    """A group and a clock that a test turns."""

    def __init__(self) -> None:
        self.generation, self.now = 5, 100.0
        self.custody = Custody(lambda: self.generation, lambda: self.now, 2.0)

    def take(self, partition: Partition = ZERO, position: int = -1) -> Holding:
        attempt = self.custody.next_attempt(partition)
        holding = Holding(1, self.generation, attempt, 7, position, position, position + 1)
        self.custody.take(partition, holding)
        return holding

    def piece(self, holding: Holding, partition: Partition = ZERO) -> Slice:
        rows = ledger_like(3, seed=1, first=holding.next_off)
        lo, hi = holding.next_off, holding.next_off + 2
        return Slice(partition, 1, holding.generation, holding.attempt, 7, lo, hi, rows, clock_ms=50)


def test_a_fence_is_above_all_that_was_found_and_a_later_generation_is_above_every_attempt() -> None:
    first = fence(0, 5, 1)
    again = fence(first, 5, 2)
    assert first < again < fence(first, 6, 1), (
        "the successor did not see the second attempt, and is above it all the same"
    )
    assert fence(again, 5, 1) > again, "a new process that comes to the same generation"


def test_an_incarnation_rises_only_when_the_generations_began_again() -> None:
    found = fence(0, 900, 3)
    anew = fence(found, 1, 1)
    assert anew > found
    assert raised(anew, found)
    assert not raised(fence(found, 900, 4), found)
    assert not raised(fence(found, 901, 1), found)
    assert fence(anew, 2, 1) > anew


def test_attempts_beyond_the_limit_of_a_fence_do_not_spill_into_the_generation() -> None:
    assert fence(0, 5, 1 << 20) < fence(0, 6, 0)


def test_a_slice_holds_while_generation_partition_and_attempt_are_the_same() -> None:
    world = World()
    piece = world.piece(world.take())
    assert world.custody.holds(piece)
    assert not world.custody.holds(world.piece(world.take(ONE), Partition("feedback", 2)))
    world.generation = 6
    assert not world.custody.holds(piece)


def test_a_slice_of_an_earlier_attempt_does_not_hold() -> None:
    world = World()
    piece = world.piece(world.take())
    world.custody.forget(ZERO)
    assert not world.custody.holds(piece)
    holding = world.take()
    assert not world.custody.holds(piece)
    assert world.custody.holds(world.piece(holding))


def test_what_the_group_took_is_no_longer_held() -> None:
    world = World()
    pieces = [world.piece(world.take(partition), partition) for partition in (ZERO, ONE)]
    world.custody.release([ZERO])
    assert [world.custody.holds(piece) for piece in pieces] == [False, True]
    assert list(world.custody.holdings()) == [ONE]


def test_a_loop_that_stood_still_holds_nothing_even_before_its_first_beat() -> None:
    world = World()
    piece = world.piece(world.take())
    world.now += 2.1
    assert not world.custody.holds(piece)


def test_a_stall_lasts_until_the_group_has_spoken_and_then_all_is_loaded_anew() -> None:
    world = World()
    piece = world.piece(world.take())
    world.now += 1.9
    assert not world.custody.beat()
    assert world.custody.holds(piece)
    world.now += 2.1
    assert world.custody.beat()
    assert world.custody.stalls == 1
    world.now += 0.1
    assert not world.custody.beat()
    assert not world.custody.alive(), "still the same stall"
    world.custody.recover()
    assert world.custody.alive()
    assert world.custody.holding(ZERO) is None
    assert not world.custody.holds(piece)


def test_a_second_freeze_within_a_stall_is_noticed() -> None:
    world = World()
    world.now += 3
    world.custody.beat()
    world.now += 3
    world.custody.recover()
    assert not world.custody.alive()
    assert world.custody.beat()


def test_the_position_moves_with_what_is_written_by_this_attempt_only() -> None:
    world = World()
    holding = world.take(position=9)
    piece = world.piece(holding)
    world.custody.written(piece)
    assert (holding.position, holding.clock_ms) == (12, 50)
    world.custody.forget(ZERO)
    later = world.take(position=9)
    world.custody.written(piece)
    assert later.position == 9


def test_a_batch_is_complete_when_nothing_else_is_between_kafka_and_the_ledger_or_the_windows() -> None:
    world = World()
    zero, one = world.take(ZERO), world.take(ONE)
    pieces = {p: world.piece(h, p) for p, h in ((ZERO, zero), (ONE, one))}
    zero.taken = one.taken = 2
    assert not world.custody.all_taken([pieces[ZERO]]), "the other partition's slice is on its way"
    assert world.custody.all_taken(list(pieces.values()))
    assert world.custody.all_recorded([]), "nothing is in the ledger yet"
    for piece in pieces.values():
        world.custody.written(piece)
    assert world.custody.all_taken([])
    assert not world.custody.all_recorded([pieces[ONE]])
    assert world.custody.all_recorded(list(pieces.values()))
    for piece in pieces.values():
        world.custody.folded(piece)
    assert world.custody.all_recorded([])
