"""Routes from their file: secrets come from elsewhere, and a mistake names the place and never the secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.alerts.routing import read_routes
from pipeline.errors import SettingsError
from pipeline.settings import load_settings

FILE = """
[receivers.chat]
type = "slack"
url = {secret = "slack"}

[receivers.hook]
type = "webhook"
url = "https://hook.example/in"
key = {file = "hook.key"}

[routes.default]
receivers = ["chat", "hook"]
"""
SECRETS = '{"slack": "https://hooks.example/swordfish"}'


def written(folder: Path, text: str = FILE) -> Path:
    (folder / "hook.key").write_text("whsec_c3dvcmRmaXNo\n")
    file = folder / "routes.toml"
    file.write_text(text)
    return file


def test_secrets_come_from_settings_and_from_files_beside_the_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHLINE_ROUTES", str(written(tmp_path)))
    monkeypatch.setenv("TOUCHLINE_ALERT_SECRETS", SECRETS)
    settings = load_settings()
    routes = read_routes(settings)
    assert routes.receivers["chat"].fields["url"] == "https://hooks.example/swordfish"
    assert routes.receivers["hook"].fields["key"] == "whsec_c3dvcmRmaXNo"
    shown = repr(settings) + repr(settings.redacted()) + repr(routes)
    assert "swordfish" not in shown
    assert settings.redacted()["alert_secrets"] == {"slack": "(set)"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('secret = "slack"', 'secret = "slick"', "receivers.chat.url: there is no secret 'slick'"),
        ("hook.key", "other.key", "receivers.hook.key: other.key cannot be read"),
        ('{secret = "slack"}', "{env = 1}", "receivers.chat.url: must be a text"),
        ("[receivers.chat]", "[receivers.chat", "is no TOML"),
        ('"slack"\n', '"telex"\n', "receivers.chat: type must be one of"),
    ],
)
def test_each_mistake_names_its_place(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    settings = load_settings(
        routes=written(tmp_path, FILE.replace(old, new, 1)), alert_secrets={"slack": "https://hooks.example/swordfish"}
    )
    with pytest.raises(SettingsError) as found:
        read_routes(settings)
    assert sentence in str(found.value)
    assert "swordfish" not in str(found.value)


def test_a_file_that_is_not_there_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="routes: no such file"):
        load_settings(routes=tmp_path / "none.toml")
    assert set(read_routes(load_settings()).receivers) == {"stdout"}
