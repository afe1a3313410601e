"""Follows a file of declarations [I/O]: a valid change takes effect, an invalid one is reported and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.errors import SettingsError

#: Seconds between two looks at the file.
EVERY_S = 1.0

Held = TypeVar("Held")


class Followed(Generic[Held]):
    """Holds what was read from the file and is in force. `trouble` is the sentence of why the file on disk is not that,
    "" when it is.

    `read` raises SettingsError where the file does not hold; so does the first load: nothing starts with such a file.
    """

    def __init__(self, path: Path, read: Callable[[Path], Held]) -> None:
        self.path = path
        self._read = read
        #: Taken before reading: a file that changes in between is read again at the next look.
        self._seen = _signature(path)
        self.held = read(path)
        self.trouble = ""
        self.loads = 1
        self._next = 0.0

    def check(self, now: float) -> bool:
        """Look again if a second has passed since the last look (`now`: monotonic seconds); whether a new one holds."""
        if now < self._next:
            return False
        self._next = now + EVERY_S
        signature = _signature(self.path)
        if signature == self._seen:
            return False
        self._seen = signature
        try:
            fresh = self._read(self.path)
        except SettingsError as error:
            self.trouble = f"{error} (the former one stays in force)"
            return False
        changed = fresh != self.held
        self.held, self.trouble = fresh, ""
        self.loads += 1
        return changed


def _signature(path: Path) -> tuple[int, ...]:
    """What changes whenever the file does; () when there is none. A followed link covers Kubernetes' mounted files."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)
