"""Texts as the models were trained on them: links and names replaced, white space joined, length capped.

Column operations only (polars), no model and no I/O. A text is data: nothing in it is ever followed or run.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

#: Characters that reach the tokenizer. The models read 128 word pieces, about 600 characters of English; the rest
#: would only cost time (a word piece is at least one character, so hostile texts lose nothing that matters).
MAX_CHARACTERS = 1_024


def column(texts: Sequence[str | None] | pl.Series) -> pl.Series:
    """`texts` as a column of strings; lone surrogates, which no UTF-8 can carry, become question marks."""
    if isinstance(texts, pl.Series):
        return texts.cast(pl.String)
    try:
        return pl.Series("text", texts, dtype=pl.String)
    except (UnicodeEncodeError, pl.exceptions.PolarsError):
        clean = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts]
        return pl.Series("text", clean, dtype=pl.String)


def normalised(texts: pl.Series) -> pl.Series:
    """What the models read of each text; null and blank texts become ""."""
    return (
        texts.fill_null("")
        .str.replace_all(r"(?i:https?://|www\.)\S+", "http")
        .str.replace_all(r"@\w+", "@user")
        .str.replace_all(r"[\s\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+", " ")
        .str.strip_chars()
        .rename("text")
    )


def capped(texts: pl.Series) -> tuple[pl.Series, int]:
    """The first `MAX_CHARACTERS` of each text, and how many texts lost something."""
    long = int((texts.str.len_chars() > MAX_CHARACTERS).sum())
    return (texts.str.slice(0, MAX_CHARACTERS) if long else texts), long
