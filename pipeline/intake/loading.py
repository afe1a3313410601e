"""The simulator into Kafka [I/O]: a history as fast as it goes, and a live stream at a rate."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pipeline.intake.producing import Producer, pseudonyms_of
from pipeline.intake.retelling import Tempo, by_topic
from pipeline.intake.simulator import Batch, simulate_history, simulate_live, simulate_profiles
from pipeline.intake.world import World
from pipeline.settings import Settings

#: How often a live stream sends: 20 times a second looks continuous and costs little.
TICK_S = 0.05
#: A live stream that fell behind (a stalled machine) catches up at most this much; the rest is left out.
BEHIND_S = 2.0


@dataclass(slots=True)
class Loaded:
    """What was sent: events by topic, planted bad ones by kind, seconds it took."""

    events: Counter[str] = field(default_factory=Counter)
    planted: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Events of all topics."""
        return sum(self.events.values())


@dataclass(frozen=True, slots=True)
class Span:
    """A history to simulate: from `start_ms` to before `end_ms`, `count` events."""

    start_ms: int
    end_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Telling:
    """A past span to tell anew: `count` events of `world`, at `tempo`."""

    world: World
    count: int
    tempo: Tempo


Progress = Callable[[Loaded], None]


def world_for(settings: Settings, world: World) -> World:
    """The world with customers in the form that the deployment's topics carry."""
    pseudonyms = pseudonyms_of(settings)
    return world if pseudonyms is None else replace(world, name=pseudonyms.text)


async def load_profiles(producer: Producer, world: World, valid_from_ms: int) -> int:
    """Send every customer's profile; returns how many."""
    sent = 0
    for batch in simulate_profiles(world, valid_from_ms):
        await producer.send_many(batch.topic, batch.keys, batch.values)
        sent += len(batch.keys)
    await producer.flush()
    return sent


async def load_history(
    producer: Producer, world: World, span: Span, progress: Progress | None = None, to: str = ""
) -> Loaded:
    """Simulate a history and send it, in order of time; all of it is acknowledged at the end.

    `to` names one topic for all events (`history`: quiet, any age); else each goes where it would go live.
    """
    done = Loaded()
    began = time.monotonic()
    for batch in simulate_history(world, span.start_ms, span.end_ms, span.count):
        topic = to or batch.topic
        await producer.send_many(topic, batch.keys, batch.values)
        done.events[topic] += len(batch.keys)
        done.planted.update(batch.planted)
        done.seconds = time.monotonic() - began
        if progress is not None:
            progress(done)
    await producer.flush()
    done.seconds = time.monotonic() - began
    return done


async def retell(
    producer: Producer, told_of: Telling, progress: Progress | None = None, seen: Callable[[], bool] = lambda: True
) -> Loaded:
    """Simulate the events of a span and send them where they would go live, in order, at a tempo.

    Their times are of the past: the partitions' clocks follow them, so that windows close one after the other.
    `seen` says whether the tempo need not wait any longer.
    """
    world, tempo = told_of.world, told_of.tempo
    done = Loaded()

    def drawn() -> list[Batch]:
        return list(simulate_history(world, tempo.start_ms, tempo.end_ms, told_of.count))

    batches = await asyncio.to_thread(drawn)
    for batch in batches:
        done.planted.update(batch.planted)
    told = by_topic(batches)
    del batches
    await asyncio.sleep(max(0.0, tempo.begins_ms / 1000 - time.time()))
    began, told_s = time.monotonic(), 0.0
    while any(topic.done < len(topic.times) for topic in told.values()):
        before, done.seconds = done.seconds, time.monotonic() - began
        told_s += (done.seconds - before) * tempo.counts(told_s, seen())
        moment = tempo.reached(told_s)
        for name, topic in told.items():
            keys, values = topic.until(moment)
            if keys:
                await producer.send_many(name, keys, values)
                done.events[name] += len(keys)
        if progress is not None:
            progress(done)
        await asyncio.sleep(TICK_S)
    await producer.flush()
    return done


async def stream_live(
    producer: Producer, world: World, rate: float, seconds: float | None, progress: Progress | None = None
) -> Loaded:
    """Send a live stream at `rate` events a second, for `seconds` or until cancelled.

    Give all incidents of the world before: their times are real times here.
    """
    following = simulate_live(world, rate)
    done = Loaded()
    following(int(time.time() * 1000), 0)  # draws what is under way, before the clock starts
    began = time.monotonic()
    due, skipped = 0, 0
    while seconds is None or done.seconds < seconds:
        done.seconds = time.monotonic() - began
        reach = done.seconds if seconds is None else min(done.seconds, seconds)
        due = int(reach * rate) - skipped
        if due - done.total > BEHIND_S * rate:
            skipped += due - done.total - int(BEHIND_S * rate)
            due = done.total + int(BEHIND_S * rate)
        await _send_live(producer, following(int(time.time() * 1000), due - done.total), done)
        done.planted = following.planted
        if progress is not None:
            progress(done)
        await asyncio.sleep(TICK_S)
    await producer.flush()
    return done


async def _send_live(producer: Producer, events: list[tuple[str, bytes, bytes]], done: Loaded) -> None:
    for topic in ("touchpoints", "feedback"):
        keys = [key for name, key, _ in events if name == topic]
        if keys:
            await producer.send_many(topic, keys, [value for name, _, value in events if name == topic])
            done.events[topic] += len(keys)
