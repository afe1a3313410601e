"""Numbers that prove themselves: payment cards (Luhn, issuer) and IBANs (country length, mod 97). Pure.

All arguments are ASCII digits, or ASCII letters and digits; masking.py brings them into that form.
"""

from __future__ import annotations

import re

#: Doubling a digit in Luhn's sum: 0 2 4 6 8 1 3 5 7 9.
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
#: Plain value of a digit, so that `sum` over bytes adds digits.
_VALUE = bytes.maketrans(b"0123456789", bytes(range(10)))

#: Letters of an IBAN as numbers: A is 10, Z is 35.
_BASE_36 = {ord("A") + n: str(10 + n) for n in range(26)}

#: Issuers by leading digits and their lengths. Without it each tenth article number (EAN) would be a card.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa: 13, 16, 19
    r"|5\d{12,18}"  # Mastercard 16; Maestro 13-19
    r"|2[2-7]\d{14,17}"  # Mastercard's second range 16; Mir 16-19
    r"|3[47]\d{13}"  # American Express: 15
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners: 14-19
    r"|35\d{14,17}"  # JCB: 16-19
    r"|6\d{12,18}"  # Discover, UnionPay, RuPay, Maestro
    r"|8[12]\d{14,17}"  # UnionPay's newer ranges, RuPay
    r"|9792\d{12}"  # Troy
)

#: Length of an IBAN by country (SWIFT's registry).
IBAN_LENGTHS: dict[str, int] = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL FK SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM TL SO",
        24: "AD CZ ES MD PK RO SA SE SK TN VG HN",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV YE",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for code in codes.split()
}


def is_card(digits: str) -> bool:
    """Whether digits are a payment card number: an issuer's range and length, and Luhn's check digit."""
    if not 13 <= len(digits) <= 19 or _ISSUED.fullmatch(digits) is None:
        return False
    backwards = digits.encode()[::-1]
    return (sum(backwards[::2].translate(_VALUE)) + sum(backwards[1::2].translate(_DOUBLED))) % 10 == 0


def is_iban(word: str) -> bool:
    """Whether letters and digits (any case, no separators) are an IBAN of a known country with a right check number."""
    word = word.upper()
    if len(word) != IBAN_LENGTHS.get(word[:2], 0) or not (word.isascii() and word.isalnum()):
        return False
    return int((word[4:] + word[:4]).translate(_BASE_36)) % 97 == 1
