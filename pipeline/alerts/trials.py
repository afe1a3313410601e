"""Trials of the default detector in simulated worlds: false alarms by volume, delay by size of drop (pure, seeded).

The detector is the one that watches live (`Drops`), at its nominal threshold, and learns as it does live: each night
from the last 28 days, while an alarm is open not. Nothing is tuned here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.alerts.baselines import DAYS, WEEK, Baseline, Bools, chosen, learn
from pipeline.alerts.classes import net
from pipeline.alerts.detectors import RESOLVED_AT, SIZES, Cusum
from pipeline.alerts.dropping import Drops
from pipeline.alerts.scopes import HOURS
from pipeline.alerts.today import HOURS_BACK, stronger
from pipeline.alerts.usual import Charts
from pipeline.alerts.worlds import DAY, HOUR, Drop, Floats, Ints, World

#: Answers an hour: the bands in which false alarms are counted.
BANDS: tuple[tuple[str, float, float], ...] = (("5-20", 0.0, 20.0), ("20-100", 20.0, 100.0), ("100-500", 100.0, 1e9))
#: Points.
POINTS: tuple[int, ...] = (5, 10, 20, 40)
#: A drop lasts so long; what is not seen by then counts as never.
_LASTS = 7 * DAY
#: The statistic runs in before a drop begins.
_WARM = 2 * DAY
#: An alarm within twelve hours of the last one of its segment is the same.
_MUTE = DAY // 2
_WEEK = 7 * DAY
_WINDOW_MIN = 5


class Segments(Protocol):
    """What a trial needs to know of a world: answers an hour [k], and in which window of the week each one begins."""

    rate: Floats
    phase: Ints

    def repeated(self, times: int, phase: Ints) -> Segments:
        """Each segment several times over."""


#: Counts [windows, k, 3] of a world's segments: seed, windows, a drop, whether it is the time of learning.
Generate = Callable[[Any, int, int, Drop | None, bool], Ints]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried. `false_alarms` is the nominal number for a segment in 30 days; `nightly`: learns each night."""

    segments: int = 200
    days: int = 84
    seed: int = 1
    world: str = "day-effects"
    replicates: int = 3
    false_alarms: float = 0.1
    detector_sizes: tuple[float, ...] = SIZES
    nightly: bool = True


@dataclass(slots=True)
class Memory:
    """The last 28 days of k segments by hour [k, 672, 3], on a calendar of four weeks from a Monday on.

    A new hour takes the place of the one 28 days before it. `phase` [k] as in a world.
    """

    hours: Ints
    phase: Ints
    newest: Ints = field(init=False)

    def __post_init__(self) -> None:
        # The window before the first one.
        self.newest = (self.phase - 1) // HOUR % HOURS

    def take(self, at: int, counts: Ints) -> None:
        """Window number `at` of a trial."""
        moment = at + self.phase
        column = moment // HOUR % HOURS
        rows = np.arange(len(counts))
        fresh = (moment % HOUR == 0) | (at == 0)
        self.hours[rows[fresh], column[fresh]] = 0
        self.hours[rows, column] += counts
        self.newest = column

    def learned(self) -> Baseline:
        """What is normal by now."""
        return learn(self.hours, _monday(), self.newest)

    def stronger(self, at: int, baseline: Baseline) -> float:
        """How much stronger than learned the daily cycle is in window number `at`, from the hours that are over."""
        column = ((at + self.phase)[:, None] // HOUR + np.arange(-HOURS_BACK, 1)) % HOURS
        counts = np.take_along_axis(self.hours, column[:, :-1, None], axis=1)
        return stronger(counts, np.arange(len(counts)), baseline, column % WEEK)

    def mean(self) -> Floats:
        """The score of each segment over all of it [k], a fraction."""
        return net(self.hours.sum(axis=1))


@dataclass(frozen=True, slots=True)
class Delay:
    """Drops of one size: minutes and answers to the alarm (median over all, inf when half were missed)."""

    points: int
    trials: int
    minutes: float
    answers: float
    within_a_day: float
    by_band: dict[str, float]


@dataclass(frozen=True, slots=True)
class Calm:
    """Alarms of each segment in days without a drop: the detector's [k], the usual rules' [3, k].

    `tau` is what days were found to differ by.
    """

    alarms: Ints
    usual: Ints
    tau: float


@dataclass(frozen=True, slots=True)
class Rate:
    """False alarms of a rule per segment and 30 days: of all segments, and by band of volume."""

    rule: str
    all: float
    bands: dict[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """What came out. `false_alarms` and the bands are per segment and 30 days; `alarms` were counted.

    `usual`: what the rules that people set up by hand would have cried in the same days.
    """

    plan: Plan
    alarms: int
    false_alarms: float
    bands: dict[str, float]
    tau: float
    delays: tuple[Delay, ...] = field(default=())
    usual: tuple[Rate, ...] = field(default=())


def run(plan: Plan) -> Report:
    """The whole trial; the same plan gives the same report."""
    world = World.drawn(plan.world, plan.segments, plan.seed)
    return measured(plan, world, world_of)


def world_of(world: World, seed: int, windows: int, drop: Drop | None, learning: bool) -> Ints:
    """Answers of one of our own worlds."""
    return world.answers(seed, windows, drop, learning=learning)


def measured(plan: Plan, world: Segments, generate: Generate) -> Report:
    """False alarms and delays of a world; `generate` gives counts [windows, k, 3] from its segments."""
    first = hourly(generate(world, plan.seed * 1_000 + 1, DAYS * DAY, None, True))
    calm = calm_alarms(plan, world, generate, first)
    ours = _rate("touchline", calm.alarms, plan, world)
    usual = tuple(_rate(name, alarms, plan, world) for name, alarms in zip(Charts.NAMES, calm.usual, strict=True))
    delays = tuple(_delay(plan, world, first, points, generate) for points in POINTS)
    return Report(plan, int(calm.alarms.sum()), ours.all, ours.bands, calm.tau, delays, usual)


def _rate(rule: str, alarms: Ints, plan: Plan, world: Segments) -> Rate:
    months = plan.days / 30.0
    bands = {
        name: float(alarms[chosen].sum() / max(int(chosen.sum()), 1) / months)
        for name, low, high in BANDS
        for chosen in [(world.rate >= low) & (world.rate < high)]
    }
    return Rate(rule, float(alarms.sum() / plan.segments / months), bands)


def calm_alarms(plan: Plan, world: Segments, generate: Generate, first: Ints) -> Calm:
    """Alarms in days without a drop; `first` [k, 672, 3] are the hours learned before."""
    memory = Memory(first.copy(), world.phase)
    baseline = memory.learned()
    drops = Drops(baseline, plan.false_alarms, plan.detector_sizes)
    state, firing = _fresh(plan.segments, len(plan.detector_sizes))
    charts, month, cried = Charts.fresh(plan.segments), memory.mean(), np.zeros((3, plan.segments), dtype=np.bool_)
    ours, theirs = Bell.fresh((plan.segments,)), Bell.fresh((3, plan.segments))
    since, more = np.zeros(plan.segments, dtype=np.int64), 0.0
    counts = generate(world, plan.seed * 1_000 + 2, plan.days * DAY, None, False)
    for at in range(len(counts)):
        hour = at // HOUR % WEEK
        if plan.nightly and at and at % DAY == 0:
            baseline = chosen(firing & (since > at - DAYS * DAY), baseline, memory.learned())
            drops, month = Drops(baseline, plan.false_alarms, plan.detector_sizes), memory.mean()
        memory.take(at, counts[at])
        more = memory.stronger(at, baseline) if at % HOUR == 0 else more
        drops.step_at(state, counts[at], at, hour, more)
        raised, firing = _edges(state, drops, firing)
        since[raised] = at
        ours.ring(raised, at)
        crying = charts.step(at, counts[at], month, baseline.shares[:, hour])
        theirs.ring(crying & ~cried, at)
        cried = crying
    return Calm(ours.rung, theirs.rung, baseline.effects.of_month)


@dataclass(slots=True)
class Bell:
    """Counts alarms, of every kind by the same measure: within twelve hours of the last one it is the same alarm."""

    rung: Ints
    quiet: Ints

    @classmethod
    def fresh(cls, shape: tuple[int, ...]) -> Bell:
        """Not rung yet."""
        return cls(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))

    def ring(self, raised: Bools, at: int) -> None:
        """Alarms that were raised in window number `at`."""
        new = raised & (self.quiet <= at)
        self.quiet[new] = at + _MUTE
        self.rung += new


def hourly(counts: Ints) -> Ints:
    """[windows, k, 3] as [k, hours, 3]."""
    hours = counts.reshape(len(counts) // HOUR, HOUR, *counts.shape[1:]).sum(axis=1)
    return np.asarray(hours.transpose(1, 0, 2), dtype=np.int64)


def _delay(
    plan: Plan,
    world: Segments,
    first: Ints,
    points: int,
    generate: Generate,
) -> Delay:
    """Each segment falls several times, each time at another minute of the week; `first` [k, 672, 3] was learned.

    While a drop is not found each night learns more of it: what is found late is found later for that.
    """
    rng = np.random.default_rng([plan.seed, 3, points])
    trials = plan.segments * plan.replicates
    copies = world.repeated(plan.replicates, rng.integers(0, _WEEK, trials))
    start = _WARM + rng.random(trials) * HOUR
    counts = generate(copies, plan.seed * 1_000 + 500 + points, _WARM + _LASTS, Drop(points / 100.0, start), False)
    memory = Memory(np.tile(first, (plan.replicates, 1, 1)), copies.phase)
    drops = Drops(memory.learned(), plan.false_alarms, plan.detector_sizes)
    state, _ = _fresh(trials, len(plan.detector_sizes))
    found, more = np.full(trials, np.inf), 0.0
    seen, answers = np.zeros(trials, dtype=np.int64), np.full(trials, np.inf)
    for at in range(_WARM + _LASTS):
        if plan.nightly and at and at % DAY == 0:
            drops = Drops(memory.learned(), plan.false_alarms, plan.detector_sizes)
        memory.take(at, counts[at])
        if at == _WARM:
            # An alarm from before the drop is no find: whoever fires already begins anew.
            state.statistic[state.level(drops.limit) >= 1.0] = 0.0
        more = memory.stronger(at, drops.baseline) if at % HOUR == 0 else more
        drops.step_at(state, counts[at], at, (at + copies.phase) // HOUR % WEEK, more)
        if at < _WARM:
            continue
        after = at + 1.0 - start
        seen += np.where(after > 0, counts[at].sum(axis=1), 0)
        new = (state.level(drops.limit) >= 1.0) & np.isinf(found) & (after > 0)
        found[new] = after[new] * _WINDOW_MIN
        answers[new] = seen[new]
    bands = {
        name: float(np.median(found[chosen]))
        for name, low, high in BANDS
        for chosen in [(copies.rate >= low) & (copies.rate < high)]
        if chosen.any()
    }
    day = float((found <= 24 * 60).mean())
    return Delay(points, trials, float(np.median(found)), float(np.median(answers)), day, bands)


def _fresh(scopes: int, sizes: int) -> tuple[Cusum, Bools]:
    return Cusum.fresh(scopes, sizes), np.zeros(scopes, dtype=np.bool_)


def _edges(state: Cusum, drops: Drops, firing: Bools) -> tuple[Bools, Bools]:
    """Who begins to fire in this window, and who fires after it: until the statistic is down to half."""
    level = state.level(drops.limit)
    raised = level >= 1.0
    return raised & ~firing, raised | (firing & (level > RESOLVED_AT))


def _monday() -> int:
    """A Monday, 00:00 UTC: window 0 of every world."""
    return 4 * 86_400
