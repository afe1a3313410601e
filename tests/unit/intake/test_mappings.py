"""Mappings: from options over a file over what we know, written down and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.intake import mappings
from pipeline.intake.mappings import Mapping, load, of_options

FILE = Mapping(
    {"score": "Note", "ref.order": 'Order "no"'},
    {"metric": "nps", "channel": "web"},
    time="Datum",
    zone="Europe/Berlin",
    form="day first",
    separator="\t",
    decimal="comma",
)


def test_a_mapping_written_down_is_the_same_when_read(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(FILE.text())
    assert load(file) == FILE


def test_what_is_said_last_takes_the_place_of_what_was_said_before() -> None:
    found = of_options(["metric=Art", "score==5"]).over(FILE)
    assert found.columns == {"metric": "Art", "ref.order": 'Order "no"'}
    assert found.constants == {"score": "5", "channel": "web"}
    assert Mapping(at="2026-01-31T12:00:00Z").over(FILE).time == ""
    assert Mapping(time="When").over(Mapping(at="2026-01-31T12:00:00Z")).at == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns", "no TOML"),
        ("[colums]\nscore = 'x'", "sections are"),
        ("[time]\nzones = 'UTC'", "no such key"),
        ("[columns]\nscore = 5", "no text"),
    ],
)
def test_a_mapping_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        load(file)


@pytest.mark.parametrize("name", mappings.known())
def test_every_mapping_that_comes_along_is_a_plan(name: str) -> None:
    assert load(mappings.FOLDER / f"{name}.toml").plan().when.zone is not None
