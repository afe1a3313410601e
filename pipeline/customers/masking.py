"""Masking: e-mail addresses, phone, card and account numbers leave a text before anything is stored.

They become [email], [phone], [card] and [iban]. Masking twice is masking once. A text without "@" (or a written "at"
or "dot") and without seven digits close together is never touched: column operations tell (under 0.1 us a text), and
only hits go through Python's `re` (30-70 us). All patterns are linear (possessive runs, bounded repeats): a hostile
text of 10,000 characters costs milliseconds.

What is caught: addresses with "@", full-width "@", "(at)", "[at]", "name at host dot com", with or without spaces;
IBANs of known countries with a right check number, spaced or dotted; cards of known issuers that pass Luhn, in one word
or in the usual groups, also digit by digit; phone numbers as `phones.py` says; digits of other scripts (full-width,
Arabic, Persian, Devanagari); thin and invisible spaces between digits.

What is not caught: names and postal addresses; numbers spelled out in words; a phone number without any sign of being
one (ten digits alone may be an order); identifiers of others (order, ticket, passport, licence plate); card numbers
broken into unusual groups among other digits; anything hidden on purpose with letters or emoji between the digits.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from pipeline.customers.cards import IBAN_LENGTHS, is_card, is_iban
from pipeline.customers.phones import without_phones

#: A shorter id of a customer is not looked for in texts: it would be found in every second one ("1", "42", "ann").
LEAST_ID: Final = 5
#: Digits of the scripts we know: ASCII, full-width, Arabic, Persian, Devanagari.
_D: Final = "0-9０-９٠-٩۰-۹०-९"
#: What people put between the digits of one number; soft hyphen and zero-width signs included. No line break.
_BETWEEN: Final = " \\t.()/*_|·•\\-\u00a0\u00ad\u2000-\u200d\u2010-\u2015\u202f\u2060\u2212\u3000\ufeff"

#: Texts that may hold something, for polars (Rust): "@" or seven digits (the shortest phone) close together.
#: Apart from the next two because one pattern for all costs five times as much as the three.
SUSPECT: Final = r"@|[0-9](?:[^0-9]{0,3}[0-9]){6}"
#: Addresses that write "(at)" or " dot ".
SUSPECT_WRITTEN: Final = r"[(\[{<][aA][tT][)\]}>]| [dD][oO][tT] "
#: The same in other scripts; only texts that are not ASCII pay for it.
SUSPECT_WIDE: Final = rf"＠|[{_D}](?:[^{_D}]{{0,3}}[{_D}]){{6}}"
#: The same signs one by one, so that a text pays only for what it may hold.
_MAY_BE_EMAIL: Final = re.compile(r"[@＠]|[(\[{<]at[)\]}>]", re.IGNORECASE)
_MAY_BE_NUMBER: Final = re.compile(rf"[{_D}](?:[^{_D}]{{0,3}}[{_D}]){{6}}")

#: 19 digits with at most three signs between any two.
_LONGEST_CARD: Final = 19 * 4
#: Rounds until nothing changes. Each takes something away; two are usual, more only in texts made for it.
_ROUNDS: Final = 8

_LOCAL: Final = r"[\w.!#$%&'*+/=?^`{|}~\-]"
_AT: Final = r"(?:[@＠]|\((?i:at)\)|\[(?i:at)\]|\{(?i:at)\}|<(?i:at)>)"
_DOT: Final = r"(?:\.|．|。| ?\((?i:dot)\) ?| ?\[(?i:dot)\] ?| (?i:dot) )"
_HOST: Final = r"[\w\-]{1,63}"
_LETTER: Final = r"[^\W\d_]"
_EMAIL: Final = re.compile(
    rf'(?:(?<!{_LOCAL}){_LOCAL}++|"[^"\n]{{1,64}}")'
    # close together: any host with a letter in it; apart: a host with a dot and a top level of letters
    rf"(?:{_AT}(?=[\d.\-]*{_LETTER})(?:{_HOST}(?:{_DOT}{_HOST})*+)(?:[@＠][\w.\-]++)*"
    rf"|[ \t]{{0,2}}{_AT}[ \t]{{0,2}}{_HOST}(?:{_DOT}{_HOST})*{_DOT}{_LETTER}{{2,24}})"
)
_SPOKEN_EMAIL: Final = re.compile(
    r"(?<![\w.+-])(?:[\w+-]{1,64} dot ){0,3}[\w.+-]{1,64} at "
    r"[\w-]{1,63}(?:(?: dot |\.)[\w-]{1,63}){0,3} dot [a-z]{2,24}\b",
    re.IGNORECASE,
)
_IBAN_START: Final = re.compile(rf"(?<![^\W_])(?:IBAN:?)?([A-ZＡ-Ｚ]{{2}}) ?[{_D}]{{2}}", re.IGNORECASE)
_IBAN_REST: Final = {
    length: re.compile(rf"(?:[ .\-\u00a0\u2009\u202f]{{0,2}}[^\W_]){{{length - 4}}}")
    for length in set(IBAN_LENGTHS.values())
}
_RUN: Final = re.compile(rf"[+＋]?\(?[{_D}](?:[{_BETWEEN}]{{0,3}}[{_D}]){{6,}}+")
#: How cards are printed and typed, as lengths of groups. Looked for at each group, overlapping.
_CARD_GROUPS: Final = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13))
_CARDS: Final = tuple(
    re.compile(rf"(?<![{_D}])(?=({digits})(?![{_D}]))")
    for digits in (
        *(rf"[{_BETWEEN}]{{1,3}}".join(rf"[{_D}]{{{size}}}" for size in shape) for shape in _CARD_GROUPS),
        rf"[{_D}]{{13,19}}",
    )
)
#: To ASCII: digits of other scripts and the full-width plus, one sign for one sign (spans stay what they are).
_ASCII: Final = {zero + n: str(n) for zero in (0xFF10, 0x660, 0x6F0, 0x966) for n in range(10)} | {0xFF0B: "+"}
#: To letters and digits alone: separators go, full-width letters become ASCII.
_COMPACT: Final = (
    _ASCII
    | {0xFF21 + n: chr(0x41 + n) for n in range(26)}
    | {0xFF41 + n: chr(0x61 + n) for n in range(26)}
    | dict.fromkeys(map(ord, " \t.()/*_|·•-+\u00a0\u00ad\u202f\u2060\u2212\u3000\ufeff"))
    | dict.fromkeys((*range(0x2000, 0x200E), *range(0x2010, 0x2016), 0xFF0B))
)


def mask(texts: pl.Series) -> pl.Series:
    """The texts with personal numbers and addresses replaced; null stays null. Idempotent."""
    if not (texts != "").any():
        return texts
    hits = _suspects(texts)
    if hits.is_empty():
        return texts
    before = texts.gather(hits)
    after = pl.Series([mask_text(text) for text in before.to_list()], dtype=pl.String)
    return texts.clone().scatter(hits, after)


def _suspects(texts: pl.Series) -> pl.Series:
    """Where texts that may hold something are."""
    suspect = texts.str.contains(SUSPECT) | texts.str.contains(SUSPECT_WRITTEN)
    wide = (texts.str.len_bytes() != texts.str.len_chars()) & ~suspect
    if wide.any():
        at = wide.fill_null(False).arg_true()
        suspect = suspect.clone().scatter(at, texts.gather(at).str.contains(SUSPECT_WIDE))
    return suspect.fill_null(False).arg_true()


def mask_addresses(word: str) -> str:
    """One dimension's value without e-mail addresses only, since a product's number may look like a phone's."""
    return _EMAIL.sub("[email]", word)


def mask_text(text: str) -> str:
    """One text, until nothing more is found."""
    for _ in range(_ROUNDS):
        masked = _EMAIL.sub("[email]", text) if _MAY_BE_EMAIL.search(text) else text
        if " dot " in masked.lower():
            masked = _SPOKEN_EMAIL.sub("[email]", masked)
        if _MAY_BE_NUMBER.search(masked):
            masked = _RUN.sub(_without_number, _without_cards(_without_ibans(masked)))
        if masked == text:
            break
        text = masked
    return text


def _without_ibans(text: str) -> str:
    found = []
    for start in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(start[1]) or IBAN_LENGTHS.get(_plain(start[1]))
        rest = _IBAN_REST[length].match(text, start.end()) if length else None
        if rest is not None and is_iban(_plain(text[start.start(1) : rest.end()])):
            found.append((start.start(), rest.end()))
    return _replaced(text, found, "[iban]")


def _without_cards(text: str) -> str:
    found = [card.span(1) for shape in _CARDS for card in shape.finditer(text) if is_card(_plain(card[1]))]
    return _replaced(text, sorted(found), "[card]")


def _replaced(text: str, spans: list[tuple[int, int]], word: str) -> str:
    """The text with spans (by start; of overlapping ones the first) replaced by a word."""
    kept, end = [], 0
    for start, stop in spans:
        if start >= end:
            kept += [text[end:start], word]
            end = stop
    return "".join([*kept, text[end:]])


def _plain(text: str) -> str:
    """Letters and digits only, in ASCII and upper case where we know how."""
    return text.translate(_COMPACT).upper()


def _without_number(run: re.Match[str]) -> str:
    """What stands for one maximal run of digits and separators: a card typed digit by digit, a phone number, itself."""
    text = run[0]
    if 13 <= len(text) <= _LONGEST_CARD and is_card(_plain(text)):
        return "[card]"
    return without_phones(run.string, run.span(), text.translate(_ASCII))
