"""Which producer turned bad, and which fell silent: judged from counts of what arrived. Pure; times in ms.

Bad: of what it sent in the last minute (of a producer that sends less than `FEW` a minute: in the last hour) at least
`LEAST_BAD` events and more than `BAD_SHARE`, and more than three times its usual share, were rejected.

Silent: for longer than three times its own normal gap nothing came (twice, where it sends every few days). The normal
gap is the 99 % quantile of the gaps between its arrivals in the last week, of a producer that sends seldom in the last
five weeks, in steps of ten seconds; hours of the day in which it does not usually send (at night, at weekends) do not
count as waiting. A producer seen for too short a time has no normal gap and is never silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

#: Rejected events below this number say nothing of a producer.
LEAST_BAD = 5
#: A share of rejected events above this is bad ...
BAD_SHARE = 0.05
#: ... when it is also so many times what is usual for that producer.
TIMES_USUAL = 3.0
#: Arrivals in a minute below which the last hour is looked at.
FEW = 20
#: So many times its normal gap.
TIMES_GAP = 3.0
#: From this gap on so many: that a weekly survey is away nobody wants to hear in the fourth week.
LONG_GAP_MS, TIMES_LONG = 48 * 3_600_000, 2.0
#: Never silent before this: worker and tables are some seconds behind by themselves.
LEAST_SILENCE_MS = 30_000
#: Gaps that must be known: of a quantile of 99 % from fewer nothing follows, ...
LEAST_GAPS = 20
#: ... unless these few cover nearly two weeks: an export each night, a survey each week.
LEAST_LONG, LEAST_COVERED_MS = 2, 13 * 24 * 3_600_000
#: Who has sent nothing for a week, and for this many normal gaps, is gone and no longer told of.
GONE_MS, TIMES_GONE = 7 * 24 * 3_600_000, 5.0
#: Arrivals are counted in steps of this.
STEP_MS = 10_000
_HOUR_MS = 3_600_000
#: An hour counts as usual when the producer sent in it on so many of the days (of its kind) that were looked at.
_USUAL = 0.5
#: Hours that hold a smaller part of those in which it sent say nothing: it sends when it likes.
_MOSTLY = 0.8

OK, BAD, SILENT, NEW = "ok", "bad", "silent", "new"


class Recent(NamedTuple):
    """What a producer sent lately: (arrived, rejected) of the last minute, hour and week; when its last event came."""

    producer: str
    minute: tuple[int, int]
    hour: tuple[int, int]
    week: tuple[int, int]
    last_ms: int
    reasons: Sequence[str] = ()


class Usual(NamedTuple):
    """Its habits: the normal gap (0: unknown), the hours it usually sends in: (weekend, hour of the day in UTC).

    `wait_ms` is the normal gap where time passes in these hours only; 0 where it is no other.
    """

    gap_ms: int = 0
    hours: frozenset[tuple[bool, int]] = frozenset()
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Attendance:
    """One producer as it is now; `why` is a sentence where it is not ok. `share` is of the last hour."""

    producer: str
    state: str
    why: str
    arrived: int
    rejected: int
    share: float
    last_ms: int
    gap_ms: int


def judged(recent: Recent, usual: Usual, now_ms: int, *, caught_up: bool = True) -> Attendance:
    """The state of one producer. While the workers are behind (`caught_up` False) nobody is called silent."""
    state, why = OK if usual.gap_ms else NEW, ""
    if wrong := _bad(recent):
        state, why = BAD, wrong
    elif caught_up and (wrong := _silent(recent, usual, now_ms)):
        state, why = SILENT, wrong
    arrived, rejected = recent.hour
    share = rejected / arrived if arrived else 0.0
    return Attendance(recent.producer, state, why, arrived, rejected, share, recent.last_ms, usual.gap_ms)


def gone(recent: Recent, usual: Usual, now_ms: int) -> bool:
    """Whether a producer has been away for so long that it is none any more."""
    return now_ms - recent.last_ms > max(GONE_MS, TIMES_GONE * usual.gap_ms)


def waited_ms(since_ms: int, now_ms: int, hours: frozenset[tuple[bool, int]]) -> int:
    """Time between two moments, in the usual hours only; all of it where no hour is known as usual."""
    if not hours:
        return max(0, now_ms - since_ms)
    total, at = 0, since_ms
    while at < now_ms:
        end = min(now_ms, (at // _HOUR_MS + 1) * _HOUR_MS)
        if hour_of(at) in hours:
            total += end - at
        at = end
    return total


def hour_of(at_ms: int) -> tuple[bool, int]:
    """The hour a moment lies in: weekend or not, hour of the day in UTC."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.weekday() >= 5, moment.hour


def usual_of(
    gaps_ms: Sequence[int],
    hours_seen: Sequence[int],
    first_ms: int,
    now_ms: int,
    long: Sequence[tuple[int, int]] = (),
) -> Usual:
    """Habits from its gaps and the hours (start in ms) of the last four weeks with arrivals.

    `gaps_ms` are those below an hour, `long` the others: when each began and how long it was.
    """
    hours = _usual_hours(hours_seen, first_ms, now_ms)
    whole = [*gaps_ms, *(length for _, length in long)]
    if len(whole) < LEAST_GAPS and (len(whole) < LEAST_LONG or sum(whole) < LEAST_COVERED_MS):
        return Usual(0, hours)
    waits = [*gaps_ms, *(waited_ms(at, at + length, hours) for at, length in long)] if hours else [0]
    return Usual(_normal(whole), hours, _normal(waits))


def _normal(gaps_ms: Sequence[int]) -> int:
    return sorted(gaps_ms)[min(len(gaps_ms) - 1, int(0.99 * len(gaps_ms)))]


def _usual_hours(hours_seen: Sequence[int], first_ms: int, now_ms: int) -> frozenset[tuple[bool, int]]:
    # From less than two days nobody knows which hours are usual.
    if now_ms - first_ms < 48 * _HOUR_MS:
        return frozenset()
    days: dict[tuple[bool, int], int] = {}
    for at in range(first_ms // _HOUR_MS * _HOUR_MS, now_ms // _HOUR_MS * _HOUR_MS, _HOUR_MS):
        days[hour_of(at)] = days.get(hour_of(at), 0) + 1
    seen: dict[tuple[bool, int], int] = {}
    for at in hours_seen:
        seen[hour_of(at)] = seen.get(hour_of(at), 0) + 1
    usual = frozenset(hour for hour, n in days.items() if seen.get(hour, 0) >= _USUAL * n)
    return usual if sum(seen.get(hour, 0) for hour in usual) >= _MOSTLY * len(hours_seen) else frozenset()


def _bad(recent: Recent) -> str:
    few = recent.minute[0] < FEW
    arrived, rejected = recent.hour if few else recent.minute
    if rejected < LEAST_BAD:
        return ""
    share = rejected / arrived
    before_arrived, before_rejected = recent.week[0] - arrived, recent.week[1] - rejected
    usual = before_rejected / before_arrived if before_arrived > 0 else 0.0
    if share <= BAD_SHARE or share <= TIMES_USUAL * usual:
        return ""
    most = f", mostly {recent.reasons[0]}" if recent.reasons else ""
    return f"{rejected:,} of {arrived:,} events of the last {'hour' if few else 'minute'} rejected{most}"


def _silent(recent: Recent, usual: Usual, now_ms: int) -> str:
    if not usual.gap_ms:
        return ""
    waited = waited_ms(recent.last_ms, now_ms, usual.hours)
    times = TIMES_GAP if usual.gap_ms < LONG_GAP_MS else TIMES_LONG
    if waited <= max(LEAST_SILENCE_MS, times * (usual.wait_ms or usual.gap_ms)):
        return ""
    return f"nothing for {spelled(now_ms - recent.last_ms)}; its normal gap is {spelled(usual.gap_ms)}"


def spelled(ms: int) -> str:
    """A time as people say it: 40 s, 12 min, 3.5 h, 2.0 d."""
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"
