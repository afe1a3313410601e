"""What reaches the models."""

from __future__ import annotations

import polars as pl

from pipeline.texts.normal import MAX_CHARACTERS, capped, column, normalised


def prepared(*texts: str | None) -> list[str]:
    return normalised(column(texts)).to_list()


def test_links_and_names_are_replaced_as_in_training() -> None:
    assert prepared("see https://shop.example/a?b=1 now", "WWW.example.com", "@anna_1 thanks") == [
        "see http now",
        "http",
        "@user thanks",
    ]


def test_white_space_controls_and_invisible_characters_are_joined() -> None:
    assert prepared("  a\x00b\t\n c\u200b\u202ed ") == ["a b c d"]


def test_nothing_is_an_empty_text() -> None:
    assert prepared(None, "", " \n ") == ["", "", ""]


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert prepared("good\ud800", None) == ["good?", ""]


def test_long_texts_are_cut_and_counted() -> None:
    texts, cut = capped(pl.Series(["x" * 1_000_000, "x" * MAX_CHARACTERS, "short"]))
    assert texts.str.len_chars().to_list() == [MAX_CHARACTERS, MAX_CHARACTERS, 5]
    assert cut == 1
