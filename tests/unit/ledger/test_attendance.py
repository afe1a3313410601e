"""Bad and silent producers: by their own habits, at the bound and a step before it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from pipeline.ledger.attendance import Recent, Usual, gone, judged, spelled, usual_of, waited_ms

#: A Monday, 09:00 UTC.
NOW = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000


def seen(
    minute: tuple[int, int] = (100, 0),
    hour: tuple[int, int] = (6_000, 0),
    week: tuple[int, int] = (900_000, 0),
    last_ms: int = NOW,
) -> Recent:
    return Recent("shop", minute, hour, week, last_ms, ["not_json"])


@pytest.mark.parametrize(
    ("recent", "bad"),
    [
        (seen(), False),
        (seen(minute=(100, 5)), False),
        (seen(minute=(100, 6)), True),
        (seen(minute=(80, 4)), False),
        (seen(minute=(100, 15), week=(1_000, 60)), False),
        (seen(minute=(100, 30), week=(1_000, 60)), True),
        (seen(minute=(1, 1), hour=(30, 5), week=(1_000, 5)), True),
        (seen(minute=(19, 19), hour=(1_000, 30)), False),
        (seen(minute=(0, 0), hour=(0, 0), week=(0, 0)), False),
    ],
)
def test_a_producer_is_bad_by_share_by_number_and_against_its_own_habit(recent: Recent, bad: bool) -> None:
    found = judged(recent, Usual(), NOW)
    assert (found.state == "bad") == bad, found
    if bad:
        assert "mostly not_json" in found.why


@pytest.mark.parametrize(
    ("gap_ms", "waited", "silent"),
    [
        (60_000, 180_000, False),
        (60_000, 180_001, True),
        (1_000, 30_000, False),
        (1_000, 30_001, True),
        (HOUR, 3 * HOUR, False),
        (HOUR, 3 * HOUR + 1, True),
        (0, 100 * HOUR, False),
    ],
)
def test_silence_is_measured_by_the_producers_own_gap(gap_ms: int, waited: int, silent: bool) -> None:
    found = judged(seen(last_ms=NOW - waited), Usual(gap_ms), NOW)
    assert (found.state == "silent") == silent
    assert judged(seen(last_ms=NOW - waited), Usual(gap_ms), NOW, caught_up=False).state != "silent"


def test_a_shop_that_is_closed_at_night_and_at_weekends_is_not_silent_then() -> None:
    open_hours = [
        at
        for at in range(NOW - 28 * 24 * HOUR, NOW, HOUR)
        if not (moment(at).weekday() >= 5 or not 8 <= moment(at).hour < 18)
    ]
    usual = usual_of([20_000] * 990 + [14 * HOUR] * 10, open_hours, NOW - 28 * 24 * HOUR, NOW)
    friday = NOW - (2 * 24 + 15) * HOUR
    assert (moment(friday).weekday(), moment(friday).hour) == (4, 18)
    assert waited_ms(friday, NOW, usual.hours) == HOUR
    assert judged(seen(last_ms=friday), Usual(HOUR, usual.hours), NOW).state == "ok"
    assert judged(seen(last_ms=friday), Usual(HOUR, frozenset()), NOW).state == "silent"


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def test_the_normal_gap_is_a_quantile_and_needs_enough_gaps() -> None:
    assert usual_of([10_000] * 19, [], NOW - HOUR, NOW) == Usual(0)
    assert usual_of([10_000] * 20, [], NOW - HOUR, NOW) == Usual(10_000)
    assert usual_of([10_000] * 99 + [50_000], [], NOW - HOUR, NOW).gap_ms == 50_000
    assert usual_of([10_000] * 199 + [50_000], [], NOW - HOUR, NOW).gap_ms == 10_000


DAY = 24 * HOUR


def habits_of(arrivals: list[int], now_ms: int) -> Usual:
    """Habits as the tables would give them of these arrivals in five weeks."""
    known = sorted(at for at in arrivals if now_ms - 34 * DAY < at <= now_ms)
    gaps = [(before, after - before) for before, after in pairwise(known)]
    hours = sorted({at // HOUR * HOUR for at in known if at > now_ms - 28 * DAY})
    short = [length for _, length in gaps if length < HOUR]
    return usual_of(short, hours, hours[0] if hours else now_ms, now_ms, [gap for gap in gaps if gap[1] >= HOUR])


def silent_after(arrivals: list[int], most_days: int = 30) -> float | None:
    """Days after the last arrival until it is named; None: it never is while it is told of at all."""
    last = max(arrivals)
    for hours in range(most_days * 24):
        now = last + hours * HOUR + 1
        recent, usual = seen(last_ms=last), habits_of(arrivals, now)
        if gone(recent, usual, now):
            return None
        if judged(recent, usual, now).state == "silent":
            return hours / 24
    return None


def nights(jitter_ms: int, weekdays_only: bool = False) -> list[int]:
    """An export at 02:00 every night for five weeks, up to so much later, the last one on a Thursday."""
    first = NOW - 7 * HOUR - 3 * DAY - 34 * DAY
    found = [first + day * DAY + (day * 7919 % 13) * jitter_ms // 12 for day in range(35)]
    return [at for at in found if not weekdays_only or moment(at).weekday() < 5]


@pytest.mark.parametrize("jitter_ms", [0, 20 * 60_000, 3 * HOUR])
def test_an_export_each_night_is_silent_after_three_nights_and_never_while_it_comes(jitter_ms: int) -> None:
    arrivals = nights(jitter_ms)
    after = silent_after(arrivals)
    assert after is not None
    assert 2.9 < after < 5
    for at in range(arrivals[20], arrivals[-1], HOUR):
        known = [one for one in arrivals if one <= at]
        assert judged(seen(last_ms=known[-1]), habits_of(known, at), at).state == "ok"


def test_of_an_export_on_working_days_no_weekend_is_counted() -> None:
    arrivals = nights(0, weekdays_only=True)
    for at in range(arrivals[18], arrivals[-1], HOUR):
        known = [one for one in arrivals if one <= at]
        assert judged(seen(last_ms=known[-1]), habits_of(known, at), at).state == "ok"
    after = silent_after(arrivals)
    assert after is not None
    assert after < 7
    found = judged(seen(last_ms=arrivals[-1]), habits_of(arrivals, arrivals[-1] + 6 * DAY), arrivals[-1] + 6 * DAY)
    assert found.why == "nothing for 6.0 d; its normal gap is 3.0 d"


def test_a_survey_each_week_is_silent_after_two_of_them() -> None:
    arrivals = [NOW - week * 7 * DAY + week % 3 * HOUR for week in range(5)]
    after = silent_after(arrivals)
    assert after is not None
    assert 13.5 < after < 15
    assert judged(seen(last_ms=NOW), habits_of(arrivals[:3], NOW), NOW).state == "ok"
    assert judged(seen(last_ms=NOW), habits_of(arrivals[:2], NOW), NOW).state == "new"


def test_who_has_been_away_for_long_is_told_of_no_more() -> None:
    assert not gone(seen(last_ms=NOW - 7 * DAY), Usual(10_000), NOW)
    assert gone(seen(last_ms=NOW - 7 * DAY - 1), Usual(10_000), NOW)
    assert not gone(seen(last_ms=NOW - 33 * DAY), Usual(7 * DAY), NOW)


def test_times_are_spelled_as_people_say_them() -> None:
    assert [spelled(ms) for ms in (40_000, 720_000, 12_600_000, 172_800_000)] == ["40 s", "12 min", "3.5 h", "2.0 d"]
