"""Why a value was rejected: stage, reason and JSON path from what msgspec says.

A rejection is read by people who may not see customers' data, so its texts name types, bounds and our own field names,
never a value. The keys of `attributes` are the producer's own words and count as values: their path is
`$.attributes[...]`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from schemas.vocabulary import Reason, Stage

#: What decoding typed JSON can raise. ValueError covers invalid UTF-8 and numbers with too many digits.
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)

#: Reasons that say something of the bytes rather than of a field.
_DECODE_REASONS = frozenset(
    {
        Reason.NOT_JSON,
        Reason.NOT_UTF8,
        Reason.EMPTY,
        Reason.TOO_LARGE,
        Reason.TOO_DEEP,
        Reason.TOO_MANY_KEYS,
        Reason.TOO_LONG,
        Reason.BAD_ENVELOPE,
        Reason.UNKNOWN_VERSION,
    }
)

_AT = re.compile(r" - at (?:`key` in )?`(?P<path>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_LENGTH = re.compile(r"^Expected `(?P<kind>[^`]*)` of length (?P<bound>[<>]=?|==) ?\d+$")

#: Reason by the beginning of msgspec's text; the first that fits. `Expected ...` alone comes last.
_BY_TEXT: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"^Invalid RFC3339|^Expected `datetime` with"), Reason.BAD_TIME),
    (re.compile(r"^Invalid enum value"), Reason.UNKNOWN_VALUE),
    (re.compile(r"^Expected `str` matching regex"), Reason.UNKNOWN_VALUE),
    (re.compile(r"^Number out of range|^Integer (value )?out of range"), Reason.OUT_OF_RANGE),
    (re.compile(r"^Expected `[^`]*` (<|>|<=|>=) "), Reason.OUT_OF_RANGE),
)


class Rejection(NamedTuple):
    """Why one value is no event: step, closed reason, where in the event, and a text without any value of it."""

    stage: Stage
    reason: Reason
    path: str
    detail: str


def reject(reason: Reason, path: str = "$", detail: str = "") -> Rejection:
    """A rejection whose stage follows from the reason."""
    return Rejection(Stage.DECODE if reason in _DECODE_REASONS else Stage.VALIDATE, reason, path, detail)


def explain(error: Exception, value: bytes) -> Rejection:
    """The rejection for what typed decoding of `value` raised (one of DECODE_ERRORS)."""
    if isinstance(error, msgspec.ValidationError):
        return _explain_validation(str(error))
    if isinstance(error, RecursionError):
        return reject(Reason.TOO_DEEP, detail="nested too deeply")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as bad:
        return reject(Reason.NOT_UTF8, detail=f"invalid UTF-8 at byte {bad.start}")
    if isinstance(error, msgspec.MsgspecError):
        return reject(Reason.NOT_JSON, detail=str(error))
    # Not msgspec's own: Python refuses to build the value, such as a number of 100,000 digits.
    return reject(Reason.OUT_OF_RANGE, detail="a number has too many digits")


def _explain_validation(message: str) -> Rejection:
    at = _AT.search(message)
    path = at["path"] if at else "$"
    text = message[: at.start()] if at else message
    if missing := _MISSING.match(text):
        return reject(Reason.MISSING_FIELD, f"{path}.{missing['field']}", "a required field is missing")
    if length := _LENGTH.match(text):
        return reject(_reason_of_length(length["kind"], length["bound"]), path, text)
    reason = next((reason for pattern, reason in _BY_TEXT if pattern.match(text)), Reason.WRONG_TYPE)
    if reason is Reason.OUT_OF_RANGE and path == "$.version" and "<" in text:
        reason = Reason.UNKNOWN_VERSION
    # msgspec quotes the value here; everything else it says is ours.
    return reject(reason, path, "not one of the known words" if text.startswith("Invalid enum value") else text)


def _reason_of_length(kind: str, bound: str) -> Reason:
    if bound.startswith(">"):
        return Reason.OUT_OF_RANGE
    return Reason.TOO_MANY_KEYS if kind == "object" else Reason.TOO_LONG
