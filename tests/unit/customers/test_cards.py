"""Cards and IBANs: published test numbers hold, one wrong digit does not."""

from __future__ import annotations

import pytest

from pipeline.customers.cards import is_card, is_iban

#: Published test numbers of the schemes.
CARDS = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
]
#: Examples of SWIFT's registry.
IBANS = ["GB82WEST12345698765432", "DE89370400440532013000", "NO9386011117947", "FR1420041010050500013M02606"]


@pytest.mark.parametrize("number", CARDS)
def test_published_card_numbers_hold_and_break_with_one_digit(number: str) -> None:
    assert is_card(number)
    assert not is_card(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("number", ["0000000000000000", "4006381333931", "411111111111", "1" * 20, "9111111111111111"])
def test_article_numbers_and_numbers_of_no_issuer_are_no_cards(number: str) -> None:
    assert not is_card(number)


@pytest.mark.parametrize("iban", IBANS)
def test_published_ibans_hold_and_break_with_one_digit(iban: str) -> None:
    assert is_iban(iban)
    assert is_iban(iban.lower())
    assert not is_iban(iban[:-1] + str((int(iban[-1]) + 1) % 10))


@pytest.mark.parametrize(
    "word", ["", "DE", "ZZ82WEST12345698765432", "DE8937040044053201300", "GB82WEST1234569876543é"]
)
def test_other_words_are_no_ibans(word: str) -> None:
    assert not is_iban(word)
