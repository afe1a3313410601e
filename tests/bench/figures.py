"""Figures: each one JSON line on standard output and one row of docs/benchmarks.md.

The generated part of the page is one section per benchmark, between two comments, so that a run of some benchmarks
leaves the others as they are.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"

#: The page before the first run; what stands above and below the sections is written by hand and kept.
_BEGIN, _END = "<!-- bench:{} -->", "<!-- /bench:{} -->"

#: Load average of a machine that does nothing else; above it the page says so.
_QUIET = 1.5


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    `baseline` is what it is compared with, measured in the same run, and `ratio` the quotient (higher is better).
    `cpu` is CPU time of the measured process: us an event, or seconds where `unit` is no rate. `target` and `about`
    are for the page only.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    cpu: float | None = None
    target: str = ""
    about: str = ""

    def line(self) -> str:
        """The figure as one JSON line, for comparing commits."""
        shown = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "baseline": _rounded(self.baseline),
            "ratio": _rounded(self.ratio),
            "cpu": _rounded(self.cpu),
            "commit": commit(),
        }
        return json.dumps(shown)


class Report:
    """Takes the figures of one benchmark: prints each at once, writes the section at the end."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.load = os.getloadavg()[0]
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def add(self, figure: Figure) -> None:
        """One more figure."""
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def say(self, text: str) -> None:
        """A sentence below the table."""
        self.notes.append(text)
        note(text)

    def section(self, command: str) -> str:
        """The section of the page, in Markdown."""
        rows = [
            "| figure | value | baseline | ratio | CPU | target | what |",
            "|---|---:|---:|---:|---:|---|---|",
            *(_row(figure) for figure in self.figures),
        ]
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        origin = f"Measured {when} at commit `{commit()}` by `{command}` on {machine()}."
        if self.load > _QUIET:
            origin += f" Other programs kept it busy (load average {self.load:.0f}): worse than on a quiet machine."
        return "\n\n".join([f"### {self.title}", "\n".join(rows), *self.notes, origin])


def _row(figure: Figure) -> str:
    cells = (
        f"`{figure.name}`",
        f"{_shown(figure.value)} {figure.unit}",
        _shown(figure.baseline),
        _shown(figure.ratio),
        _shown(figure.cpu),
        figure.target,
        figure.about,
    )
    return "| " + " | ".join(cells) + " |"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def _shown(value: float | None) -> str:
    rounded = _rounded(value)
    return "" if rounded is None else f"{rounded:,}" if isinstance(rounded, int) else f"{rounded:g}"


def write(report: Report, command: str) -> None:
    """Puts the section of this benchmark into the page, in place of an older one."""
    begin, end = _BEGIN.format(report.name), _END.format(report.name)
    section = f"{begin}\n{report.section(command)}\n{end}"
    page = PAGE.read_text()
    if begin in page:
        head, _, rest = page.partition(begin)
        page = head + section + rest.partition(end)[2]
    else:
        page = f"{page.rstrip()}\n\n{section}\n"
    PAGE.write_text(page)


@cache
def commit() -> str:
    """The checkout's commit; `+` where files differ from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@cache
def machine() -> str:
    """Cores, memory, processor and Python, never a name."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores" + (f" ({model})" if model else "")
    return f"{cores}, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"


def note(text: str) -> None:
    """Progress, on standard error."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
