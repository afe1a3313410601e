"""Simulated worlds for the detectors: answers of many segments by five minutes, with drops where asked (pure, seeded).

Segments of 5 to 500 answers an hour, scores around 35, a daily cycle of volume and score, a weekend that is worse.
`clean` is nothing else; in `day-effects` each segment's days differ by an AR(1) effect. Harder ones after learning:
`strong-cycle` doubles the daily cycle of the score, `bursts` lets answers come in bursts, `mix-shift` lets the mix of
two kinds of customers wander. This is a bench for detectors, not the simulator of events (pipeline/intake).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]

#: Windows of five minutes in a day and in an hour.
DAY = 288
HOUR = 12
KINDS: tuple[str, ...] = ("clean", "day-effects", "strong-cycle", "bursts", "mix-shift")
#: Answers an hour of the smallest and the largest segment.
_RATES = (5.0, 500.0)
_PASSIVE = 0.30
#: The day effect: standard deviation (fraction) and how much of it is left the day after.
_EFFECT, _STAYS = 0.02, 0.6
#: Mean and spread of the amplitude of the daily cycle of scores (lognormal), a fraction.
_CYCLE, _CYCLE_SPREAD = 0.05, 0.4
_WEEKEND, _WEEKEND_VOLUME = -0.03, 0.7
#: In a burst of an hour there are so many times the answers; one hour in fifty is one.
_BURST, _BURST_SHARE = 8.0, 0.02
#: Two kinds of customers differ by so much; the share of one wanders by this standard deviation from day to day.
_KINDS_APART, _MIX_STEP = 0.20, 0.04


@dataclass(slots=True)
class World:
    """k segments. `phase` [k] is the window of the week (from Monday 00:00) at which each one's time begins."""

    kind: str
    rate: Floats
    score: Floats
    cycle: Floats
    phase: Ints

    @classmethod
    def drawn(cls, kind: str, segments: int, seed: int) -> World:
        """A world of its own for each seed."""
        rng = np.random.default_rng([seed, 1])
        # Stratified: a median over segments hangs on the volume of the middle ones, not on the luck of the draw.
        place = (rng.permutation(segments) + rng.random(segments)) / segments
        rate = np.exp(np.log(_RATES[0]) + place * np.log(_RATES[1] / _RATES[0]))
        score = np.clip(rng.normal(0.35, 0.15, segments), -0.2, 0.65)
        cycle = _CYCLE * np.exp(rng.normal(0.0, _CYCLE_SPREAD, segments))
        return cls(kind, rate, score, cycle, np.zeros(segments, dtype=np.int64))

    def repeated(self, times: int, phase: Ints) -> World:
        """Each segment several times over, each time begun at another moment of the week."""
        rate, score, cycle = (np.tile(values, times) for values in (self.rate, self.score, self.cycle))
        return World(self.kind, rate, score, cycle, phase)

    def answers(self, seed: int, windows: int, drop: Drop | None = None, *, learning: bool = False) -> Ints:
        """Counts [windows, k, 3] (negative, in between, positive), window 0 at each segment's phase."""
        rng = np.random.default_rng([seed, 2])
        days = windows // DAY + 2
        kind = "day-effects" if self.kind != "clean" else "clean"
        effects = _effects(rng, days, len(self.rate)) if kind == "day-effects" else np.zeros((days, len(self.rate)))
        if self.kind == "mix-shift" and not learning:
            effects = effects + _mix(rng, days, len(self.rate))
        out = np.empty((windows, len(self.rate), 3), dtype=np.int32)  # 84 days of 200 segments: 58 MB
        for first in range(0, windows, DAY):
            at = np.arange(first, min(first + DAY, windows))
            out[at] = self._counts(rng, at, effects, drop, learning)
        return out

    def _counts(self, rng: np.random.Generator, at: Ints, effects: Floats, drop: Drop | None, learning: bool) -> Ints:
        moment = at[:, None] + self.phase[None, :]
        hour = moment % DAY / HOUR
        weekend = moment // DAY % 7 >= 5
        volume = self.rate / HOUR * (1.0 + 0.8 * np.cos(2 * np.pi * (hour - 14.0) / 24.0))
        volume = volume * np.where(weekend, _WEEKEND_VOLUME, 1.0) * 7.0 / (5.0 + 2.0 * _WEEKEND_VOLUME)
        if self.kind == "bursts" and not learning:
            volume = volume * _bursts(rng, at, len(self.rate))
        stronger = 2.0 if self.kind == "strong-cycle" and not learning else 1.0
        score = self.score - stronger * self.cycle * np.cos(2 * np.pi * (hour - 20.0) / 24.0)
        of_day = (at[:, None] + self.phase[None, :] % DAY) // DAY
        score = score + np.where(weekend, _WEEKEND, 0.0) + effects[of_day, np.arange(len(self.rate))]
        if drop is None:
            return _drawn(rng, volume, score)
        share = drop.share(at)
        return _drawn(rng, volume * (1.0 - share), score) + _drawn(rng, volume * share, score - drop.size)


@dataclass(frozen=True, slots=True)
class Drop:
    """The score falls by `size` (a fraction) at `start` [k], in windows, and stays down."""

    size: float
    start: Floats

    def share(self, at: Ints) -> Floats:
        """Of each window [n, k] how much of it lies after the start."""
        return np.clip(at[:, None] + 1.0 - self.start[None, :], 0.0, 1.0)


def _drawn(rng: np.random.Generator, volume: Floats, score: Floats) -> Ints:
    passive = np.full(score.shape, _PASSIVE)
    negative = np.clip((1.0 - _PASSIVE - score) / 2.0, 0.01, 1.0 - _PASSIVE - 0.01)
    shares = np.stack([negative, passive, 1.0 - _PASSIVE - negative], axis=-1)
    return np.asarray(rng.multinomial(rng.poisson(volume), shares), dtype=np.int64)


def _effects(rng: np.random.Generator, days: int, segments: int) -> Floats:
    out = np.empty((days, segments))
    out[0] = rng.normal(0.0, _EFFECT, segments)
    for day in range(1, days):
        out[day] = _STAYS * out[day - 1] + rng.normal(0.0, _EFFECT * np.sqrt(1.0 - _STAYS**2), segments)
    return out


def _mix(rng: np.random.Generator, days: int, segments: int) -> Floats:
    share = np.clip(np.cumsum(rng.normal(0.0, _MIX_STEP, (days, segments)), axis=0), -0.5, 0.5)
    return np.asarray(share * _KINDS_APART)


def _bursts(rng: np.random.Generator, at: Ints, segments: int) -> Floats:
    """Factor on the volume [n, k]: some hours have many times the answers, the others so much less."""
    hours = -(-len(at) // HOUR)
    rest = (1.0 - _BURST_SHARE * _BURST) / (1.0 - _BURST_SHARE)
    factor = np.where(rng.random((hours, segments)) < _BURST_SHARE, _BURST, rest)
    return np.repeat(factor, HOUR, axis=0)[: len(at)]
