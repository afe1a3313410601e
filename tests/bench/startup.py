"""How soon the command line answers."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from pipeline.stack.launch import Stack
from tests.bench.figures import ROOT, Figure, Report

#: Calls; the first warms the caches of the file system and does not count.
_CALLS = 5


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `cli`."""
    bare = _median([sys.executable, "-c", "pass"])
    own = _median([sys.executable, "-m", "pipeline.command.main", "--help"])
    report.add(Figure("help", own, "s", bare, bare / own, target="< 0.3", about="baseline: Python alone"))


def _median(arguments: list[str]) -> float:
    taken = []
    for _ in range(_CALLS + 1):
        began = time.monotonic()
        subprocess.run(arguments, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - began)
    return statistics.median(taken[1:])
