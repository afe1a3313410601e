"""Reads the taxonomy's file [I/O]."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.texts.taxonomy import DEFAULT_PATH, Taxonomy


def read_taxonomy(path: Path | None = None) -> Taxonomy:
    """Read and check a taxonomy's file (None: the bundled one); SettingsError, with all that is wrong with it."""
    path = path or DEFAULT_PATH
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the taxonomy {path} cannot be read: {error}") from error
    return Taxonomy.parse(text, str(path))
