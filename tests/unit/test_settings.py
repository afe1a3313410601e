"""Settings are read once, complain about everything at once by name, and never show a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import INSECURE_KEY, load_settings

KEY = "ab" * 32


def test_every_mistake_is_named_in_one_message_without_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHLINE_TOPIC_PARTITIONS", "none")
    monkeypatch.setenv("TOUCHLINE_SEAL_KEY", "tooshort-secret")
    with pytest.raises(SettingsError) as found:
        load_settings()
    text = str(found.value)
    assert "TOUCHLINE_TOPIC_PARTITIONS" in text
    assert "TOUCHLINE_SEAL_KEY" in text
    assert "openssl rand -hex 32" in text
    assert "tooshort-secret" not in text


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHLINE_ROUTES", "")
    monkeypatch.setenv("TOUCHLINE_ALERT_SECRETS", "")
    monkeypatch.setenv("TOUCHLINE_TOPIC_PARTITIONS", "")
    assert load_settings() == load_settings(routes=None)


def test_what_does_not_hang_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="kafka_username and kafka_password"):
        load_settings(kafka_security_protocol="SASL_SSL")
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(kafka_ca=tmp_path / "missing.pem")
    with pytest.raises(SettingsError, match="http://"):
        load_settings(clickhouse_url="clickhouse:9000")
    with pytest.raises(SettingsError, match="clickhouse_user and clickhouse_password") as found:
        load_settings(clickhouse_url="http://touchline:swordfish@clickhouse:8123")
    assert "swordfish" not in str(found.value)


def test_a_worker_needs_keys_of_its_own_and_the_well_known_one_is_none() -> None:
    with pytest.raises(SettingsError, match="TOUCHLINE_PSEUDONYM_KEY and TOUCHLINE_SEAL_KEY"):
        load_settings().require_keys()
    with pytest.raises(SettingsError, match="TOUCHLINE_SEAL_KEY"):
        load_settings(pseudonym_key=KEY, seal_key=INSECURE_KEY).require_keys()
    load_settings(pseudonym_key=KEY, seal_key=KEY).require_keys()
    load_settings(insecure_keys=True).require_keys()


def test_no_secret_is_shown() -> None:
    settings = load_settings(
        pseudonym_key=KEY,
        clickhouse_password="swordfish",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_username="worker",
        kafka_password="hunter2",
    )
    shown = repr(settings) + repr(settings.redacted()) + str(settings)
    for secret in (KEY, "swordfish", "hunter2"):
        assert secret not in shown
    assert settings.redacted()["kafka_password"] == "(set)"
    assert settings.redacted()["seal_key"] == "(empty)"
    assert settings.kafka_security()["sasl_plain_password"] == "hunter2"


def test_topics_bear_the_prefix_of_the_deployment() -> None:
    assert load_settings(topic_prefix="eu.").topic("feedback") == "eu.feedback"
