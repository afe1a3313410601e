"""Server-sent events: one frame encoded once for all viewers of a view, bounded for each of them. Pure.

A section (big numbers, line, ...) is whole in each of its frames, so a slow viewer that misses some loses nothing but
time. Only `feedback` adds to what was said before: whoever missed some is told so by a frame `gap`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

#: Frames that are kept for viewers who come back: five minutes at one a second.
RING: Final = 300
#: Said when there is nothing to say. Without an id: it is nothing that could be missed.
BEAT: Final = b"event: beat\ndata: {}\n\n"
#: Sections whose frames add to the ones before, so that a missed one is a gap.
ADDING: Final = frozenset({"feedback"})


class Sink(Protocol):
    """Where a viewer's frames go. Nothing waits for it: who does not keep up has no room and gets less."""

    def room(self) -> bool:
        """Whether it takes another frame now; False also when the connection is gone."""

    def write(self, wire: bytes, packed: bytes) -> None:
        """Sends a frame: `wire` as it is, or `packed` as one chunk of HTTP/1.1."""

    @property
    def gone(self) -> bool:
        """Whether nobody is at the other end any more."""


class Frame:
    """One event on the wire; made once, every viewer's connection refers to the same bytes."""

    __slots__ = ("number", "packed", "section", "wire")

    def __init__(self, number: int, section: str, wire: bytes) -> None:
        self.number = number
        self.section = section
        self.wire = wire
        self.packed = b"%x\r\n%b\r\n" % (len(wire), wire)


def encoded(era: int, number: int, section: str, data: bytes) -> Frame:
    """A frame; its id is the server's start and a running number, so that ids of an earlier server are recognised."""
    return Frame(number, section, b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (era, number, section.encode(), data))


def parsed(text: str) -> tuple[int, int] | None:
    """(era, number) of an id that a browser sent back; None for anything else."""
    era, dash, number = text.partition("-")
    if not dash or not (era.isdecimal() and number.isdecimal()) or len(text) > 40:
        return None
    return int(era), int(number)


_BEAT: Final = Frame(0, "beat", BEAT)


class Viewer:
    """One connection. What it cannot take at once waits: the newest frame of each section, at most one of each."""

    __slots__ = ("_pending", "_sink", "_told", "gaps", "quiet")

    def __init__(self) -> None:
        self._pending: dict[str, Frame] = {}
        self._sink: Sink | None = None
        self._told: Callable[[], object] | None = None
        self.gaps = 0
        self.quiet = 0

    def attach(self, sink: Sink, told: Callable[[], object]) -> None:
        """From now on frames go there, those that wait first; `told` is called when the connection is to end."""
        self._sink, self._told = sink, told
        self.flush()

    def offer(self, frame: Frame) -> None:
        """Sends a frame, or puts it aside; an older one of the same section that still waits makes room."""
        if self._sink is not None and not self._pending and self._sink.room():
            self.quiet = 0
            self._sink.write(frame.wire, frame.packed)
            return
        missed = self._pending.pop(frame.section, None)
        if missed is not None and frame.section in ADDING:
            self.gaps += 1
            self._pending["gap"] = Frame(frame.number, "gap", b'event: gap\ndata: {"why":"slow"}\n\n')
        self._pending[frame.section] = frame
        self.flush()

    def flush(self) -> None:
        """Sends what waits, in order, as far as there is room; ends where nobody is there any more."""
        if self._sink is None:
            return
        if self._sink.gone:
            self.close()
            return
        waiting = sorted(self._pending.values(), key=lambda frame: (frame.number, frame.section != "gap"))
        for frame in waiting:
            if not self._sink.room():
                return
            self.quiet = 0
            del self._pending[frame.section]
            self._sink.write(frame.wire, frame.packed)

    def beat(self, every: int) -> None:
        """One turn of a clock: after `every` of them without anything said, a beat, so that a page knows a silent line
        from a dead one."""
        self.flush()
        self.quiet += 1
        if self.quiet >= every and not self._pending and self._sink is not None and self._sink.room():
            self.quiet = 0
            self._sink.write(_BEAT.wire, _BEAT.packed)

    @property
    def waiting(self) -> int:
        """Frames that are put aside."""
        return len(self._pending)

    def close(self) -> None:
        """Ends the connection."""
        self._sink = None
        if self._told is not None:
            told, self._told = self._told, None
            told()


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
        for viewer in list(self.viewers):
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
        """Frames for a viewer who is not attached yet; those of a section that adds go as one."""
        together: dict[str, Frame] = {}
        for frame in frames:
            earlier = together.pop(frame.section, None) if frame.section in ADDING else None
            wire = frame.wire if earlier is None else earlier.wire + frame.wire
            together[frame.section] = frame if earlier is None else Frame(frame.number, frame.section, wire)
        for frame in together.values():
            viewer.offer(frame)
