"""Reads the rules, and the registry and the taxonomy they stand on, from their files [I/O]."""

from __future__ import annotations

from pathlib import Path

from pipeline.alerts.rules import DEFAULT_PATH, Rules, parse
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.texts.declared import read_taxonomy

#: Who answers in the rules and the registry that come along.
BUNDLED_OWNER = "customer-experience"


def load_rules(settings: Settings, file: Path | None = None) -> Rules:
    """The rules of a file, else those of the settings, else the bundled ones. Raises SettingsError."""
    path = file or settings.rules or DEFAULT_PATH
    where = settings.registry or REGISTRY
    registry = Registry.parse(_text(where), str(where))
    text = _text(path)
    if path == DEFAULT_PATH and registry.default_owner not in ("", BUNDLED_OWNER):
        # The rules that come along answer to whoever the deployment's own registry answers to.
        text = text.replace(f'fallback_owner = "{BUNDLED_OWNER}"', f'fallback_owner = "{registry.default_owner}"')
    return parse(text, registry, str(path), read_taxonomy(settings.taxonomy).topics)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
