"""Units: lines that hold for a time, no two at once, nobody above himself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.customers.registry import DEFAULT_PATH, Registry
from pipeline.customers.units import Unit, read_units
from pipeline.errors import SettingsError


def line(unit: str, parent: str = "") -> dict[str, object]:
    return {"unit": unit, "parent": parent}


def test_units_are_read_from_the_registry_with_dates_as_utc(tmp_path: Path) -> None:
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    text += '[[units]]\nunit = "u1"\nname = "One"\nparent = "north"\n'
    text += "valid_from = 2024-01-01\nvalid_to = 2024-01-02T00:00:30Z\n"
    assert Registry.parse(text).units == (Unit("u1", "north", 1_704_067_200, 1_704_153_600, "One"),)


def test_a_unit_may_move_but_not_stand_in_two_places() -> None:
    moved = [line("a", "x") | {"valid_to": date(2024, 1, 1)}, line("a", "y") | {"valid_from": date(2024, 1, 1)}]
    assert read_units(moved)[1] == []
    units, wrong = read_units([line("a", "x"), line("a", "y")])
    assert len(units) == 2
    assert wrong == ["unit a: two lines hold at the same time"]


def test_a_circle_is_found_even_when_others_hang_below_it() -> None:
    _, wrong = read_units([line("a", "b"), line("b", "a"), line("c", "a"), line("d", "d")])
    assert wrong == [f"unit {name} stands above itself: follow its parents" for name in "abd"]


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ('[units]\nunit = "a"', "units must be a list of tables"),
        ('[[units]]\nname = "a"', "unit line 1 has no unit"),
        ('[[units]]\nunit = "a"\ncolour = 1', "unit line 1 has an unknown key 'colour'"),
        ("[[units]]\nunit = 5", "unit line 1: unit must be a text"),
        ('[[units]]\nunit = "a"\nvalid_from = "soon"', "must be dates"),
        ('[[units]]\nunit = "a"\nvalid_from = 2024-01-02\nvalid_to = 2024-01-01', "ends before it begins"),
    ],
)
def test_a_wrong_unit_makes_the_registry_invalid(units: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Registry.parse(DEFAULT_PATH.read_text(encoding="utf-8") + "\n" + units)
    assert sentence in str(raised.value)
