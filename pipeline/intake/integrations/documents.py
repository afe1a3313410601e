"""A tool's JSON from a file [I/O]: one document, or one a line, as events of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline.errors import UsageError
from pipeline.intake.integrations.contract import Event, Integration, Options
from pipeline.intake.integrations.receiving import Unread, remap
from schemas.explain import DECODE_ERRORS, Rejection

_BOM = b"\xef\xbb\xbf"


def events_in(file: Path, integration: Integration, options: Options) -> Iterator[Event | Rejection]:
    """Each event, or why an element gives none, in order. Raises UsageError when it cannot be read or is no JSON.

    A file of lines is read line by line; one document is in memory as a whole.
    """
    for where, content in _documents(file):
        events = remap(integration, {}, content, options, sys.maxsize)
        if isinstance(events, Unread):
            raise UsageError(f"{where}: {events.detail}")
        yield from events


def documents_about(file: Path) -> int | None:
    """How many documents there are, for a bar; None of a single one, whose events nobody knows before it is read."""
    found = sum(1 for _ in _documents(file))
    return found if found > 1 else None


def _documents(file: Path) -> Iterator[tuple[str, bytes]]:
    """Where each document stands, and its bytes: a file whose first line is JSON by itself has one a line."""
    try:
        with file.open("rb") as opened:
            first = next((line for line in opened if line.strip(b" \t\r\n" + _BOM)), b"")
            opened.seek(0)
            if not _is_json(first.removeprefix(_BOM)):
                yield str(file), opened.read().removeprefix(_BOM)
                return
            for number, line in enumerate(opened, 1):
                if stripped := line.removeprefix(_BOM).strip():
                    yield f"{file}, line {number}", stripped
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except DECODE_ERRORS:
        return False
    return True
