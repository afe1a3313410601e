"""Touchline as its next version may be, for T47: it reads version 2 of the records, and is the same otherwise.

`python -m tests.chaos.next_version worker` is its worker; other words are a command: `... next_version rejects list`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import schemas


def upgrade() -> None:
    """Loads the module that says which versions are read with a 2 in it. Before anything imports that."""
    spec = importlib.util.find_spec("schemas.touchpoint")
    assert spec is not None
    assert spec.origin is not None
    before = Path(spec.origin).read_text()
    after = before.replace("\nVERSION = 1\n", "\nVERSION = 2\n")
    assert after != before
    module = importlib.util.module_from_spec(spec)
    sys.modules["schemas.touchpoint"] = module
    exec(compile(after, spec.origin, "exec"), module.__dict__)
    schemas.touchpoint = module


if __name__ == "__main__":
    upgrade()
    if sys.argv[1:] == ["worker"]:
        from agents.__main__ import main as work

        sys.exit(work())
    from pipeline.command.main import main

    main()
