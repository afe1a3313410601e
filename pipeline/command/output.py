"""Where commands write [I/O]: results on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import orjson


class Exit(IntEnum):
    """Exit codes of every command, documented in the README."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DIFFERENCE = 3
    UNREACHABLE = 4


def emit(line: str) -> None:
    """One line of result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def emit_json(document: Mapping[str, Any] | list[Any]) -> None:
    """One JSON document as a result, on one line."""
    emit(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS).decode())


def note(line: str) -> None:
    """One line for the person at the terminal: progress, warnings, errors."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def is_terminal() -> bool:
    """Whether a person watches standard error (progress bars only then)."""
    return sys.stderr.isatty()
