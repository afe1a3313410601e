"""Where a long text ends: after MAX_TEXT characters, masked before it is cut. Pure.

Masked first, so that no half of a number or an address is left over at the end; and once more when it was cut, since a
longer run of digits may look like a card only now. What comes out here comes out the same when it goes in again: a text
that a gateway has cut and one that a worker cuts are one text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from schemas.limits import MAX_TEXT

#: A character is not torn from the marks behind it, unless somebody heaps up more of them than any writing has.
_MOST_MARKS: Final = 32
_JOINER: Final = "\u200d"
_TONES: Final = range(0x1F3FB, 0x1F400)


def cut(text: str, clean: Callable[[str], str]) -> str:
    """A text that `clean` has masked, and of that at most MAX_TEXT characters, masked too."""
    while len(text) > MAX_TEXT:
        text = clean(_head(text))
    return text


def _head(text: str) -> str:
    """The first MAX_TEXT characters, fewer where the cut would part a letter from its accent or tear an emoji."""
    end = MAX_TEXT
    while end > MAX_TEXT - _MOST_MARKS and _belongs(text[end - 1], text[end]):
        end -= 1
    return text[: end if end > MAX_TEXT - _MOST_MARKS else MAX_TEXT]


def _belongs(before: str, after: str) -> bool:
    """Whether `after` is shown as a part of what stands before it."""
    return _JOINER in (before, after) or unicodedata.category(after)[0] == "M" or ord(after) in _TONES
