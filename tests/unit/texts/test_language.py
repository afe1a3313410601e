"""The language of a text: stated, detected, or honestly unknown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pipeline.texts import language

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def detector() -> language.Detector:
    return language.load()


@pytest.mark.parametrize(
    ("given", "primary"),
    [("en-GB", "en"), ("EN_us", "en"), (" de ", "de"), ("und", ""), ("", ""), (None, ""), ("zxx", "")],
)
def test_the_primary_subtag_of_a_stated_language_counts(given: str | None, primary: str) -> None:
    assert language.stated(given) == primary
    assert language.stated_column(pl.Series([given], dtype=pl.String)).to_list() == [primary]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The delivery was two days late and nobody told me.", "en"),
        ("I love this, thank you so much!", "en"),
        ("GREAT SERVICE, WILL ORDER AGAIN", "en"),
        ("Die Lieferung kam zwei Tage zu spät und niemand hat Bescheid gesagt.", "de"),
        ("La livraison est arrivée avec deux jours de retard.", "fr"),
        ("El pedido llegó tarde y nadie me avisó.", "es"),
        ("Доставка опоздала на два дня", "ru"),
        ("配送が二日遅れました", "ja"),
    ],
)
def test_whole_sentences_are_told_apart(detector: language.Detector, text: str, expected: str) -> None:
    assert language.detect(detector, [text]) == [expected]


@pytest.mark.parametrize(
    "text", ["ok", "great!!", "terrible", "Worst", "horrible", "meh", "none", "thx", "@user thanks!", "5 stars"]
)
def test_a_short_unsure_ascii_text_counts_as_english(detector: language.Detector, text: str) -> None:
    assert language.detect(detector, [text]) == ["en"]


@pytest.mark.parametrize("text", ["Danke", "sehr gut", "muy bien", "trop cher", "goed", "parfait", "ottimo"])
def test_a_short_text_in_another_language_does_not(detector: language.Detector, text: str) -> None:
    assert language.detect(detector, [text]) != ["en"]


@pytest.mark.parametrize("text", ["", "123", "👍👍👍", "...", "http", "@user http", "5/5 ***"])
def test_a_text_without_letters_has_no_language(detector: language.Detector, text: str) -> None:
    assert language.detect(detector, [text]) == [language.UNDETERMINED]


def test_an_unknown_script_is_never_taken_for_english(detector: language.Detector) -> None:
    assert language.detect(detector, ["ᚠᚢᚦᚨᚱᚲ", "ꙮꙮꙮ"]).count("en") == 0


def test_line_breaks_and_nul_do_not_disturb(detector: language.Detector) -> None:
    assert language.detect(detector, ["The box\nwas broken\x00 when it arrived"]) == ["en"]


def test_loading_and_detecting_open_no_socket() -> None:
    watched = """
import sys
def refuse(event, _):
    if event.startswith("socket."):
        raise SystemExit(event)
sys.addaudithook(refuse)
from pipeline.texts import language
assert language.detect(language.load(), ["Where is my parcel?"]) == ["en"]
assert "robust_downloader" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", watched], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
