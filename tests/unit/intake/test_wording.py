"""Texts: many different ones, fit for JSON as they stand, in the mood they were asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.intake.cast import MOODS, TOPICS
from pipeline.intake.wording import Occasion, _template, phrases, texts
from pipeline.intake.world import LANGUAGES, PRODUCTS, TOWNS


def occasions(size: int, language: int | None = None) -> Occasion:
    rng = np.random.default_rng(5)
    return Occasion(
        language=np.full(size, language) if language is not None else rng.integers(0, len(LANGUAGES), size),
        topic=rng.integers(0, len(TOPICS), size),
        mood=rng.integers(0, len(MOODS), size),
        product=rng.integers(0, len(PRODUCTS), size),
        town=rng.integers(0, len(TOWNS), size),
    )


def test_there_are_at_least_150_english_sentences_over_eight_topics() -> None:
    ranges = phrases().ranges
    own = [ranges[f"en.{topic}.{mood}"][1] for topic in TOPICS for mood in range(len(MOODS))]
    assert len(own) == 24
    assert sum(own) >= 150
    assert len({(template.form, template.slots) for template in phrases().templates}) == len(phrases().templates)


def test_more_than_nine_of_ten_texts_are_distinct() -> None:
    written = texts(np.random.default_rng(1), occasions(50_000, language=0))
    assert len(set(written)) / len(written) > 0.9


def test_a_text_can_stand_between_the_quotes_of_json() -> None:
    for text in texts(np.random.default_rng(2), occasions(5_000)):
        assert json.loads(f'"{text}"') == text
        assert text
        assert "{" not in text
        assert "%s" not in text


def test_a_sentence_with_a_quote_or_an_unknown_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="must not hold quotes"):
        _template('He said "no".', phrases().slots)
    with pytest.raises(ValueError, match="unknown slots"):
        _template("The {nonsense} is late.", phrases().slots)


def test_the_same_seed_writes_the_same_texts() -> None:
    about = occasions(500)
    assert texts(np.random.default_rng(9), about) == texts(np.random.default_rng(9), about)
    assert texts(np.random.default_rng(9), about) != texts(np.random.default_rng(8), about)
