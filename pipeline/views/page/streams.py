"""Server-sent events: one frame encoded once for all viewers of a view, bounded for each of them. Pure.

A section (big numbers, line, ...) is whole in each of its frames, so a slow viewer that misses some loses nothing but
time. Only `feedback` adds to what was said before: whoever missed some is told so by a frame `gap`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

#: Frames that are kept for viewers who come back: five minutes at one a second.
RING: Final = 300
#: Said when there is nothing to say. Without an id: it is nothing that could be missed.
BEAT: Final = b"event: beat\ndata: {}\n\n"
#: Sections whose frames add to the ones before, so that a missed one is a gap.
ADDING: Final = frozenset({"feedback"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One event on the wire."""

    number: int
    section: str
    wire: bytes


def encoded(era: int, number: int, section: str, data: bytes) -> Frame:
    """A frame; its id is the server's start and a running number, so that ids of an earlier server are recognised."""
    return Frame(number, section, b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (era, number, section.encode(), data))


def parsed(text: str) -> tuple[int, int] | None:
    """(era, number) of an id that a browser sent back; None for anything else."""
    era, dash, number = text.partition("-")
    if not dash or not (era.isdecimal() and number.isdecimal()) or len(text) > 40:
        return None
    return int(era), int(number)


class Viewer:
    """One connection's outbox: the newest frame of each section, at most one of each."""

    def __init__(self) -> None:
        self._pending: dict[str, Frame] = {}
        self._ready = asyncio.Event()
        self.gaps = 0
        self.closed = False

    def offer(self, frame: Frame) -> None:
        """Puts a frame out; an older one of the same section that was not fetched yet makes room."""
        missed = self._pending.pop(frame.section, None)
        if missed is not None and frame.section in ADDING:
            self.gaps += 1
            self._pending["gap"] = Frame(frame.number, "gap", b'event: gap\ndata: {"why":"slow"}\n\n')
        self._pending[frame.section] = frame
        self._ready.set()

    def close(self) -> None:
        """Ends the connection after what is pending."""
        self.closed = True
        self._ready.set()

    async def fetch(self, wait_s: float) -> bytes:
        """What is pending, in order; after `wait_s` without anything a beat, so that a page knows a silent line from a
        dead one."""
        try:
            async with asyncio.timeout(wait_s):
                await self._ready.wait()
        except TimeoutError:
            return BEAT
        self._ready.clear()
        frames = sorted(self._pending.values(), key=lambda frame: (frame.number, frame.section != "gap"))
        self._pending = {}
        return b"".join(frame.wire for frame in frames)


@dataclass(slots=True)
class Channel:
    """The viewers of one view and what was said to them."""

    era: int
    number: int = 0
    viewers: set[Viewer] = field(default_factory=set)
    latest: dict[str, tuple[bytes, Frame]] = field(default_factory=dict)
    ring: deque[Frame] = field(default_factory=lambda: deque(maxlen=RING))

    def say(self, section: str, data: bytes) -> bool:
        """A section's new data to all viewers; nothing when it is what was said last."""
        before = self.latest.get(section)
        if before is not None and before[0] == data and section not in ADDING:
            return False
        self.number += 1
        frame = encoded(self.era, self.number, section, data)
        self.latest[section] = (data, frame)
        self.ring.append(frame)
        for viewer in self.viewers:
            viewer.offer(frame)
        return True

    def join(self, viewer: Viewer, last: str = "") -> bool:
        """Adds a viewer and gives it what it lacks; False when it had been here and what it missed is not known."""
        self.viewers.add(viewer)
        known = parsed(last)
        here = known is not None and known[0] == self.era and known[1] <= self.number
        since = known[1] if here and known is not None else 0
        missed = [frame for frame in self.ring if frame.number > since]
        whole = not self.ring or self.ring[0].number <= since + 1
        if here and whole:
            self._give(viewer, missed)
            return True
        self._give(viewer, [frame for section, (_, frame) in self.latest.items() if section not in ADDING])
        return not last

    def _give(self, viewer: Viewer, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if frame.section in ADDING:
                # Each of them adds something: they go as one.
                earlier = viewer._pending.pop(frame.section, None)
                frame = frame if earlier is None else Frame(frame.number, frame.section, earlier.wire + frame.wire)
            viewer.offer(frame)
