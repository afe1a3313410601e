"""Frames of counts without a database: four weeks of hours to learn from, and a day of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.alerts.finding import Finding
from pipeline.alerts.judging import Judge
from pipeline.alerts.scopes import Level
from pipeline.scores.windows import BINS
from pipeline.slices import CORE, FURTHER

#: A Wednesday, 00:00 UTC.
DAY = 1_760_486_400
_PLACES = ("delivery", "checkout", "support_call")


@dataclass(frozen=True)
class Recorded:
    """Answers in minutes before and on the day; `fall` touchpoint gets worse from `hour` to `until`."""

    per_hour: int = 120
    history_days: int = 28
    fall: str = ""
    hour: float = 6.0
    until: float = 24.0

    def answers(self) -> pl.DataFrame:
        """One row an answer: moment and dimensions, bins as 0 and 1."""
        random = np.random.default_rng(7)
        count = self.per_hour * 24 * (self.history_days + 1)
        moment = np.sort(random.integers(DAY - self.history_days * 86_400, DAY + 86_400, count))
        touchpoint = random.choice(_PLACES, count)
        answer = np.where(random.random(count) < 0.2, random.integers(0, 7, count), random.integers(7, 11, count))
        hour = (moment - DAY) / 3600
        hit = (touchpoint == self.fall) & (hour >= self.hour) & (hour < self.until) & (random.random(count) < 0.85)
        answer = np.where(hit, random.integers(0, 4, count), answer)
        dims = {name: [""] * count for name in (*CORE, *FURTHER)}
        dims |= {"brand": ["acme"] * count, "touchpoint": touchpoint.tolist()}
        dims |= {"unit": random.choice(["u01", "u02"], count).tolist(), "channel": ["web"] * count}
        dims |= {"segments": random.choice(["", "gold", "gold,young"], count).tolist()}
        bins = {name: (answer == at).astype(np.int64) for at, name in enumerate(BINS)}
        return pl.DataFrame({"moment": moment, "metric": "nps", "scale": "0-10", **dims, **bins})


def hourly(answers: pl.DataFrame, levels: Sequence[Level], until: int) -> dict[Level, pl.DataFrame]:
    """What the ledger gives for learning up to `until`."""
    rows = answers.filter((pl.col("moment") < until) & (pl.col("moment") >= until - 28 * 86_400))
    rows = rows.with_columns((pl.col("moment") // 3600 * 3600).alias("hour"))
    found = {}
    for level in levels:
        mine = rows
        if "segment" in level:
            mine = rows.filter(pl.col("segments") != "").with_columns(
                pl.col("segments").str.split(",").alias("segment")
            )
            mine = mine.explode("segment")
        found[level] = mine.group_by("metric", "scale", "hour", *level).agg(pl.col(*BINS).sum()).sort("hour", *level)
    return found


def run(
    judge: Judge, answers: pl.DataFrame, start: int = DAY, end: int = DAY + 86_400
) -> Iterator[tuple[int, list[Finding]]]:
    """Every window of the day, as live watching drives the judge."""
    windows = answers.with_columns((pl.col("moment") // 300 * 300 + 300).alias("end"))
    for each in range(start + 300, end + 1, 300):
        until = judge.due(each)
        if until is not None:
            judge.learn(hourly(answers, judge.levels, until), until)
        yield each, judge.step(windows.filter(pl.col("end") == each), each)
