"""The rules by which accept judges an event, as values: made from the settings, the same for every partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["plain", "pseudonym"]

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS

#: The topic of imports: no age, no lateness, moves no clock.
HISTORY = "history"


@dataclass(frozen=True, slots=True)
class ArrivalRules:
    """Times in ms. `form` says in which form customers' ids arrive in this deployment; the other form is rejected."""

    form: Form = "plain"
    #: Older than the topic's retention, an event can only be a mistake of the producer's clock or an import.
    max_age_ms: int = 30 * _DAY_MS
    #: Phones and tills run ahead by minutes, not by more.
    max_ahead_ms: int = 5 * _MINUTE_MS
    #: What the clock stays behind, so that events a minute out of order are still on time.
    lag_ms: int = _MINUTE_MS
    #: Beyond this the event counts in no score until `restate`.
    lateness_ms: int = _DAY_MS
    #: Event ids and answers that one worker remembers (77 MB and 19 MB when full).
    ids_limit: int = 2_000_000
    answers_limit: int = 500_000
    #: The breaker: so many invalid events in a row, or more than this share of the last `breaker_window`.
    breaker_run: int = 200
    breaker_share: float = 0.20
    breaker_window: int = 1_000
