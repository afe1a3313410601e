"""Follows the registry's file while the worker runs [I/O]: a valid change takes effect, an invalid one is reported."""

from __future__ import annotations

from pathlib import Path

from pipeline.customers.registry import DEFAULT_PATH, Registry
from pipeline.errors import SettingsError

#: Seconds between two looks at the file.
EVERY_S = 1.0


class Watcher:
    """Holds the registry in force. `trouble` is the sentence of why the file on disk is not that one, "" when it is.

    The first load raises SettingsError: a worker does not start with a registry that does not hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Taken before reading: a file that changes in between is read again at the next look.
        self._seen = _signature(path)
        self.registry = read_registry(path)
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
            fresh = read_registry(self.path)
        except SettingsError as error:
            self.trouble = f"{error} (the former registry stays in force)"
            return False
        changed = fresh != self.registry
        self.registry, self.trouble = fresh, ""
        self.loads += 1
        return changed


def read_registry(path: Path = DEFAULT_PATH) -> Registry:
    """Read and check a registry's file; SettingsError, with all that is wrong, when it does not hold."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the touchpoint registry {path} cannot be read: {error}") from error
    return Registry.parse(text, str(path))


def _signature(path: Path) -> tuple[int, ...]:
    """What changes whenever the file does; () when there is none. A followed link covers Kubernetes' mounted files."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)
