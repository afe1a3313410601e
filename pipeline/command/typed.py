"""What a person may type about scores: times, durations, conditions, windows (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.moments import duration as duration
from pipeline.moments import moment as moment


def conditions(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """("channel=web,app",) as {"channel": ("web", "app")}; a name given twice adds values. Raises UsageError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"--where {text!r} has no value; write --where channel=web")
        found[name.strip()] = found.get(name.strip(), ()) + tuple(value.strip() for value in values.split(","))
    return found


def names(text: str) -> tuple[str, ...]:
    """ "channel, touchpoint" as a tuple."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def clock(text: str) -> int:
    """Seconds after midnight of "04:00". Raises UsageError."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not a time of day; write 04:00")
    return int(found[1]) * 3600 + int(found[2]) * 60


@dataclass(frozen=True, slots=True)
class Windows:
    """Which windows were asked for, as typed: width, step of hopping ones, pause of sessions, zone, begin of a day."""

    grain: str = "1h"
    hop: str = ""
    session: str = ""
    tz: str = ""
    day_begins: str = ""

    def fields(self, span: tuple[int, int]) -> dict[str, Any]:
        """What of a Question follows from it, over a span of Unix seconds. Raises UsageError."""
        from pipeline.scores.spans import local_edges, zone

        grain = None if self.grain == "all" else duration(self.grain)
        local = bool(self.tz or self.day_begins)
        if self.session:
            if self.hop or local:
                raise UsageError("--session excludes --hop, --tz and --day-begins: a session begins with its answers")
            return {"gap_s": duration(self.session)}
        if self.hop and local:
            raise UsageError("--hop excludes --tz and --day-begins: hopping windows count from the epoch")
        if self.hop:
            return {"grain_s": grain, "step_s": duration(self.hop)}
        if not local or grain is None:
            return {"grain_s": grain}
        begins = clock(self.day_begins) if self.day_begins else 0
        if not span[0] < span[1]:
            raise UsageError("the start must lie before the end")
        return {"edges": local_edges(span, grain, zone(self.tz or "UTC"), begins)}
