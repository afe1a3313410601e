"""Settings [I/O]: the only file that reads the environment. Read once, typed, all mistakes in one message."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import SettingsError

#: Keys of the embedded stack and of tests: known to everybody, so good for nothing else.
INSECURE_KEY = hashlib.sha256(b"the embedded stack and the tests").hexdigest()
#: Window rows that a worker can hold: the places in the keys of more could be too many for 22 bits (scores/packing.py).
MOST_HOT_ROWS = 3_500_000


class Settings(BaseSettings):
    """Everything a deployment can choose; each field is the environment variable TOUCHLINE_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="TOUCHLINE_",
        # compose and env files hand on what is not set as an empty word
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        secrets_dir=None,
        hide_input_in_errors=True,
    )

    bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma between")
    clickhouse_url: str = Field("http://127.0.0.1:8123", description="ClickHouse's HTTP interface")
    clickhouse_user: str = "default"
    clickhouse_password: SecretStr = SecretStr("")
    clickhouse_database: str = Field("default", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    clickhouse_ca: Path | None = Field(
        None, description="PEM file of the authority that signed ClickHouse's certificate"
    )
    clickhouse_cluster: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="ON CLUSTER name; empty on one server")
    clickhouse_replicated: bool = Field(False, description="use Replicated engines")

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca: Path | None = Field(None, description="PEM file of the authority that signed the brokers' certificates")

    topic_prefix: str = Field("touchline.", pattern=r"^[A-Za-z0-9._-]*$")
    topic_partitions: int = Field(12, ge=1, le=1024, description="partitions of the topics, as they are on the broker")
    topic_replication: int = Field(1, ge=1, le=10)
    group: str = Field("touchline", pattern=r"^[A-Za-z0-9._-]+$")
    session_timeout_s: float = Field(30.0, ge=6.0, description="a worker silent for longer loses its partitions")

    customer_form: Literal["plain", "pseudonym"] = "plain"
    pseudonym_key: SecretStr = Field(SecretStr(""), description="32 bytes as 64 hex digits")
    pseudonym_key_id: int = Field(1, ge=1, le=255, description="stands beside each pseudonym: another key, another id")
    seal_key: SecretStr = Field(SecretStr(""), description="32 bytes as 64 hex digits")
    seal_key_id: int = Field(1, ge=1, le=255, description="stands beside sealed bytes: another key, another id")
    insecure_keys: bool = Field(False, description="run with well-known keys (embedded stack and tests only)")
    plain_agents: bool = Field(False, description="store the ids of employees as they come")
    invite_quiet_days: int = Field(30, ge=0, le=400, description="days between two invitations, over all surveys")
    invite_in_a_year: int = Field(6, ge=1, le=365, description="invitations to surveys that a customer gets in a year")
    invite_consent: bool = Field(False, description="invite only who has consented")
    integrations: Path | None = Field(None, description="TOML: secrets and questions of webhooks, docs/integrations.md")
    registry: Path | None = Field(None, description="touchpoint registry (TOML); empty means the bundled one")
    experience_index: Path | None = Field(
        None, description="experience index of a customer (TOML); empty means the bundled one"
    )
    agent_answers: int = Field(10, ge=10, description="an employee with fewer answers is never shown alone")
    taxonomy: Path | None = Field(None, description="topics of texts (TOML); empty means the bundled ones")
    scores: Path | None = Field(None, description="definitions of scores (TOML); empty means the bundled ones")

    rules: Path | None = Field(None, description="rules of what is watched (TOML); empty means the bundled ones")
    routes: Path | None = Field(None, description="alert routes (TOML); empty means lines on standard output")
    alert_secrets: dict[str, SecretStr] = Field(
        default_factory=dict, description="secrets that the routes name, as a JSON object of name and value"
    )

    ids_remembered: int = Field(2_000_000, ge=1_000, description="event ids a worker remembers for duplicates")
    hot_rows: int = Field(1_000_000, ge=1_000, le=MOST_HOT_ROWS, description="window rows a worker folds in memory")
    names_kept: int = Field(
        10_000, ge=1, description="names of a dimension that windows count by name, besides those of the registry"
    )
    profiles_held: int = Field(1_000_000, ge=1_000, description="profile rows a worker holds in memory (48 MB)")
    minutes_kept_days: int = Field(7, ge=1, le=400, description="days with a window row a minute; then one an hour")
    lateness_s: int = Field(86_400, ge=60)
    stuck_after_s: float = Field(
        120.0, ge=5, description="a worker whose records wait for so long, with all else well, ends itself"
    )
    classifier: str = Field("pipeline.texts.model:bundled", description="module:factory of the models that label texts")
    label_limit_s: float = Field(10.0, gt=0, description="longest wait for the model's answer to 256 texts at most")

    gateway_host: str = Field("127.0.0.1", description="where the gateway listens; behind a proxy that speaks TLS")
    gateway_port: int = Field(8080, ge=0, le=65535, description="0 picks a free port")
    gateway_health_port: int = Field(
        8081,
        ge=0,
        le=65535,
        description="the gateway's /livez /readyz /metrics, on TOUCHLINE_WEB_HOST; 0 picks a free one",
    )
    gateway_rate: float = Field(100_000, ge=0, description="events a second that one gateway takes; 0: no limit")
    gateway_key_rate: float = Field(20_000, ge=0, description="events a second of one key at one gateway; 0: no limit")
    gateway_patience_s: float = Field(10.0, gt=0, description="longest wait for headers, a body, an answer's reader")
    gateway_url: str = Field("http://127.0.0.1:8080", description="where the outside reaches the gateway")
    unknown_fields: Literal["attributes", "refuse"] = Field(
        "attributes", description="what the gateway does with fields that our records do not have"
    )

    web_host: str = "127.0.0.1"
    web_port: int = Field(6066, ge=0, le=65535, description="/livez /readyz /metrics; 0 picks a free port")
    page_host: str = Field("127.0.0.1", description="where the live page listens")
    page_port: int = Field(6080, ge=0, le=65535, description="the live page and the reading API; 0 picks a free port")
    page_hosts: str = Field("", description="names by which browsers may address the page, comma between")
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    state_dir: Path = Field(
        Path(".touchline"), description="small files of this machine: import positions, crash counts"
    )

    @field_validator("pseudonym_key", "seal_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and (len(text) != 64 or any(c not in "0123456789abcdefABCDEF" for c in text)):
            raise ValueError("must be 32 bytes written as 64 hex digits; `openssl rand -hex 32` makes one")
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        wrong = []
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            wrong.append("kafka_username and kafka_password are needed with kafka_security_protocol SASL_*")
        if self.kafka_ca is not None and not self.kafka_ca.is_file():
            wrong.append(f"kafka_ca: no such file: {self.kafka_ca}")
        if self.clickhouse_ca is not None and not self.clickhouse_ca.is_file():
            wrong.append(f"clickhouse_ca: no such file: {self.clickhouse_ca}")
        if self.integrations is not None and not self.integrations.is_file():
            wrong.append(f"integrations: no such file: {self.integrations}")
        if self.registry is not None and not self.registry.is_file():
            wrong.append(f"registry: no such file: {self.registry}")
        if self.rules is not None and not self.rules.is_file():
            wrong.append(f"rules: no such file: {self.rules}")
        if self.routes is not None and not self.routes.is_file():
            wrong.append(f"routes: no such file: {self.routes}")
        if self.taxonomy is not None and not self.taxonomy.is_file():
            wrong.append(f"taxonomy: no such file: {self.taxonomy}")
        if self.experience_index is not None and not self.experience_index.is_file():
            wrong.append(f"experience_index: no such file: {self.experience_index}")
        if self.scores is not None and not self.scores.is_file():
            wrong.append(f"scores: no such file: {self.scores}")
        if not self.clickhouse_url.startswith(("http://", "https://")):
            wrong.append("clickhouse_url must begin with http:// or https://")
        if "@" in urlsplit(self.clickhouse_url).netloc:
            wrong.append(
                "clickhouse_url is shown as it stands: clickhouse_user and clickhouse_password say who connects"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def require_keys(self) -> None:
        """Processes that touch customers call this at the start; raises SettingsError when a key is missing."""
        if self.insecure_keys:
            return
        missing = [
            name
            for name in ("pseudonym_key", "seal_key")
            if getattr(self, name).get_secret_value().lower() in ("", INSECURE_KEY)
        ]
        if missing:
            names = " and ".join(f"TOUCHLINE_{name.upper()}" for name in missing)
            raise SettingsError(
                f"{names} missing (or the well-known test key): set each to the output of `openssl rand -hex 32`"
            )

    def topic(self, name: str) -> str:
        """The topic's name on the broker."""
        return self.topic_prefix + name

    @cached_property
    def pseudonym_bytes(self) -> bytes:
        """The pseudonym key; the well-known one where `insecure_keys` is on."""
        return bytes.fromhex(self.pseudonym_key.get_secret_value() or INSECURE_KEY)

    @cached_property
    def seal_bytes(self) -> bytes:
        """The key that seals rejected bytes."""
        return bytes.fromhex(self.seal_key.get_secret_value() or INSECURE_KEY)

    def kafka_security(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes."""
        arguments: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if self.kafka_security_protocol in ("SSL", "SASL_SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ca)
        if self.kafka_security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.kafka_sasl_mechanism
            arguments["sasl_plain_username"] = self.kafka_username
            arguments["sasl_plain_password"] = self.kafka_password.get_secret_value()
        return arguments

    def redacted(self) -> dict[str, Any]:
        """All settings for people to read; a secret shows only whether it is set."""
        shown: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                shown[name] = "(set)" if value.get_secret_value() else "(empty)"
            elif name == "alert_secrets":
                shown[name] = dict.fromkeys(sorted(value), "(set)")
            elif isinstance(value, Path):
                shown[name] = str(value)
            else:
                shown[name] = value
        return shown


def only(variables: Mapping[str, str]) -> None:
    """From here on this process, and those that it starts, see these TOUCHLINE_ variables and none of the caller's."""
    for name in [name for name in os.environ if name.upper().startswith("TOUCHLINE_")]:
        del os.environ[name]
    os.environ.update(variables)


def java_home() -> str:
    """Where the machine keeps its Java: not a setting of ours, but this file is the one that reads the environment."""
    return os.environ.get("JAVA_HOME", "")


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment; raises SettingsError with every mistake in one text, without values."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            "  TOUCHLINE_" + "_".join(str(part) for part in item["loc"]).upper() + ": " + item["msg"]
            if item["loc"]
            else "  " + item["msg"]
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("settings are wrong:\n" + "\n".join(lines)) from None
