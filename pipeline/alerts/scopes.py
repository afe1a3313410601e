"""The scopes of one metric and scale: their counts by window, what is normal for them, what was lately (pure).

A scope is one value of each dimension of a level: everything, a brand, a unit of a brand. Scopes appear when they are
first seen and keep their number; every array grows with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.alerts.baselines import DAYS, ENOUGH, WEEK, Baseline, Bools, chosen, grown, hour_of_week, learn
from pipeline.alerts.classes import Counts, Floats, three
from pipeline.alerts.effects import STAYS, Effects
from pipeline.alerts.today import HOURS_BACK, stronger
from pipeline.scores.windows import BINS
from pipeline.slices import CORE, FURTHER

#: Seconds of a window, and how many are kept: a day.
WINDOW_S = 300
KEPT = 288
#: Columns of a window beside its bins where a rule weighs by reach: what the reach of negative answers adds to their
#: number, and to the sum of the squares of their weights; in hundredths and ten-thousandths, so that sums are exact.
LOUD: tuple[str, ...] = ("loud", "loud_squares")
LOUD_UNITS = np.array([100.0, 10_000.0])
_HOUR_S = 3_600
#: Hours of history that are kept for learning and comparing.
HOURS = DAYS * 24

#: Columns that name what an answer was about, in the frames that come here.
DIMS: tuple[str, ...] = (*CORE, *FURTHER)

Level = tuple[str, ...]
Scope = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Group:
    """All scopes of one metric and scale that rules watch."""

    metric: str
    scale: str
    levels: tuple[Level, ...]
    scopes: list[Scope] = field(default_factory=list)
    level_of: list[Level] = field(default_factory=list)
    number: dict[Scope, int] = field(default_factory=dict)
    baseline: Baseline = field(default_factory=lambda: Baseline.empty(0))
    hours: Counts = field(default_factory=lambda: np.zeros((0, 0, 3), dtype=np.int64))
    hours_from: int = 0
    seen: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _came: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _ring: Counts = field(default_factory=lambda: np.zeros((0, KEPT, 3), dtype=np.int64))
    _loud: Counts = field(default_factory=lambda: np.zeros((0, KEPT, len(LOUD)), dtype=np.int64))
    _ends: Counts = field(default_factory=lambda: np.zeros(KEPT, dtype=np.int64))
    _sums: dict[int, Counts] = field(default_factory=dict)
    _today: dict[int, float] = field(default_factory=dict)
    _members: dict[tuple[str, ...], Counts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scopes)

    @property
    def dims(self) -> tuple[str, ...]:
        """Columns that its levels are made of: only their combinations are remembered, others would be one an event."""
        return columns_of(self.levels)

    def find(self, scope: Scope, level: Level) -> int:
        """The scope's number; a new one when it is first seen."""
        at = self.number.get(scope)
        if at is None:
            at = self.number[scope] = len(self.scopes)
            self.scopes.append(scope)
            self.level_of.append(level)
        return at

    def window(self, rows: pl.DataFrame, end: int) -> Counts:
        """Takes one closed window in: its counts [k, 3]. `rows` are of this metric and scale."""
        dims = self.dims
        names = rows.select(dims).rows() if dims and rows.height else [()] * rows.height
        members = [self._members_of(each) for each in names]
        self._grow()
        counts = np.zeros((len(self), 3), dtype=np.int64)
        if members:
            bins = rows.select(BINS).to_numpy().astype(np.int64)
            each = three(self.metric, self.scale, bins)
            np.add.at(counts, np.concatenate(members), np.repeat(each, [len(some) for some in members], axis=0))
        np.maximum(counts, 0, out=counts)
        slot = end // WINDOW_S % KEPT
        self._ring[:, slot] = counts
        self._take_loudness(rows, members, slot)
        self._ends[slot] = end
        self._sums.clear()
        self.seen[counts.sum(axis=1) > 0] = end
        self._into_hours(counts, end)
        return counts

    def lately(self, end: int, seconds: int) -> Counts:
        """Counts [k, 3] of the windows that ended in the `seconds` up to `end`; at most a day."""
        if seconds not in self._sums:
            wanted = (self._ends > end - seconds) & (self._ends <= end)
            self._sums[seconds] = self._ring[:, wanted].sum(axis=1)
        return self._sums[seconds]

    def louder(self, end: int, seconds: int) -> Floats:
        """What the reach of negative answers adds to their number and to the sum of their squared weights [k, 2]."""
        if not len(self._loud):
            return np.zeros((len(self), len(LOUD)))
        wanted = (self._ends > end - seconds) & (self._ends <= end)
        return np.asarray(self._loud[:, wanted].sum(axis=1) / LOUD_UNITS)

    def covers(self, end: int, seconds: int) -> bool:
        """Whether every window of the `seconds` up to `end` was seen: a sum over fewer is no sum of that time."""
        return int(((self._ends > end - seconds) & (self._ends <= end)).sum()) == seconds // WINDOW_S

    def between(self, start: int, end: int) -> Counts:
        """Counts [k, 3] of the whole hours from `start` to before `end` (Unix seconds)."""
        low, high = ((moment - self.hours_from) // _HOUR_S for moment in (start, end))
        return np.asarray(self.hours[:, max(low, 0) : max(high, 0)].sum(axis=1), dtype=np.int64)

    def stronger(self, end: int) -> float:
        """How much stronger than learned the daily cycle is in the hour in which a window ended; see today.py.

        From hours that are over, as they were closed or learned: what is revised later changes nothing.
        """
        now = (end - WINDOW_S - self.hours_from) // _HOUR_S
        if not self.hours_from:
            return 0.0
        if now not in self._today:
            of_week = (hour_of_week(end - WINDOW_S) + np.arange(-HOURS_BACK, 1)) % WEEK
            who = self._witnesses()
            self._today = {now: stronger(self.hours[who, now - HOURS_BACK : now], who, self.baseline, of_week[None, :])}
        return self._today[now]

    def _witnesses(self) -> Counts:
        """Scopes of the level that has most of them with a cycle: no answer counts twice there."""
        by_level: dict[Level, list[int]] = {}
        for at in np.flatnonzero(self.baseline.slope).tolist():
            by_level.setdefault(self.level_of[at], []).append(at)
        return np.array(max(by_level.values(), key=len, default=[]), dtype=np.int64)

    def doubled(self) -> bool:
        """Whether as many answers came since the last learning as it rests on, a baseline's worth of them at least."""
        return int(self._came.max(initial=0)) >= max(ENOUGH, int(self.hours[:, :HOURS].sum(axis=(1, 2)).max(initial=0)))

    def learned(self, by_level: Mapping[Level, pl.DataFrame], start: int, keep: Bools, only_new: bool) -> None:
        """A new baseline from hourly rows (column `hour`, Unix seconds) of HOURS hours from `start` on.

        Scopes marked in `keep` [k] hold on to the baseline they have; so do known ones with `only_new`.
        """
        filled: list[tuple[Counts, Counts, Counts]] = []
        for level in self.levels:
            rows = by_level[level].filter((pl.col("metric") == self.metric) & (pl.col("scale") == self.scale))
            if rows.height:
                numbers = np.array([self.find(scope, level) for scope in _scopes(rows, level)])
                counts = three(self.metric, self.scale, rows.select(BINS).to_numpy().astype(np.int64))
                filled.append((numbers, ((rows["hour"].to_numpy().astype(np.int64) - start) // _HOUR_S), counts))
        self._grow()
        hours = np.zeros((len(self), HOURS, 3), dtype=np.int64)
        for numbers, column, counts in filled:
            np.add.at(hours, (numbers, column), counts)
        np.maximum(hours, 0, out=hours)
        self.hours, self.hours_from = hours, start
        self._came[:] = 0
        fresh, old = learn(hours, start, times=self._times(hours)), self.baseline
        # Scopes that were met only now have nothing to hold on to.
        held = grown(keep, len(self), False) & (old.known | only_new)
        if only_new:
            held |= old.known
        self.baseline = chosen(held, old, fresh)
        self._today.clear()

    def _times(self, hours: Counts) -> float:
        """In how many scopes an answer of these hours is counted on the whole: all of them are in the fullest level."""
        by_level: dict[Level, int] = {}
        for level, answers in zip(self.level_of, hours.sum(axis=(1, 2)).tolist(), strict=True):
            by_level[level] = by_level.get(level, 0) + answers
        fullest = max(by_level.values(), default=0)
        return sum(by_level.values()) / fullest if fullest else 1.0

    def dump(self) -> dict[str, Any]:
        """What was learned, for a table."""
        base = self.baseline
        return {
            "metric": self.metric,
            "scale": self.scale,
            "scopes": [[list(pair) for pair in scope] for scope in self.scopes],
            "levels": [list(level) for level in self.level_of],
            "hours_from": self.hours_from,
            "effects": list(base.effects),
            "arrays": {
                "hours": self.hours.astype(np.int32),
                "shares": base.shares,
                "answers": base.answers,
                "learned": base.learned,
                "days": base.days,
                "slope": base.slope,
                "level": base.level,
                "cycle": base.cycle,
            },
        }

    def load(self, kept: Mapping[str, Any]) -> None:
        """Takes up what `dump` gave."""
        for scope, level in zip(kept["scopes"], kept["levels"], strict=True):
            self.find(tuple((name, value) for name, value in scope), tuple(level))
        arrays = kept["arrays"]
        count = len(arrays["answers"])
        self.baseline = Baseline(
            arrays["shares"],
            arrays["answers"],
            arrays["learned"],
            arrays["days"],
            # What older versions kept lacks these: its scopes follow no cycle until the next midnight.
            arrays.get("slope", np.zeros(count)),
            arrays.get("level", np.zeros(count)),
            arrays.get("cycle", np.zeros((WEEK, 2))),
            Effects(*kept.get("effects", (kept.get("tau", 0.0), kept.get("stays", STAYS), 0.0))),
        )
        self.hours, self.hours_from = arrays["hours"].astype(np.int64), int(kept["hours_from"])
        assert count <= len(self)
        self._grow()

    def _take_loudness(self, rows: pl.DataFrame, members: list[Counts], slot: int) -> None:
        """The columns LOUD of a window where it has them: only with a rule that weighs by reach."""
        if len(self._loud):
            self._loud = grown(self._loud, len(self))
            self._loud[:, slot] = 0
        if LOUD[0] not in rows.columns or not members:
            return
        found = rows.select(LOUD).to_numpy().astype(np.int64)
        if not found.any():
            return
        self._loud = grown(self._loud, len(self))
        numbers, times = np.concatenate(members), [len(some) for some in members]
        np.add.at(self._loud[:, slot], numbers, np.repeat(found, times, axis=0))

    def _grow(self) -> None:
        count = len(self)
        self.seen = grown(self.seen, count)
        self._came = grown(self._came, count)
        self._ring = grown(self._ring, count)
        self.hours = grown(self.hours, count)
        if len(self.baseline.answers) < count:
            nothing = Baseline.empty(count)
            held = np.arange(count) < len(self.baseline.answers)
            self.baseline = chosen(held, self.baseline, nothing, self.baseline)

    def _into_hours(self, counts: Counts, end: int) -> None:
        """Adds a window to its hour; hours that nobody saw are empty."""
        column = (end - WINDOW_S - self.hours_from) // _HOUR_S
        # What lies before the moment of learning was learned.
        if self.hours_from and column < HOURS:
            return
        self._came += counts.sum(axis=1)
        if not self.hours_from:
            return
        if column >= self.hours.shape[1]:
            more = np.zeros((len(self), column + 1 - self.hours.shape[1], 3), dtype=np.int64)
            self.hours = np.concatenate([self.hours, more], axis=1)
        self.hours[:, column] += counts

    def _members_of(self, values: tuple[str, ...]) -> Counts:
        """Numbers of the scopes that an answer with these dimensions counts in; looked up once for each combination."""
        found = self._members.get(values)
        if found is None:
            named = dict(zip(self.dims, values, strict=True))
            numbers = [self.find(scope, level) for level in self.levels for scope in _scopes_of(named, level)]
            found = self._members[values] = np.array(numbers, dtype=np.int64)
        return found


def columns_of(levels: Iterable[Level]) -> tuple[str, ...]:
    """The columns that these levels are made of, in the order of DIMS."""
    named = {"segments" if name == "segment" else name for level in levels for name in level}
    return tuple(name for name in DIMS if name in named)


def _scopes_of(named: Mapping[str, str], level: Level) -> list[Scope]:
    """The scopes of one level: none without a value, one for each of a customer's segments."""
    if any(name not in ("brand", "segment") and not named[name] for name in level):
        return []
    segments = named["segments"].split(",") if "segment" in level else [""]
    if "segment" in level and not named["segments"]:
        return []
    return [tuple((name, each if name == "segment" else named[name]) for name in level) for each in segments]


def _scopes(rows: pl.DataFrame, level: Level) -> Iterable[Scope]:
    if not level:
        return (() for _ in range(rows.height))
    return (tuple(zip(level, values, strict=True)) for values in rows.select(level).iter_rows())


def expected(group: Group, end: int, seconds: int) -> Floats:
    """Usual counts [k, 3] of the hours that the last `seconds` up to `end` fall into, from the same hours of the week.

    The mean over the weeks that are known; the running hour counts by the part of it that lies in the span.
    """
    start = end - seconds
    total = np.zeros((len(group), 3))
    weeks = np.zeros(len(group))
    for week in range(1, 5):
        shift = week * 7 * 86_400
        if start - shift < group.hours_from:
            break
        for hour in range((start - shift) // _HOUR_S, -(-(end - shift) // _HOUR_S)):
            low, high = max(hour * _HOUR_S, start - shift), min((hour + 1) * _HOUR_S, end - shift)
            total += group.between(hour * _HOUR_S, (hour + 1) * _HOUR_S) * ((high - low) / _HOUR_S)
        weeks += 1
    return np.asarray(total / np.maximum(weeks, 1)[:, None])
