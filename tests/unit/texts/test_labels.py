"""Labels in 64 bits and back."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.texts.labels import (
    COLUMNS,
    TIERS,
    absent,
    fell_back,
    frame,
    language_code,
    language_codes,
    language_name,
    scored,
    unscored,
)

ENGLISH = language_codes(pl.Series(["en"]))


def test_every_column_comes_back_from_the_packed_form() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], np.float32)
    rows = frame(scored(probabilities, "minilm", ENGLISH.repeat(3)), {"minilm": "abc"})
    assert rows.schema == COLUMNS
    assert rows["label"].to_list() == ["negative", "neutral", "positive"]
    assert rows["p"].to_list() == [-6000, 1000, 10000]
    assert rows["confidence"].to_list() == [7000, 5000, 10000]
    assert rows["tier"].to_list() == ["minilm"] * 3
    assert rows["model"].to_list() == ["abc"] * 3
    assert rows["language"].to_list() == ["en"] * 3


def test_the_outermost_probabilities_fit() -> None:
    certain = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    assert frame(scored(certain, "static", ENGLISH.repeat(2)), {})["p"].to_list() == [-10000, 10000]


def test_an_unscored_text_has_no_probability_and_no_model() -> None:
    rows = frame(unscored("fallback", ENGLISH), {"fallback": "abc"})
    assert rows.rows() == [("en", "unscored", 0, 0, "fallback", "")]


def test_a_row_without_text_has_no_label() -> None:
    assert frame(absent(ENGLISH), {"": "never"}).rows() == [("en", "", 0, 0, "", "never")]


def test_only_the_mark_tells_a_fallback() -> None:
    assert fell_back(unscored("fallback", ENGLISH)).all()
    for tier in TIERS[:-1]:
        assert not fell_back(unscored(tier, ENGLISH)).any()


@pytest.mark.parametrize("language", ["", "en", "de", "zzz", "und", "ceb"])
def test_a_language_comes_back_from_its_code(language: str) -> None:
    assert language_name(language_code(language)) == language


@pytest.mark.parametrize("nonsense", ["EN", "e1", "engl", "é", "x y"])
def test_what_is_no_language_code_is_undetermined(nonsense: str) -> None:
    assert language_name(language_code(nonsense)) == "und"
