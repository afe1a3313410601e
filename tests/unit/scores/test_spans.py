"""Windows larger than a minute: the worked numbers of W2 to W4, and days that have 23 or 25 hours."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.scores.spans import hopping, local_edges, sessions, tumbling, zone

BERLIN = zone("Europe/Berlin")
HOUR, DAY = 3600, 86_400


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def hours(edges: tuple[int, ...]) -> list[float]:
    return [(after - before) / HOUR for before, after in pairwise(edges)]


def test_w2_a_window_takes_its_start_and_not_its_end() -> None:
    assert tumbling(3599, HOUR) == (0, 3600)
    assert tumbling(3600, HOUR) == (3600, 7200)


def test_w3_a_moment_lies_in_every_hopping_window_over_it() -> None:
    assert hopping(1000, 3600, 900) == [(-1800, 1800), (-900, 2700), (0, 3600), (900, 4500)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 60), st.integers(1, 30))
def test_hopping_windows_hold_the_moment_and_are_as_many_as_steps_fit(moment: int, step: int, times: int) -> None:
    found = hopping(moment, step * times, step)
    assert len(found) == times
    assert all(start <= moment < end and start % step == 0 for start, end in found)


def answers(*seconds: int, group: str = "a") -> pl.DataFrame:
    one = [[1, *[0] * 10]] * len(seconds)
    return pl.DataFrame(
        {"start": seconds, "g": [group] * len(seconds), "histogram": one, "s1": 0, "s2": 0},
        schema={"start": pl.Int64, "g": pl.String, "histogram": pl.List(pl.Int64), "s1": pl.Int64, "s2": pl.Int64},
    )


def sessions_of(rows: pl.DataFrame) -> list[tuple[int, int, int]]:
    found = sessions(rows, ["g"], 30)
    return [(r["start"], r["start"] + r["seconds"], sum(r["histogram"])) for r in found.iter_rows(named=True)]


def test_w4_a_late_answer_makes_one_session_of_two() -> None:
    assert sessions_of(answers(0, 10, 25, 70, 80)) == [(0, 55, 3), (70, 110, 2)]
    assert sessions_of(answers(0, 10, 25, 70, 80, 50)) == [(0, 110, 6)]


def test_an_answer_at_the_end_of_a_session_begins_another_and_groups_stay_apart() -> None:
    assert sessions_of(answers(0, 30)) == [(0, 30, 1), (30, 60, 1)]
    assert sessions_of(answers(0, 29)) == [(0, 59, 2)]
    assert sessions_of(pl.concat([answers(0, 10), answers(5, group="b")])) == [(0, 40, 2), (5, 35, 1)]


def test_days_of_a_clock_change_have_23_and_25_hours() -> None:
    spring = local_edges((second("2026-03-28T12:00+01:00"), second("2026-03-30T12:00+02:00")), DAY, BERLIN)
    autumn = local_edges((second("2026-10-24T12:00+02:00"), second("2026-10-26T12:00+01:00")), DAY, BERLIN)
    assert hours(spring) == [24, 23, 24]
    assert hours(autumn) == [24, 25, 24]
    assert spring[0] == second("2026-03-28T00:00+01:00")


def test_hours_of_such_a_day_are_as_many_as_pass() -> None:
    spring = local_edges((second("2026-03-29T00:00+01:00"), second("2026-03-30T00:00+02:00")), HOUR, BERLIN)
    autumn = local_edges((second("2026-10-25T00:00+02:00"), second("2026-10-26T00:00+01:00")), HOUR, BERLIN)
    assert (len(spring) - 1, len(autumn) - 1) == (23, 25)
    assert set(hours(spring)) == {1.0}


def test_a_business_day_begins_when_the_business_says() -> None:
    edges = local_edges((second("2026-10-25T03:00+02:00"), second("2026-10-26T00:00+01:00")), DAY, BERLIN, 4 * HOUR)
    assert edges == tuple(second(f"2026-10-{day}T04:00+0{z}:00") for day, z in ((24, 2), (25, 1), (26, 1)))
    assert hours(edges) == [25, 24]


def test_a_week_begins_with_monday_and_half_hour_zones_have_their_own_hours() -> None:
    week = local_edges((second("2026-05-06T12:00+02:00"), second("2026-05-07T12:00+02:00")), 7 * DAY, BERLIN)
    assert week == (second("2026-05-04T00:00+02:00"), second("2026-05-11T00:00+02:00"))
    kolkata = local_edges(
        (second("2026-05-06T12:10+05:30"), second("2026-05-06T12:50+05:30")), HOUR, zone("Asia/Kolkata")
    )
    assert kolkata == (second("2026-05-06T12:00+05:30"), second("2026-05-06T13:00+05:30"))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(second("2026-01-01T00:00Z"), second("2027-01-01T00:00Z")),
    st.integers(60, 20 * DAY),
    st.sampled_from([5 * 60, HOUR, 7 * HOUR, DAY, 3 * DAY, 7 * DAY]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.sampled_from([0, 4 * HOUR, 2 * HOUR + 1800]),
)  # fmt: skip
def test_local_windows_cover_the_span_without_a_hole(start: int, width: int, grain: int, tz: str, begins: int) -> None:
    edges = local_edges((start, start + width), grain, ZoneInfo(tz), begins)
    assert edges[0] <= start
    assert edges[-1] >= start + width
    assert list(edges) == sorted(set(edges))
    assert edges[1] > start
    assert edges[-2] < start + width


@pytest.mark.parametrize("name", ["Berlin", "../etc/passwd", ""])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a time zone"):
        zone(name)
    with pytest.raises(UsageError, match="whole number of days"):
        local_edges((0, DAY), DAY + HOUR, BERLIN)
