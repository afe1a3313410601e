"""The simulator: a seeded stream of events of a world, as history or live. Pure: time is an argument.

`simulate_history` gives an exact number of events between two times, in order of time. `simulate_live` gives the
next events whenever it is asked. `simulate_profiles` gives the customers' profiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import orjson

from pipeline.intake.cast import Columns
from pipeline.intake.encoding import Encoder
from pipeline.intake.planted import plant
from pipeline.intake.stories import LONGEST_MS, draw, passers_by
from pipeline.intake.world import SEGMENTS, UNITS, Floats, Ints, World, customer_name, people_of

#: Events of both topics in one step of the history: what one Kafka batch for each of 12 partitions likes.
CHUNK = 10_000
#: Journeys shortened to a minute: what happens to a customer now is answered while one watches.
LIVE_PACE = 1 / 6000
#: Simulated time drawn at once when live.
LIVE_STEP_MS = 2_000
#: Share of the events that journeys are to give; the rest are passers-by, who fill a day up to its quota.
JOURNEY_SHARE = 0.975
#: Journeys drawn to learn how many events one has.
PILOT = 5_000

_HOUR_MS = 3_600_000
#: Weight of each hour of a day (UTC) and of each day from Monday: quiet nights, busy evenings, a busy Saturday.
HOURS: tuple[float, ...] = (
    *(0.25, 0.15, 0.12, 0.1, 0.12, 0.25, 0.5, 0.8, 1.05, 1.2, 1.25, 1.3),
    *(1.35, 1.25, 1.2, 1.2, 1.25, 1.4, 1.6, 1.75, 1.7, 1.4, 0.95, 0.5),
)
DAYS: tuple[float, ...] = (1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 0.8)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one topic in order: Kafka keys, values, event times in ms, and how many bad ones were planted."""

    topic: str
    keys: list[bytes]
    values: list[bytes]
    times: list[int]
    planted: dict[str, int] = field(default_factory=dict)


def simulate_history(world: World, start_ms: int, end_ms: int, count: int) -> Iterator[Batch]:
    """Exactly `count` events with start_ms <= time < end_ms, in order of time, in batches of one topic each.

    The same arguments give the same bytes. Raises ValueError on an empty span.
    """
    if end_ms <= start_ms or count < 1:
        raise ValueError("a history needs an end after its start and at least one event")
    encoder = Encoder(world, _salt(world.seed, start_ms))
    warm_ms = int(LONGEST_MS * world.pace)
    edges = np.append(np.arange(start_ms - warm_ms, end_ms, _HOUR_MS), end_ms)
    weights = _weights(world, edges)
    inside = edges[:-1] >= start_ms
    rate = JOURNEY_SHARE * count / _events_a_journey(world) / max(weights[inside].sum(), 1e-9)
    course = _Course(world)
    course.run(np.random.default_rng([world.seed, 2, 0]), edges[0], start_ms, rate * weights[~inside])
    course.drop_before(start_ms)
    quota = count * np.cumsum(weights) / weights[inside].sum()
    quota -= quota[~inside][-1] if (~inside).any() else 0.0
    given, chunk, hours = 0, 0, np.flatnonzero(inside)
    held: Columns | None = None
    for first in range(0, len(hours), 24):
        day = hours[first : first + 24]
        low, high = int(edges[day[0]]), int(edges[day[-1] + 1])
        rng = np.random.default_rng([world.seed, 3, first])
        course.run(rng, low, high, rate * weights[day])
        events = course.take(rng, high, goal=round(quota[day[-1]]) - given)
        given += len(events["time"])
        held = events if held is None else _appended(held, events)
        last = first + 24 >= len(hours)
        whole = len(held["time"]) if last else len(held["time"]) // CHUNK * CHUNK
        for at in range(0, whole, CHUNK):
            yield from _encoded(world, encoder, _cut(held, at, min(at + CHUNK, whole)), chunk)
            chunk += 1
        held = _cut(held, whole, len(held["time"]))


def simulate_live(world: World, rate: float) -> Following:
    """A function (now_ms, n) -> the next n events as (topic, key, value), their times ending at now.

    Call it at about `rate` events a second: journeys unfold at that pace. Waits inside a journey are shortened
    (LIVE_PACE), so that answers follow what happened within a minute; incidents begin at their own time.
    """
    return Following(world, rate)


class Following:
    """A live simulation under way; `planted` counts the bad events given so far, by kind."""

    def __init__(self, world: World, rate: float) -> None:
        self._world = replace(world, pace=LIVE_PACE, cycle=False)
        self._rate = rate
        self._live: _Live | None = None
        self.planted: Counter[str] = Counter()

    def __call__(self, now_ms: int, n: int) -> list[tuple[str, bytes, bytes]]:
        """The next n events."""
        if self._live is None:
            self._live = _Live(self._world, self._rate, now_ms)
        columns = self._live.following(now_ms, n)
        back = np.minimum(np.arange(n)[::-1] * 1000.0 / self._rate, 5_000.0).astype(np.int64)
        events = []
        for batch in self._live.encoded({**columns, "time": now_ms - back}):
            self.planted.update(batch.planted)
            events += [(batch.topic, key, value) for key, value in zip(batch.keys, batch.values, strict=True)]
        return events


def simulate_profiles(world: World, valid_from_ms: int) -> Iterator[Batch]:
    """The profile of every customer, valid from one moment on, for the topic `profiles`."""
    people = people_of(world.seed, world.customers)
    since = np.datetime_as_string(np.datetime64(valid_from_ms, "ms"), unit="ms") + "Z"
    name_of = world.name or (lambda plain: plain)
    for first in range(0, world.customers, CHUNK):
        keys, values = [], []
        for number in range(first, min(first + CHUNK, world.customers)):
            name = name_of(customer_name(number))
            profile = {
                "customer": name,
                "valid_from": since,
                "segments": [segment for segment, has in zip(SEGMENTS, people.segments[number], strict=True) if has],
                "unit": UNITS[people.unit[number]],
            }
            keys.append(name.encode())
            values.append(orjson.dumps(profile))
        yield Batch("profiles", keys, values, [valid_from_ms] * len(keys))


class _Course:
    """Journeys under way: drawn from their start, told in order of time, the future ones kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: Columns | None = None
        self._journeys = 0
        self._strangers = 0

    def run(self, rng: np.random.Generator, low: int, high: int, numbers: Floats) -> None:
        """Begins journeys between low and high (ms); `numbers` says how many in each equal part of that span."""
        if not len(numbers):
            return
        counts = rng.poisson(numbers)
        edges = np.linspace(low, high, len(numbers) + 1)
        part = np.repeat(np.arange(len(numbers)), counts)
        starts = (edges[part] + rng.random(len(part)) * (edges[part + 1] - edges[part])).astype(np.int64)
        self._hold(draw(self._world, rng, starts, self._journeys))
        self._journeys += len(starts)

    def drop_before(self, time: int) -> None:
        """Forgets what happened before `time` (the warm-up)."""
        if self._pending is not None:
            self._pending = _where(self._pending, self._pending["time"].astype(np.int64) >= time)

    def take(self, rng: np.random.Generator, until: int, goal: int) -> Columns:
        """`goal` events before `until` in order of time, passers-by among them; what is too much stays for later."""
        assert self._pending is not None
        times = self._pending["time"].astype(np.int64)
        order = np.argsort(times, kind="stable")
        due = order[: min(int(np.searchsorted(times[order], until)), max(goal, 0))]
        events = {name: column[due] for name, column in self._pending.items()}
        kept = np.ones(len(times), np.bool_)
        kept[due] = False
        self._pending = _where(self._pending, kept)
        missing = goal - len(due)
        if missing <= 0:
            return events
        since = int(events["time"][0]) if len(due) else until - 1
        starts = np.sort(rng.integers(since, until, missing))
        both = _appended(events, passers_by(rng, starts, self._strangers))
        self._strangers += missing
        return {name: column[np.argsort(both["time"], kind="stable")] for name, column in both.items()}

    def next(self, n: int) -> Columns:
        """The n earliest events (fewer when there are fewer)."""
        assert self._pending is not None
        order = np.argsort(self._pending["time"], kind="stable")
        events = {name: column[order[:n]] for name, column in self._pending.items()}
        self._pending = {name: column[order[n:]] for name, column in self._pending.items()}
        return events

    def before(self, until: int) -> int:
        """How many events lie before `until`."""
        return 0 if self._pending is None else int((self._pending["time"].astype(np.int64) < until).sum())

    def _hold(self, events: Columns) -> None:
        self._pending = events if self._pending is None else _appended(self._pending, events)


class _Live:
    """The state of a live simulation: simulated time runs with the events, and never behind the caller's."""

    def __init__(self, world: World, rate: float, now_ms: int) -> None:
        self._world = world
        self._salt = _salt(world.seed, now_ms) ^ 1
        self._encoder = Encoder(world, self._salt)
        self._course = _Course(world)
        self._per_ms = rate / 1000.0 / _events_a_journey(world)
        self._calls = 0
        warm_ms = int(LONGEST_MS * world.pace)
        self._rng = np.random.default_rng([world.seed, 5, now_ms])
        self._course.run(self._rng, now_ms - warm_ms, now_ms, np.array([warm_ms * self._per_ms]))
        self._course.drop_before(now_ms)
        self._until = now_ms

    def following(self, now_ms: int, n: int) -> Columns:
        """The next n events in simulated order."""
        if now_ms > self._until + LIVE_STEP_MS:
            self._until = now_ms
        while self._course.before(self._until) < n:
            high = self._until + LIVE_STEP_MS
            self._course.run(self._rng, self._until, high, np.array([LIVE_STEP_MS * self._per_ms]))
            self._until = high
        return self._course.next(n)

    def encoded(self, columns: Columns) -> Iterator[Batch]:
        """Those events as batches."""
        self._calls += 1
        return _encoded(self._world, self._encoder, columns, self._calls, self._salt)


def _encoded(world: World, encoder: Encoder, columns: Columns, chunk: int, salt: int = 0) -> Iterator[Batch]:
    """The two batches of one chunk of drawn events."""
    rng = np.random.default_rng([world.seed, 4, chunk, salt & 0xFFFFFFFF])
    for topic, events in (("touchpoints", encoder.touchpoints(columns)), ("feedback", encoder.feedback(columns, rng))):
        if events.values:
            with_bad, planted = plant(rng, world.bad, events, topic == "feedback")
            yield Batch(topic, with_bad.keys, with_bad.values, with_bad.times, planted)


def _events_a_journey(world: World) -> float:
    """How many events a journey has, by a trial of the world without incidents."""
    calm = replace(world, incidents=())
    events = draw(calm, np.random.default_rng([world.seed, 6]), np.zeros(PILOT, np.int64), 0)
    return len(events["time"]) / PILOT


def _weights(world: World, edges: Ints) -> Floats:
    """Relative number of journeys begun in each hour from edges[i] to edges[i + 1]."""
    spans = np.diff(edges) / _HOUR_MS
    if not world.cycle:
        return spans
    hour = (edges[:-1] // _HOUR_MS) % 24
    # 1 January 1970 was a Thursday.
    day = (edges[:-1] // (24 * _HOUR_MS) + 3) % 7
    weights: Floats = spans * np.array(HOURS)[hour] * np.array(DAYS)[day]
    return weights


def _salt(seed: int, start_ms: int) -> int:
    """Keeps the ids of runs apart."""
    return int(np.random.default_rng([seed, start_ms & 0xFFFFFFFF, start_ms >> 32]).integers(2**62)) * 2


def _appended(first: Columns, second: Columns) -> Columns:
    return {name: np.concatenate([column, second[name]]) for name, column in first.items()}


def _cut(columns: Columns, low: int, high: int) -> Columns:
    return {name: column[low:high] for name, column in columns.items()}


def _where(columns: Columns, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Columns:
    return {name: column[mask] for name, column in columns.items()}
