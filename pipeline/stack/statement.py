"""SQL texts as they arrive over HTTP: where an INSERT ends and its data begin, quoting, codes of errors. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TOKEN = re.compile(
    rb"""(?P<blank>[\s;]+|--[^\n]*\n?|\#[ !][^\n]*\n?|/\*.*?\*/)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_FORMAT_AT_END = re.compile(rb"\bFORMAT\s+([A-Za-z0-9_]+)\s*;?\s*\Z", re.IGNORECASE)
_GAP_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")
_CODE = re.compile(r"Code: (\d+)\.")

#: Words after which an INSERT carries no separate data: the engine parses the whole text itself.
_NO_DATA = frozenset({b"VALUES", b"SELECT", b"WITH", b"INFILE"})

#: ClickHouse's own mapping of error codes to HTTP, as far as clients look at it; all others are 500.
_HTTP_STATUS = {
    194: 401,  # REQUIRED_PASSWORD
    **dict.fromkeys((192, 193, 497, 516), 403),  # user, password, access, authentication
    **dict.fromkeys((36, 53, 62, 27, 117, 6, 26, 38, 41, 72, 15, 44, 56, 321, 407, 441, 457), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 83, 115, 116), 404),
    **dict.fromkeys((159,), 408),  # TIMEOUT_EXCEEDED
    **dict.fromkeys((48,), 501),  # NOT_IMPLEMENTED
}
#: Code of errors that carry none: UNKNOWN_EXCEPTION.
UNKNOWN = 1002


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follow it: the statement without FORMAT, the format, the data."""

    head: str
    format: str
    data: memoryview


def split_insert(text: bytes) -> Insert | None:
    """The parts of `INSERT INTO t (a) FORMAT X <data>`; None for every other statement.

    Quotes, comments and parentheses before FORMAT are respected; the data are never looked at.
    """
    depth, words, position = 0, 0, 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0:
            word = match.group().upper()
            words += 1
            if (words == 1 and word != b"INSERT") or word in _NO_DATA:
                return None
            if word == b"FORMAT" and words > 1:
                return _data_after(text, match.start(), position)
        elif kind != "blank" and words == 0:
            return None
    return None


def _data_after(text: bytes, head_end: int, position: int) -> Insert | None:
    name = re.compile(rb"\s+([A-Za-z0-9_]+)").match(text, position)
    if name is None or name.group(1).upper() == b"VALUES":
        return None
    gap = _GAP_BEFORE_DATA.match(text, name.end())
    start = gap.end() if gap else name.end()
    head = text[:head_end].decode("utf-8", "surrogateescape")
    return Insert(head, name.group(1).decode(), memoryview(text)[start:])


def format_at_end(sql: bytes) -> str | None:
    """The format a query asks for itself (`... FORMAT Native`), None when it leaves the choice."""
    found = _FORMAT_AT_END.search(sql[-200:])
    return found.group(1).decode() if found else None


def is_name(text: str) -> bool:
    """Whether this may stand unquoted as the name of a setting or parameter."""
    return _NAME.match(text) is not None


def quoted(value: str) -> str:
    """A string literal that the engine reads back as exactly this value."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(name: str) -> str:
    """An identifier in back-quotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def error_code(message: str) -> int:
    """ClickHouse's number in `Code: 60. DB::Exception: ...`; UNKNOWN when there is none."""
    found = _CODE.search(message)
    return int(found.group(1)) if found else UNKNOWN


def http_status(code: int) -> int:
    """The HTTP status ClickHouse answers with for an error code."""
    return _HTTP_STATUS.get(code, 500)
