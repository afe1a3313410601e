"""Fixtures of the integrations [I/O]: a payload as its tool sends it, where its shape is published, and its events.

`python -m pipeline.intake.integrations.cases` writes the events anew after a change that is meant; read the difference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.contract import Options
from schemas.codec import encode
from schemas.explain import Rejection

FOLDER = Path(__file__).with_name("fixtures")


def cases(name: str) -> list[Path]:
    """The fixtures of an integration."""
    return sorted((FOLDER / name).glob("*.json"))


def options_of(case: dict[str, Any]) -> Options:
    """What the deployment of a fixture says."""
    return Options(**case.get("options", {}))


def events_of(name: str, case: dict[str, Any]) -> list[dict[str, Any]]:
    """What the mapper gives: events as they are encoded, rejections as reason and path."""
    found = integrations()[name].mapped(case["payload"], case.get("headers", {}), options_of(case))
    return [
        {"rejected": each.reason.value, "path": each.path} if isinstance(each, Rejection) else json.loads(encode(each))
        for each in found
    ]


def write() -> None:
    """Writes what the mappers give now into the fixtures."""
    for name in integrations():
        for path in cases(name):
            case = json.loads(path.read_text())
            text = json.dumps(case | {"events": events_of(name, case)}, indent=2, ensure_ascii=False)
            path.write_text(text + "\n")


if __name__ == "__main__":
    write()
    sys.exit(0)
