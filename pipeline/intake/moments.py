"""Times as people's files write them. Pure.

ISO 8601 is read without being told. A date such as 03.04.2026 or 3/4/26 is only read by who was told whether the day or
the month stands first; unix times only by who was told so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

#: What `form` may say besides a strptime format.
DAY_FIRST: Final = "day first"
MONTH_FIRST: Final = "month first"
UNIX: Final = "unix"
UNIX_MS: Final = "unix ms"
_WRITTEN: Final = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})"
    r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?\s?([AaPp]\.?[Mm]\.?)?)?"
)
_NUMBER: Final = re.compile(r"-?\d{1,16}(\.\d+)?")


def moment_of(text: str, form: str = "") -> datetime | None:
    """The moment that a cell says, without a zone where it names none; None when it cannot be read that way."""
    text = text.strip()
    try:
        if not form:
            return datetime.fromisoformat(text)
        if form in (DAY_FIRST, MONTH_FIRST):
            return _written(text, day_first=form == DAY_FIRST)
        if form in (UNIX, UNIX_MS):
            return _since_1970(text, 1000.0 if form == UNIX_MS else 1.0)
        return datetime.strptime(text, form)  # noqa: DTZ007
    except (ValueError, OverflowError, OSError):
        return None


def looks_written(text: str) -> bool:
    """Whether a cell is a date whose day and month only a person can tell apart."""
    return _WRITTEN.fullmatch(text.strip()) is not None


def _written(text: str, *, day_first: bool) -> datetime | None:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    day, month = (first, second) if day_first else (second, first)
    hour = int(found[5] or 0)
    if found[8]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[8][0] in "Pp" else 0)
    # Two digits mean this century: reviews and surveys are younger than it.
    return datetime(year + 2000 if year < 100 else year, month, day, hour, int(found[6] or 0), int(found[7] or 0))  # noqa: DTZ001


def _since_1970(text: str, unit: float) -> datetime | None:
    return datetime.fromtimestamp(float(text) / unit, UTC) if _NUMBER.fullmatch(text) else None
