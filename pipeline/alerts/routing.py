"""Routes from their file [I/O]: TOML, with the secrets from files or from settings filled in, never from the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.alerts.routes import SECRET_FIELDS, Routes, parse, standard
from pipeline.errors import SettingsError
from pipeline.settings import Settings


def read_routes(settings: Settings) -> Routes:
    """The routes of TOUCHLINE_ROUTES; without it lines on standard output. SettingsError never shows a secret."""
    if settings.routes is None:
        return standard()
    try:
        table = tomllib.loads(settings.routes.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"routes: {settings.routes} cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"routes: {settings.routes} is no TOML: {error}") from None
    secrets = {name: value.get_secret_value() for name, value in settings.alert_secrets.items()}
    return parse(filled_in(table, secrets, settings.routes.parent))


def filled_in(table: Mapping[str, Any], secrets: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The table with `{secret = "name"}` and `{file = "path"}` filled in. Raises SettingsError."""
    wrong: list[str] = []
    receivers: dict[str, Any] = {}
    given = table.get("receivers", {})
    for name, fields in given.items() if isinstance(given, Mapping) else ():
        if not isinstance(fields, Mapping):
            receivers[name] = fields
            continue
        receivers[name] = {
            key: _secret(value, f"receivers.{name}.{key}", secrets, folder, wrong) if key in SECRET_FIELDS else value
            for key, value in fields.items()
        }
    if wrong:
        raise SettingsError("routes are wrong:\n" + "\n".join(f"  {line}" for line in wrong))
    return {**table, "receivers": receivers}


def _secret(value: Any, where: str, secrets: Mapping[str, str], folder: Path, wrong: list[str]) -> Any:
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"secret"}:
        if value["secret"] not in secrets:
            wrong.append(f"{where}: there is no secret {value['secret']!r} in TOUCHLINE_ALERT_SECRETS")
        return secrets.get(str(value["secret"]), "-")
    if set(value) == {"file"}:
        try:
            return (folder / str(value["file"])).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            wrong.append(f"{where}: {value['file']} cannot be read: {type(error).__name__}")
            return "-"
    wrong.append(f"{where}: must be a text, {{secret = NAME}} or {{file = PATH}}")
    return "-"
