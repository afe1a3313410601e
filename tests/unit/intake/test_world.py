"""The world: incidents strike where and when they should, times are read as written."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.intake.world import (
    LANGUAGES,
    UNITS,
    Incident,
    Trouble,
    World,
    parse_incident,
    parse_time,
    people_of,
    struck,
)

NOW = 1_795_000_000_000


def test_an_incident_strikes_its_region_from_its_beginning_to_its_end() -> None:
    world = World(incidents=(Incident(Trouble.LATE_DELIVERY, NOW, NOW + 1000, region="east", share=0.5),))
    unit = np.array([0, 10, 10, 19, 10], dtype=np.int8)
    time = np.array([NOW, NOW - 1, NOW, NOW + 999, NOW + 1000])
    assert struck(world, Trouble.LATE_DELIVERY, unit, time).tolist() == [0.0, 0.0, 0.5, 0.5, 0.0]
    assert not struck(world, Trouble.SLOW_SUPPORT, unit, time).any()


def test_an_incident_without_region_strikes_everywhere() -> None:
    world = World(incidents=(parse_incident("slow_support@+0s", NOW),))
    units = np.arange(len(UNITS), dtype=np.int8)
    assert struck(world, Trouble.SLOW_SUPPORT, units, np.full(len(UNITS), NOW)).tolist() == [0.7] * len(UNITS)


def test_an_incident_is_read_from_the_command_line() -> None:
    assert parse_incident("late_delivery@-7d/north", NOW) == Incident(Trouble.LATE_DELIVERY, NOW - 7 * 86_400_000)
    assert parse_incident("failed_checkout@2026-11-18T00:00:00Z", NOW).region == ""


@pytest.mark.parametrize("text", ["pigeons@-7d", "late_delivery@-7d/atlantis", "late_delivery@soon", "late_delivery"])
def test_a_wrong_incident_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_incident(text, NOW)


def test_times_are_relative_or_iso_with_utc_as_the_zone() -> None:
    assert parse_time("+30s", NOW) == NOW + 30_000
    assert parse_time("-2h", NOW) == NOW - 7_200_000
    assert parse_time("2026-11-18T11:06:40", NOW) == parse_time("2026-11-18T12:06:40+01:00", NOW) == NOW


def test_about_three_of_a_hundred_customers_write_another_language() -> None:
    language = people_of(7, 50_000).language
    assert 0.02 < (language != LANGUAGES.index("en")).mean() < 0.04


def test_every_unit_has_customers() -> None:
    assert set(people_of(7, 50_000).unit.tolist()) == set(range(40))
