"""A tool's JSON from a file [I/O]: one document, or one a line, as events of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.intake.integrations.contract import Event, Integration, Options
from pipeline.intake.integrations.receiving import Unread, remap
from schemas.explain import Rejection


def events_in(file: Path, integration: Integration, options: Options) -> Iterator[Event | Rejection]:
    """Each event, or why an element gives none, in order. Raises UsageError when it cannot be read or is no JSON."""
    try:
        content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    found = remap(integration, {}, content, options)
    if not isinstance(found, Unread):
        yield from found
        return
    if b"\n" not in content.strip():
        raise UsageError(f"{file}: {found.detail}")
    for number, line in enumerate(filter(None, map(bytes.strip, content.split(b"\n"))), 1):
        events = remap(integration, {}, line, options)
        if isinstance(events, Unread):
            raise UsageError(f"{file}, line {number}: {events.detail}")
        yield from events
