"""Schedules of faults, by a seed: about fifty steps of crashes, freezes, rebalances and outages, then rest, then proof.

Left out, since nothing can put it right: retention that passes offsets while a former owner still has them in hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from pipeline.errors import RefusedRows, Unavailable
from tests.property.stand_ins import Broker, Call, Event, Log, Sink, counted
from tests.property.workers import Flight, Rules, Worker

STEPS = 50
_WORKERS = ("a", "b", "c")
#: Rounds of undisturbed work after which everything must have come to rest.
_ROUNDS = 60


class Broken(AssertionError):
    """A schedule broke the promise."""


class World:
    """Two partitions, three workers, a clock."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.chance = random.Random(seed)
        self.rules = rules
        self.now = 0.0
        self.logs: Mapping[int, Log] = {part: Log(part, self.chance) for part in range(2)}
        self.broker = Broker(self.logs)
        self.sink = Sink(delta=not rules.absolute_windows, beyond=rules.beyond)
        self.workers = {name: Worker(name, self) for name in _WORKERS}
        self.late: list[Call] = []
        self.rebalance()

    # Steps

    def run(self) -> None:
        """The schedule, then rest, then what was still on its way lands."""
        steps: list[Callable[[], None]] = [self.work] * 40
        steps += [self.produce, self.drop, self.sink_turns, self.rebalance, self.retention] * 2 + [self.land]
        steps += [self.freeze, self.thaw, self.cut, self.mend, self.crash, self.forget_group, self.thaw, self.mend]
        for _ in range(STEPS):
            self.now += 0.1
            self.beat()
            self.chance.choice(steps)()
            self.check_commits()
        left = [worker for worker in self.workers.values() if worker.cut and not worker.frozen]
        former = left if len(left) < len(_WORKERS) and self.chance.random() < 0.7 else []
        self.rest(former)
        self.prove()
        self.linger(former)
        while self.late:
            self.land()
        self.prove()

    def work(self) -> None:
        """One worker does one or two of its things."""
        worker = self.one(lambda w: not w.frozen)
        if worker is None:
            return
        part = self.chance.choice(list(self.logs))
        for _ in range(2):
            self.chance.choice(
                [
                    lambda: worker.load(part),
                    lambda: self.fetch(worker, part),
                    lambda: self.fetch(worker, part),
                    lambda: worker.flush(self.chance.randrange(1, 4)),
                    lambda: self.answer(worker),
                    lambda: self.answer(worker),
                    lambda: self.answer(worker),
                    worker.fold,
                    worker.commit,
                ]
            )()

    def fetch(self, worker: Worker, part: int) -> None:
        if not worker.cut:
            worker.load(part)
            worker.take(part, self.chance.randrange(1, 12))

    def answer(self, worker: Worker) -> None:
        """What a call of the worker comes to: stored, lost, or stored later although it failed."""
        for flight in worker.flights():
            worker.answered(flight, self.outcome(flight.call))

    def outcome(self, call: Call) -> Exception | None:
        chance = self.chance.random()
        if call.table == "wait":
            return None
        if (not self.sink.up and call.table != "rejected") or chance < 0.1:
            return Unavailable("lost")
        if chance < 0.25:
            self.late.append(call)
            return Unavailable("will land later")
        try:
            self.sink.land(call)
        except RefusedRows as refused:
            return refused
        return Unavailable("landed") if chance < 0.4 else None

    def land(self) -> None:
        """An insert that was given up long ago lands."""
        if self.late:
            call = self.late.pop(self.chance.randrange(len(self.late)))
            try:
                self.sink.land(call)
            except RefusedRows:
                return

    def produce(self) -> None:
        for log in self.logs.values():
            log.end = min(log.size, log.end + self.chance.randrange(1, 20))

    def retention(self) -> None:
        """The oldest records go, some of them unread; only while nobody has any in hand."""
        busy = self.late or any(w.frozen or w.cut or w.writing or w.queue for w in self.workers.values())
        log = self.chance.choice(list(self.logs.values()))
        if not busy and self.chance.random() < 0.5:
            log.first = max(log.first, min(log.end - 1, self.sink.position(log.part) + self.chance.randrange(5)))

    def drop(self) -> None:
        worker = self.one(lambda w: bool(w.queue) and not w.frozen)
        if worker is not None:
            worker.drop(self.chance.randrange(len(worker.queue)))

    def sink_turns(self) -> None:
        self.sink.up = not self.sink.up

    # The group

    def rebalance(self) -> None:
        """All that the group can reach share the partitions; those it cannot reach know nothing of it."""
        members = [name for name, worker in self.workers.items() if not worker.frozen and not worker.cut]
        self.broker.rebalance(members, self.chance)
        for name, parts in self.broker.members.items():
            self.workers[name].join(self.broker.generation, parts)

    def forget_group(self) -> None:
        """Somebody deletes the group, which takes that all workers are stopped; then generations begin again."""
        if self.chance.random() < 0.3:
            for name in _WORKERS:
                self.kill(name)
            while self.late:
                self.land()
            self.broker.generation = 0
            self.rebalance()

    def freeze(self) -> None:
        """A process stands still, for a moment or long enough to be given up."""
        worker = self.one(lambda w: not w.frozen)
        if worker is None:
            return
        worker.frozen = True
        if self.chance.random() < 0.7:
            self.now += 20.0
            self.beat()
            self.rebalance()

    def thaw(self) -> None:
        """It goes on as if nothing had been; its heartbeat may come after other things."""
        worker = self.one(lambda w: w.frozen)
        if worker is not None:
            worker.frozen, worker.woken = False, True

    def cut(self) -> None:
        """A worker loses Kafka, not ClickHouse; it does not know that its partitions are given away."""
        worker = self.one(lambda w: not w.frozen and not w.cut)
        if worker is not None:
            worker.cut = True
            self.rebalance()

    def mend(self) -> None:
        worker = self.one(lambda w: w.cut and not w.frozen)
        if worker is not None:
            worker.cut = False
            self.rebalance()

    def crash(self) -> None:
        """Killed: what it waited for lands, now or later, or does not."""
        worker = self.chance.choice(list(self.workers.values()))
        self.kill(worker.name)
        self.rebalance()

    def kill(self, name: str) -> None:
        for flight in self.workers[name].flights():
            self.outcome(flight.call)
            flight.work.close()
        self.workers[name] = Worker(name, self)

    def beat(self) -> None:
        """Heartbeats of all that run; one that has just woken may be late with it."""
        for worker in list(self.workers.values()):
            if not worker.frozen and (not worker.woken or self.chance.random() < 0.3):
                worker.beat()

    def one(self, which: Callable[[Worker], bool]) -> Worker | None:
        found = [worker for worker in self.workers.values() if which(worker)]
        return self.chance.choice(found) if found else None

    # Rest and proof

    def rest(self, former: list[Worker]) -> None:
        """Everything is put right and the workers go on until nothing is left to do; `former` owners stay cut off."""
        self.sink.up = True
        for log in self.logs.values():
            log.end = log.size
        present = [worker for worker in self.workers.values() if worker not in former]
        for worker in present:
            worker.frozen, worker.cut = False, False
        self.now += 0.1
        for worker in present:
            worker.beat()
        self.rebalance()
        for _ in range(_ROUNDS):
            if self.chance.random() < 0.1:
                self.land()
            for worker in present:
                for part in worker.assigned:
                    worker.load(part)
                    worker.take(part, 30)
                worker.flush(8)
                worker.fold()
                for flight in worker.flights():
                    self.carry(worker, flight)
                worker.commit()
            self.check_commits()
            if all(self.at_rest(worker) for worker in present):
                return
        raise Broken("never came to rest")

    def linger(self, former: list[Worker]) -> None:
        """Former owners that never learned of it write all they have, when nobody will write after them."""
        for worker in former:
            worker.beat_only()
            for _ in range(len(worker.queue) + 2):
                for flight in worker.flights():
                    self.carry(worker, flight)
                worker.flush(2)
                worker.fold()

    def carry(self, worker: Worker, flight: Flight) -> None:
        """Answers a worker's questions until it has no more."""
        while flight in worker.flights():
            answer: Exception | None = None
            try:
                if flight.call.table != "wait":
                    self.sink.land(flight.call)
            except RefusedRows as refused:
                answer = refused
            worker.answered(flight, answer)

    def at_rest(self, worker: Worker) -> bool:
        done = [self.sink.position(part) + 1 >= self.logs[part].size for part in worker.assigned]
        return all(done) and not worker.queue and not worker.recorded and worker.settled()

    def check_commits(self) -> None:
        for part, committed in self.broker.committed.items():
            if committed > self.sink.position(part) + 1:
                raise Broken(f"committed {committed} of partition {part}, stored {self.sink.position(part)}")

    def prove(self) -> None:
        """The equation of each partition, its dispositions and windows, against a sequential reading of the log."""
        kept: list[tuple[int, Event]] = []
        for part, log in self.logs.items():
            gone = self.sink.gone(part)
            rows = [off for p, off in self.sink.ledger if p == part]
            if sorted(gone + rows) != list(range(log.size)):
                raise Broken(f"partition {part}: {rows=} {gone=} do not make up 0..{log.size - 1}")
            for off in rows:
                expected = expected_of(log.events.get(off))
                if self.sink.ledger[part, off].event != expected:
                    raise Broken(f"offset {off}: {self.sink.ledger[part, off]} is not {expected}")
                if expected.disposition == "dead_letter" and (part, off) not in self.sink.published:
                    raise Broken(f"offset {off}: a dead letter that was never published")
                kept.append((part, expected))
            if any(off in log.events and off >= log.first for off in gone):
                raise Broken(f"partition {part}: a gap over records that are there")
        windows = {key: count for part in self.logs for key, count in self.sink.stored(part).items()}
        if windows != counted(kept):
            raise Broken(f"windows {windows} are not {counted(kept)}")


def expected_of(event: Event | None) -> Event:
    """The ledger row that an event must become."""
    if event is None:
        raise Broken("a row for an offset that the log never had")
    if event.refused:
        return Event(0, -1, "dead_letter", True)
    return event


def broken_by(rules: Rules, seeds: range) -> tuple[int, Broken] | None:
    """The first schedule that breaks the promise, with how."""
    for seed in seeds:
        try:
            World(seed, rules).run()
        except Broken as broken:
            return seed, broken
    return None
