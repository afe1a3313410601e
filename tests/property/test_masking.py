"""Masking for any text: twice is once, planted values never survive, plain words are never touched."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.customers.cards import IBAN_LENGTHS, is_card, is_iban
from pipeline.customers.masking import mask, mask_text

#: Signs and words that masking looks at, in any order.
PIECES = st.sampled_from(
    [
        *(
            "0",
            "1",
            "4111",
            "1111",
            "0171",
            "49",
            "+",
            "(",
            ")",
            "-",
            ".",
            " ",
            "/",
            "@",
            "DE89",
            "de",
            "３",
            "\u200b",
            ",",
        ),
        *(
            "(at)",
            " at ",
            " dot ",
            "com",
            "example",
            "[phone]",
            "[email]",
            "[card]",
            "call ",
            "order ",
            "€",
            '"',
            "#",
            "a",
        ),
        *(
            "4111 1111 1111 1111",
            "DE89370400440532013000",
            "0171 1234567",
            "a@b.de",
            "01.02.2024",
            "_",
            "'",
            "\n",
            "kr",
        ),
    ]
)
HOSTILE = st.lists(PIECES, max_size=30).map("".join)
#: Ordinary words, small numbers among them.
_ORDINARY = ("the", "delivery", "was", "late", "and", "7", "of", "10", "would", "not", "buy", "again", "in", "2024")
WORDS = st.lists(st.sampled_from(_ORDINARY), max_size=12)


@settings(max_examples=500, deadline=None)
@given(st.one_of(HOSTILE, st.text(max_size=80)))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(pl.Series([text]))
    assert mask(once).to_list() == once.to_list()
    assert mask_text(mask_text(text)) == mask_text(text)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS, st.integers(0, 10**6), st.sampled_from(["", " ", "-"]))
def test_a_card_among_words_is_always_masked(before: list[str], after: list[str], seed: int, between: str) -> None:
    card = a_card(seed)
    text = " ".join([*before, "card:", between.join(card[i : i + 4] for i in range(0, 16, 4)), "!", *after])
    masked = mask(pl.Series([text]))[0]
    assert "[card]" in masked
    assert card[4:12] not in masked.replace(" ", "").replace("-", "")


@settings(max_examples=200, deadline=None)
@given(WORDS, st.sampled_from(sorted(IBAN_LENGTHS)), st.integers(0, 10**6), st.booleans())
def test_an_iban_of_any_country_is_always_masked(words: list[str], country: str, seed: int, spaced: bool) -> None:
    iban = an_iban(country, seed)
    assert is_iban(iban)
    shown = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)) if spaced else iban
    assert mask(pl.Series([" ".join([*words, shown, *words])]))[0] == " ".join([*words, "[iban]", *words])


@given(WORDS)
def test_plain_words_are_never_touched(words: list[str]) -> None:
    assert mask_text(" ".join(words)) == " ".join(words)


def a_card(seed: int) -> str:
    """A Visa number that passes Luhn."""
    body = "4" + "".join(random.Random(seed).choices("0123456789", k=14))
    return next(body + digit for digit in "0123456789" if is_card(body + digit))


def an_iban(country: str, seed: int) -> str:
    """An IBAN of digits with its check number."""
    account = "".join(random.Random(seed).choices("0123456789", k=IBAN_LENGTHS[country] - 4))
    rest = int("".join(str(int(sign, 36)) for sign in account + country + "00")) % 97
    return f"{country}{98 - rest:02d}{account}"
