"""The experience index: a sequence worked by hand, fading by time alone, and what each thing is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.journeys.index import Definition, account, worth

DAY = 86_400_000
NOW = 1_777_622_400_000
BUNDLED = Path(__file__).resolve().parents[3] / "pipeline" / "journeys" / "index.toml"
TEXT = BUNDLED.read_text()
DEFINITION = Definition.parse(TEXT)


def test_a_sequence_worked_by_hand_holds_to_a_billionth() -> None:
    """Half-life 30 days: 60 days ago -0.6 -> -15; 30 days ago 1.0 -> 50; 15 days ago -0.3; now 0.1 -> 10.

    -0.3 at 15 days: -30 / sqrt 2 = -21.213203435596427. Sum 23.786796564403573; peak 0.5 x 50; end 0.5 x 10.
    """
    times = np.array([NOW - 60 * DAY, NOW - 30 * DAY, NOW - 15 * DAY, NOW])
    found = account(np.array([-0.6, 1.0, -0.3, 0.1]), times, NOW, DEFINITION)
    assert found.points.tolist() == pytest.approx([-15.0, 50.0, -21.213203435596427, 10.0], abs=1e-9)
    assert found.peak == pytest.approx(25.0, abs=1e-9)
    assert found.end == pytest.approx(5.0, abs=1e-9)
    assert (found.peak_at, found.end_at) == (1, 3)
    assert found.index == pytest.approx(53.786796564403573, abs=1e-9)
    assert found.n == 4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 400)), min_size=1, max_size=30), st.integers(0, 365)
)  # fmt: skip
def test_time_passing_alone_fades_it_and_each_point_is_explained(lived: list[tuple[float, int]], days: int) -> None:
    values, times = np.array([v for v, _ in lived]), np.array([NOW - d * DAY for _, d in lived])
    now, later = (account(values, times, at, DEFINITION) for at in (NOW, NOW + days * DAY))
    assert later.index == pytest.approx(now.index * 2 ** (-days / 30), abs=1e-9)
    assert now.index == pytest.approx(now.points.sum() + now.peak + now.end, abs=1e-9)


def test_what_lies_ahead_and_what_says_nothing_does_not_count() -> None:
    found = account(np.array([0.0, 1.0]), np.array([NOW, NOW + DAY]), NOW, DEFINITION)
    assert (found.index, found.n, found.peak_at, found.end_at) == (0.0, 0, -1, -1)


def row(metric: str, scale: str, bin_: int, p: int = 0) -> dict[str, object]:
    return {"metric": metric, "scale": scale, "bin": bin_, "p": p}


def test_answers_outcomes_and_texts_are_worth_what_the_definition_says() -> None:
    cases = [
        (row("volume", "outcome", 0), 0.0),
        (row("volume", "outcome", 2), -0.6),
        (row("nps", "0-10", 10), 1.0),
        (row("nps", "0-10", 5), 0.0),
        (row("csat", "1-5", 0), -0.8),
        (row("ces", "1-7", 6), 0.6),
        (row("ces", "1-5", 4), -0.6),  # CES 1.0 asks for effort: 5 is the worst
        (row("rating", "1-3", 1), 0.0),
        (row("sentiment_only", "", -1, -5_000), -0.25),
        (row("nps", "0-10", -1), 0.0),
    ]
    rows = pl.DataFrame([case for case, _ in cases])
    assert worth(rows, DEFINITION).tolist() == pytest.approx([expected for _, expected in cases])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("half_life_days = 30", "half_life_days = 0", "half_life_days is 0"),
        ("fail = -0.6", "fail = -6", "outcomes.fail is -6"),
        ("nps = 1.0", "", "answers.nps is None"),
        ("[texts]", "[text]", "unknown key 'text'"),
        ("ces = 0.6", "ces = 0.6\nmood = 1", "unknown key 'mood'"),
        ("version = 1", "version = 1.5", "version must be a whole number"),
        ('id = "experience"', "id = 3", "id must be a word"),
        ("peak = 0.5", "peak =", "not valid TOML"),
    ],
)
def test_a_definition_holds_or_every_mistake_is_named(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(SettingsError, match=words):
        Definition.parse(TEXT.replace(old, new), "mine.toml")
