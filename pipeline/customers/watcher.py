"""Reads the registry's file [I/O], and follows it while the worker runs."""

from __future__ import annotations

from pathlib import Path

from pipeline.customers.registry import DEFAULT_PATH, Registry
from pipeline.errors import SettingsError
from pipeline.followed import Followed


class Watcher(Followed[Registry]):
    """Holds the registry in force, see `Followed`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_registry)

    @property
    def registry(self) -> Registry:
        """The registry in force."""
        return self.held


def read_registry(path: Path = DEFAULT_PATH) -> Registry:
    """Read and check a registry's file; SettingsError, with all that is wrong, when it does not hold."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the touchpoint registry {path} cannot be read: {error}") from error
    return Registry.parse(text, str(path))
