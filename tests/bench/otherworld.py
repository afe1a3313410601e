"""A second world for the detector's trials, from other assumptions: it shares no code and no formula with ours.

Single answers 0..10 from a rounded normal mood; the mood moves by a schedule of day parts, by a walk from day to day
that is pulled back, and by Sunday; volumes are log-normal and uneven within the hour. In a drop a share of the answers
become those of angry customers, so passives become fewer too. Run by
`python -m tests.bench.otherworld SEED...`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts import trials

Floats = NDArray[np.float64]

_DAY = 288
_SPREAD = 2.1
#: Steps of the walk from day to day: the score of a day differs by about 2 points, as in our own world.
_WALK = 0.078
#: Moods from 4 to 13 in steps of 1/100, and the shares of 0-6, 7-8, 9-10 at each.
_MOODS = np.arange(4.0, 13.0, 0.01)
#: Night, morning, noon, afternoon, evening: begin (hour), mood, volume.
_PARTS = ((0, 0.10, 0.25), (6, 0.25, 0.9), (11, 0.0, 1.5), (14, 0.05, 1.2), (18, -0.30, 1.6), (22, -0.05, 0.5))


def _below(edge: float, mood: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-(edge - each) / (_SPREAD * math.sqrt(2.0))) for each in mood])


_NEGATIVE, _PROMOTER = _below(6.5, _MOODS), 1.0 - _below(8.5, _MOODS)


@dataclass
class OtherWorld:
    """k segments: answers an hour, mood, how strongly the day parts move it, window of the week of the begin."""

    rate: Floats
    mood: Floats
    swing: Floats
    phase: NDArray[Any]

    @classmethod
    def drawn(cls, segments: int, seed: int) -> OtherWorld:
        """A world of its own for each seed."""
        random = np.random.default_rng([seed, 77])
        quantiles = (np.arange(segments) + 0.5) / segments
        rate = np.clip(np.exp(3.9 + 1.25 * np.sqrt(2) * _erfinv(2 * quantiles - 1)), 5.0, 500.0)
        mood = random.uniform(7.6, 9.1, segments)
        return cls(rate, mood, random.uniform(0.5, 1.5, segments), np.zeros(segments, dtype=np.int64))

    def repeated(self, times: int, phase: NDArray[Any]) -> OtherWorld:
        """Each segment several times over."""
        return OtherWorld(np.tile(self.rate, times), np.tile(self.mood, times), np.tile(self.swing, times), phase)


def answers(world: OtherWorld, seed: int, windows: int, drop: Any, learning: bool) -> NDArray[Any]:
    """Counts [windows, k, 3]; `drop` has `size` and `start`, both times of learning and trial are alike."""
    random = np.random.default_rng([seed, 78])
    days, k = windows // _DAY + 9, len(world.rate)
    walk = np.zeros((days, k))
    for day in range(1, days):
        walk[day] = 0.6 * walk[day - 1] + random.uniform(-1.0, 1.0, k) * _WALK
    out = np.empty((windows, k, 3), dtype=np.int32)
    hours = np.array([hour for hour, _, _ in _PARTS])
    for at in range(windows):
        moment = at + world.phase
        part = np.searchsorted(hours, moment % _DAY // 12, side="right") - 1
        mood = world.mood + world.swing * np.array([mood for _, mood, _ in _PARTS])[part]
        mood = mood + walk[(moment - world.phase // _DAY * _DAY) // _DAY, np.arange(k)]
        mood = mood - 0.15 * (moment // _DAY % 7 == 6)
        volume = world.rate / 12.0 * np.array([volume for _, _, volume in _PARTS])[part] / 1.046
        number = random.poisson(volume * random.gamma(4.0, 0.25, k))
        place = np.clip(((mood - 4.0) * 100).astype(np.int64), 0, len(_MOODS) - 1)
        negative, positive = _NEGATIVE[place], _PROMOTER[place]
        if drop is not None:
            angry = np.clip(at + 1.0 - drop.start, 0.0, 1.0) * drop.size / (positive - negative + 1.0)
            negative, positive = negative + angry * (1.0 - negative), positive * (1.0 - angry)
        shares = np.stack([negative, np.maximum(1.0 - negative - positive, 0.0), positive], axis=-1)
        out[at] = random.multinomial(number, shares / shares.sum(axis=1, keepdims=True))
    return out


def _erfinv(values: Floats) -> Floats:
    """By bisection: this file stands alone."""
    low, high = np.full_like(values, -5.0), np.full_like(values, 5.0)
    for _ in range(60):
        middle = (low + high) / 2.0
        less = np.array([math.erf(each) for each in middle]) < values
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return low


def main(seeds: list[str]) -> None:
    """The whole trial in this world, one line a seed."""
    for seed in map(int, seeds):
        found = trials.measured(trials.Plan(seed=seed), OtherWorld.drawn(200, seed), answers)
        delays = ", ".join(f"{each.points} points {each.minutes:.0f} min" for each in found.delays[1:])
        sys.stdout.write(f"seed {seed}: {found.false_alarms:.3f} false alarms, {delays}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
