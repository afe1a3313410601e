"""Reads the rules and the registry they stand on from their files [I/O]."""

from __future__ import annotations

from pathlib import Path

from pipeline.alerts.rules import DEFAULT_PATH, Rules, parse
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.errors import SettingsError
from pipeline.settings import Settings


def load_rules(settings: Settings, file: Path | None = None) -> Rules:
    """The rules of a file, else those of the settings, else the bundled ones. Raises SettingsError."""
    path = file or settings.rules or DEFAULT_PATH
    registry = settings.registry or REGISTRY
    return parse(_text(path), Registry.parse(_text(registry), str(registry)), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
