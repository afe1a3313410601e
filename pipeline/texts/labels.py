"""One label in one 64-bit integer, and a column of them as table columns.

The child sends labels as an array of these integers, the cache keeps one integer a text, and only `frame` makes
columns of them: nothing on the way loops over labels. Layout, lowest bit first: p + 10,000 (15 bits), confidence
(14), label (3), tier (3), language (15: three letters of five bits each).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.slices import LABELLED

Codes = NDArray[np.int64]
Probabilities = NDArray[np.float32]

#: Positions are part of the layout. "" is for a row without text, `unscored` for a text that no model may judge.
LABELS: tuple[str, ...] = ("", "negative", "neutral", "positive", "unscored")
#: "none" = unscored because of its language; "fallback" = the asked tier failed, see `labeller.py`.
TIERS: tuple[str, ...] = ("", "none", "minilm", "static", "fallback")
UNSCORED = LABELS.index("unscored")
#: p and confidence are parts of 10,000, as in the table `windows`.
WHOLE = 10_000

_CONFIDENCE, _LABEL, _TIER, _LANGUAGE = 15, 29, 32, 35

#: Columns of `frame`: what label adds to a slice, and the language that it found.
COLUMNS: dict[str, pl.DataType] = {"language": pl.String(), **LABELLED}


@lru_cache(maxsize=1_024)  # languages are few, but events may state anything
def language_code(language: str) -> int:
    """A language of up to three letters a-z as 15 bits; anything else counts as "und"."""
    if len(language) > 3 or not (language.isascii() and language.isalpha() and language.islower()):
        language = "und" if language else ""
    code = 0
    for letter in reversed(language):
        code = code << 5 | (ord(letter) - 96)
    return code


def language_codes(languages: pl.Series) -> Codes:
    """`language_code` of a whole column."""
    codes = {name: language_code(name) for name in languages.unique()}
    return languages.replace_strict(codes, return_dtype=pl.Int64).to_numpy()


def language_name(code: int) -> str:
    """The inverse of `language_code`."""
    letters = ""
    while code:
        letters += chr(96 + (code & 31))
        code >>= 5
    return letters


def scored(probabilities: Probabilities, tier: str, languages: Codes) -> Codes:
    """Codes of texts that a model judged.

    `probabilities` is [n, 3], negative, neutral, positive; `languages` [n] of `language_code`.
    """
    best = probabilities.argmax(axis=1).astype(np.int64)
    p = np.rint((probabilities[:, 2].astype(np.float64) - probabilities[:, 0]) * WHOLE).astype(np.int64)
    confidence = np.rint(probabilities.max(axis=1).astype(np.float64) * WHOLE).astype(np.int64)
    return _code(p, confidence, best + 1, TIERS.index(tier)) | languages << _LANGUAGE


def unscored(tier: str, languages: Codes) -> Codes:
    """Codes of texts that no model judged: because of their language (tier "none") or of a failure ("fallback")."""
    zero = np.zeros(len(languages), np.int64)
    return _code(zero, zero, zero + UNSCORED, TIERS.index(tier)) | languages << _LANGUAGE


def absent(languages: Codes) -> Codes:
    """Codes of rows without text; the language that the event states is kept."""
    zero = np.zeros(len(languages), np.int64)
    return _code(zero, zero, zero, 0) | languages << _LANGUAGE


def frame(codes: Codes, models: dict[str, str]) -> pl.DataFrame:
    """The columns `COLUMNS` of `codes`; `models` names the weights behind each tier, for the texts that it scored."""
    languages, language = np.unique(codes >> _LANGUAGE, return_inverse=True)
    tiers, labels = codes >> _TIER & 7, codes >> _LABEL & 7
    named = np.where(labels == UNSCORED, 0, tiers)
    return pl.DataFrame(
        {
            "language": pl.Series([language_name(int(code)) for code in languages], dtype=pl.String).gather(language),
            "label": pl.Series(LABELS).gather(labels),
            "p": (codes & 0x7FFF) - WHOLE,
            "confidence": codes >> _CONFIDENCE & 0x3FFF,
            "tier": pl.Series(TIERS).gather(tiers),
            "model": pl.Series([models.get(tier, "") for tier in TIERS], dtype=pl.String).gather(named),
        },
        schema_overrides=COLUMNS,
    )


def fell_back(codes: Codes) -> NDArray[np.bool_]:
    """Which of `codes` are fallbacks: they are not kept in the cache, the next try may do better."""
    marked: NDArray[np.bool_] = (codes >> _TIER & 7) == TIERS.index("fallback")
    return marked


def _code(p: Codes, confidence: Codes, label: Codes, tier: int) -> Codes:
    return (p + WHOLE) | confidence << _CONFIDENCE | label << _LABEL | np.int64(tier) << _TIER
