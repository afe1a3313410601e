"""Memory of 1,000,000 hot window rows, and what happens beyond: `python -m tests.bench.hot` in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys

import numpy as np
import polars as pl

from pipeline import memory
from pipeline.scores.windows import Hot, fold
from pipeline.slices import FURTHER
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Process, memory_mb
from tests.bench.figures import Figure, Report
from tests.bench.load import CHANNELS, TOUCHPOINTS, UNITS

LIMIT = 1_000_000
_BATCH = 20_000
_CELLS = len(UNITS) * len(CHANNELS) * len(TOUCHPOINTS)


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `hot`."""
    limit = LIMIT // 10 if quick else LIMIT
    command = [sys.executable, "-m", "tests.bench.hot", str(limit)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    about = f"{found['rows']:,} rows of {found['minutes']} minutes: growth of a process that holds nothing else"
    report.add(Figure("hot_memory", found["mb"], "MB", target="< 250", about=about))
    beyond = f"{found['asked']:,} rows came: the oldest minutes leave (`touchline_hot_evicted_total`) and are rewritten"
    report.add(Figure("hot_evicted", found["evicted"], "minutes", about=f"{beyond} from the ledger if touched again"))


def _rows(first: int) -> pl.DataFrame:
    """Contributions to `_BATCH` cells that nothing counted in before, minute by minute."""
    number = np.arange(first, first + _BATCH)
    cell, minute = number % _CELLS, number // _CELLS
    places = {
        "unit": np.array(UNITS)[cell % len(UNITS)],
        "channel": np.array(CHANNELS)[cell // len(UNITS) % len(CHANNELS)],
        "touchpoint": np.array(TOUCHPOINTS)[cell // len(UNITS) // len(CHANNELS)],
    }
    rest = {name: pl.lit("") for name in FURTHER}
    return pl.DataFrame({"minute": minute * 60 + 60, **places}).with_columns(
        *(each.alias(name) for name, each in rest.items()),
        pl.lit("nps").alias("metric"),
        pl.lit("0-10").alias("scale"),
        pl.lit("acme").alias("brand"),
        pl.Series("bin", number % 11, dtype=pl.Int8),
        pl.lit(1, pl.Int32).alias("w"),
        pl.lit(0, pl.Int32).alias("s1"),
        pl.lit(0, pl.Int32).alias("s2"),
        pl.lit(0, pl.UInt16).alias("part"),
    )


def measured(limit: int) -> dict[str, float]:
    """Rows, minutes and MB when the limit is reached; minutes that left when a fifth more came."""
    hot = Hot(limit)
    hot.begin(0, 0)
    hot.add(fold(_rows(0), hot.names))
    hot.shrink()
    gc.collect()
    before, came, full = _mb(), _BATCH, 0.0
    while came < limit * 1.2:
        hot.add(fold(_rows(came), hot.names))
        hot.shrink()
        came += _BATCH
        if not hot.evicted:
            gc.collect()
            full = _mb()
    return {
        "rows": hot.rows,
        "minutes": hot.rows // _CELLS,
        "mb": full - before,
        "asked": came,
        "evicted": hot.evicted,
    }


def _mb() -> float:
    return memory_mb(Process(name="self", pid=os.getpid(), started="")) or 0.0


if __name__ == "__main__":
    memory.settle()
    print(json.dumps(measured(int(sys.argv[1]))))
