"""How long one closed window takes: 200 rules over 200 segments, no database."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from pipeline.alerts.judging import Judge
from pipeline.alerts.rules import Rules, parse
from pipeline.alerts.scopes import DIMS
from pipeline.customers.registry import DEFAULT_PATH, Registry
from pipeline.scores.windows import BINS
from pipeline.stack.launch import Stack
from tests.bench.figures import Figure, Report

_SEGMENTS, _RULES, _STEPS = 200, 200, 48
_BEGIN = 1_760_486_400
_DETECTORS = ("drop", "drop", "drop", "guarantee", "below")


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `rules`; the stack is not needed."""
    judge, random = Judge(_rules(20 if quick else _RULES)), np.random.default_rng(1)
    hours = [_frame(random, 2.0).with_columns(pl.lit(_BEGIN - hour * 3600).alias("hour")) for hour in range(1, 673)]
    began = time.perf_counter()
    judge.learn({("brand", "unit"): pl.concat(hours)}, _BEGIN)
    learned = time.perf_counter() - began
    windows = [_frame(random, 0.3) for _ in range(_STEPS)]
    taken, cpu = [], time.process_time()
    for number, window in enumerate(windows, 1):
        began = time.perf_counter()
        judge.step(window, _BEGIN + 300 * number)
        taken.append(time.perf_counter() - began)
    each = (time.process_time() - cpu) / _STEPS
    report.add(
        Figure("rules_step", 1000 * float(np.median(taken)), "ms", cpu=each, target="200", about="one window, median")
    )
    report.add(Figure("rules_learn", learned, "s", about="28 days of hours, once a day"))


def _rules(count: int) -> Rules:
    texts = [
        f"""[[rules]]
        id = "r{number}"
        metric = "nps"
        detector = "{_DETECTORS[number % len(_DETECTORS)]}"
        scope = ["brand,unit"]
        severity = {{ warning = 0 }}
        route = "default"
        runbook = "docs/alerts.md"
        parameters = {{ {"contract = -99" if _DETECTORS[number % len(_DETECTORS)] == "below" else ""} }}"""
        for number in range(count)
    ]
    text = "\n".join(['fallback_owner = "customer-experience"', *texts])
    return parse(text, Registry.parse(DEFAULT_PATH.read_text()))


def _frame(random: np.random.Generator, mean: float) -> pl.DataFrame:
    counts = random.poisson(mean, (_SEGMENTS, len(BINS)))
    dims = {name: [""] * _SEGMENTS for name in DIMS}
    dims |= {"brand": ["acme"] * _SEGMENTS, "unit": [f"u{number:03d}" for number in range(_SEGMENTS)]}
    bins = {name: counts[:, at] for at, name in enumerate(BINS)}
    return pl.DataFrame({"metric": ["nps"] * _SEGMENTS, "scale": ["0-10"] * _SEGMENTS, **dims, **bins})
