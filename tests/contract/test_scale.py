"""The plan of docs/scale.md rests on what docs/benchmarks.md measured, and its sums are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCALE = (DOCS / "scale.md").read_text()
BENCHMARKS = (DOCS / "benchmarks.md").read_text()
#: Benchmarks are run more often than a plan is made: what differs by less changes no number of machines.
CLOSE = 0.25


def measured(name: str, column: int = 0) -> float:
    """The value of a figure, or its CPU (column 3)."""
    (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", BENCHMARKS, re.M)
    return number(row.split(" | ")[column])


def number(text: str) -> float:
    (found, *_) = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return float(found.replace(",", ""))


def planned(pattern: str) -> float:
    (found,) = re.findall(pattern, SCALE)
    return number(found)


def cpu_of(program: str) -> float:
    (found,) = re.findall(rf"CPU in us an event: .*?{program} ([\d.]+)", BENCHMARKS)
    return float(found)


def far(plan: float, figure: float) -> bool:
    return abs(plan - figure) > CLOSE * figure


@pytest.mark.parametrize(
    ("pattern", "figure"),
    [
        (r"all steps, no texts \| ([\d.]+) us", measured("worker_cpu_ratio")),
        (r"us CPU an event; ([\d,]+) events/s a process", measured("worker_full")),
        (r"Kafka, one replica \| ([\d.]+) us", cpu_of("Kafka")),
        (r"ClickHouse, ledger and windows \| ([\d.]+) us", cpu_of("ClickHouse's engine")),
        (r"texts \| ([\d,]+) us each on the transformer", measured("model_minilm", 3)),
        (r"transformer, ([\d,]+) us on the static model", measured("model_static", 3)),
        (r"CPU: about ([\d.]+) us an event without texts", measured("worker_cpu_ratio")),
    ],
)
def test_the_plan_rests_on_what_was_measured(pattern: str, figure: float) -> None:
    plan = planned(pattern)
    assert not far(plan, figure), f"docs/scale.md says {plan}, docs/benchmarks.md {figure}: make the plan again"
    assert far(figure * 1.3, figure)


def test_the_sums_of_the_plan_are_right() -> None:
    worker, kafka = planned(r"all steps, no texts \| ([\d.]+) us"), planned(r"Kafka, one replica \| ([\d.]+) us")
    engine = planned(r"ClickHouse, ledger and windows \| ([\d.]+) us")
    assert f"1,000,000 x {worker} us = {worker} cores, at half load {2 * worker:.0f}" in SCALE
    assert f"{kafka} us x 3 replicas = {3 * kafka:.1f} cores, at half load {6 * kafka:.0f}" in SCALE
    assert f"{engine:.1f} cores, at half load {2 * engine:.0f}" in SCALE
    wire, ledger, cells = 80 * 1e6 * 86_400 / 1e12, 86.4e9 * 36 / 1e12, 8_640 * 1_440 * 48
    assert f"= {wire:.1f} TB a day, x 3 replicas | {3 * wire:.0f} TB for each day kept" in SCALE
    assert f"{ledger:.1f} TB a day and replica; 30 days on 2 replicas: {60 * ledger:.0f} TB" in SCALE
    assert f"= {cells / 1e6:.0f} million rows a day x 11 bytes | {cells * 11 / 1e9:.1f} GB a day" in SCALE
