"""Which runs of digits in a text are phone numbers (pure). Prices, orders, dates and scores are not.

A run is a phone number when it
- begins with + or 00 and has 7-15 digits (no country begins with 0);
- begins with one 0, or (0, and has 9-13 digits: the local form of most countries;
- has a shape that only phones have: (212) 555-0100, 212-555-0100, 1-212-555-0100, 98765 43210, 22 34 56 78;
- follows a word such as "phone", "call", "mobil" and has 7-15 digits.
It is none when a currency stands beside it, when it is glued to letters, when it holds a date, or when the nearest word
before it is one of orders ("order", "invoice", "tracking", "#"): then only the form with + counts.
"""

from __future__ import annotations

import re
from typing import Final

#: How far back a word may say what a number is.
_REACH: Final = 30
#: No digit and no placeholder lies between the word and the number, else masking twice would differ from once.
_BEFORE: Final = re.compile(r"[^\d\]]*\Z")
_PHONE_WORDS: Final = (
    r"(?:tele|smart)?phone|tel\b|telefon|teléfono|téléphone|mobil|móvil|cell|handy|portable|whatsapp|signal|sms|fax|"
    r"call|ring\b|dial|text me|reach|contact|rückruf|anruf|rufen|ruft|hotline|appel|llam"
)
_ORDER_WORDS: Final = (
    r"order|ticket|invoice|tracking|parcel|package|shipment|article|item|sku\b|ean\b|isbn|serial|imei|contract|ref\b|"
    r"case (?:no|number|id)|reference|customer (?:no|number|id)|id\b|bestell|auftrag|rechnung|vertrag|kunden|sendung|"
    r"paket|artikel|commande|facture|colis|pedido|factura|envío|ordine|fattura|pacco"
)
_WORD: Final = re.compile(rf"(?P<order>\b(?:{_ORDER_WORDS})|#)|(?P<phone>\b(?:{_PHONE_WORDS}))", re.IGNORECASE)
_MONEY_AFTER: Final = re.compile(
    r"\s{0,2}(?:[€$£¥₹%]|(?:eur|euros?|usd|gbp|chf|dollars?|pounds?|kr|sek|nok|dkk|zł|pln|inr|rs|yen|points?|punkte)\b)",
    re.IGNORECASE,
)
_MONEY_BEFORE: Final = re.compile(r"(?:[€$£¥₹]|\b(?:eur|usd|gbp|chf|inr|rs\.?))\s{0,2}\Z", re.IGNORECASE)
_SEP: Final = r"[ .\-/\u00a0\u2010-\u2015\u202f]"
#: A date inside a run; not when the same separators go on (06.12.34.56.78 is a French phone number).
_DATE: Final = re.compile(
    r"(?<!\d)(?<!\d[./-])(?:(?:19|20)\d\d([./-])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([./-])(?:0?[1-9]|[12]\d|3[01])\2(?:(?:19|20)\d\d|\d\d))(?!\d)(?![./-]\d)"
)
_SHAPES: Final = re.compile(
    rf"\+?1?{_SEP}?\(\d{{3}}\){_SEP}{{0,2}}\d{{3}}{_SEP}\d{{4}}"  # (212) 555-0100
    r"|(?:1([.\-]))?\d{3}([.\-])\d{3}\2\d{4}"  # 212-555-0100, 1-212-555-0100
    r"|\d{3} \d{3} \d{4}"  # 212 555 0100
    r"|[6-9]\d{4}[ \-]\d{5}"  # 98765 43210
    r"|[2-9]\d \d\d \d\d \d\d"  # 22 34 56 78
    r"|3[2-9]\d[ .\-]\d{6,7}"  # 347 1234567
    r"|\d{3}-\d{3}-\d{3}"  # 612-345-678
)


def without_phones(text: str, span: tuple[int, int], run: str) -> str:
    """What stands for the run `text[span]`: the run itself, or with [phone] in it. `run` has ASCII digits."""
    start, end = span
    original = text[start:end]
    pieces, at = [], 0
    for date in _DATE.finditer(run):
        pieces += [
            _piece(text, (start + at, start + date.start()), run[at : date.start()]),
            original[slice(*date.span())],
        ]
        at = date.end()
    return "".join([*pieces, _piece(text, (start + at, end), run[at:])])


def _piece(text: str, span: tuple[int, int], run: str) -> str:
    """One run without a date in it; separators around it stay."""
    start, end = span
    core = re.search(r"[+(]{0,2}\d(?:.*\d)?", run, re.DOTALL)
    if core is None or not _is_phone(text, (start + core.start(), start + core.end()), core[0]):
        return text[start:end]
    return text[start : start + core.start()] + "[phone]" + text[start + core.end() : end]


def _is_phone(text: str, span: tuple[int, int], run: str) -> bool:
    start, end = span
    digits = re.sub(r"\D", "", run)
    if not 7 <= len(digits) <= 17 or _glued(text, start, end):
        return False
    if run[0] == "+" or run.startswith("(+"):
        return digits[0] != "0" and len(digits) <= 15
    if _MONEY_AFTER.match(text, end) or _MONEY_BEFORE.search(text, max(0, start - 8), start):
        return False
    before = text[max(0, start - _REACH) : start]
    context = before[_BEFORE.search(before).start() :] if before else ""  # type: ignore[union-attr]
    words = [word.lastgroup for word in _WORD.finditer(context)]
    if words and words[-1] == "order":
        return False
    if words and len(digits) <= 15:
        return True
    return _local(run, digits)


def _local(run: str, digits: str) -> bool:
    if digits.startswith("00"):
        return len(digits) >= 9 and digits[2] != "0"
    if digits.startswith("0"):
        #: in one word 13 digits with a leading zero are an article number
        return 9 <= len(digits) <= (12 if run.isdigit() else 13)
    return _SHAPES.fullmatch(run) is not None


def _glued(text: str, start: int, end: int) -> bool:
    """Whether letters, a decimal comma or a colon with digits touch the run."""
    left, right = text[start - 1 : start], text[end : end + 1]
    if left.isalpha() or right.isalpha() or left == "_":
        return True
    return left in (",", ":") and start > 1 and text[start - 2].isdigit()
