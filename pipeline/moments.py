"""Durations and moments as people and programs write them: "5m", "-24h", "2026-05-01T08:00" (pure)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pipeline.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str) -> int:
    """Seconds of "90s", "5m", "1h", "7d", "2w"; raises UsageError."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a duration; write 5m, 1h, 1d or the like")
    return int(found[1]) * _SECONDS[found[2]]


def moment(text: str, now: datetime) -> int:
    """Unix second of an ISO time, "now" or "-24h"; a time without a zone is UTC. Raises UsageError."""
    text = text.strip()
    if text == "now":
        return int(now.timestamp())
    if text.startswith("-"):
        return int(now.timestamp()) - duration(text[1:])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write 2026-05-01T08:00, -24h or now") from None
    return int((found if found.tzinfo else found.replace(tzinfo=now.tzinfo or UTC)).timestamp())


def iso(ms: int) -> str:
    """A moment (ms since 1970) as it is shown: 2026-05-01T08:00:00Z."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
