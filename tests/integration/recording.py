"""A recorded deployment straight in the tables: imported history, a day that was watched, its frontiers, its texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipeline.clickhouse import ClickHouse

#: The last Wednesday but one, 00:00 UTC: the day that is watched. Tables forget texts that are older than 400 days.
DAY = (int(time.time()) - 604_800 - 6 * 86_400) // 604_800 * 604_800 + 6 * 86_400
HISTORY_DAYS = 28
WINDOW = 300
PARTS = 2


@dataclass(frozen=True)
class Fall:
    """Answers about one touchpoint get worse from `hour` of the watched day on; `until` it is over."""

    touchpoint: str = "delivery"
    hour: float = 6.0
    until: float = 24.0
    bad: float = 0.85


def record(client: ClickHouse, *, per_hour: int = 60, fall: Fall | None = None, hours: int = 24) -> None:
    """Four weeks on `history`, then `hours` of a day on `feedback` with a frontier for every window."""
    start = DAY - HISTORY_DAYS * 86_400
    before = _answers(1, per_hour * HISTORY_DAYS * 24, start, DAY, None)
    client.insert("ledger", _rows(before, "history", 0, DAY * 1000))
    watched = _answers(2, per_hour * hours, DAY, DAY + hours * 3_600, fall)
    part = np.arange(watched.height) % PARTS
    for number in range(PARTS):
        rows = watched.filter(pl.Series(part == number))
        client.insert("ledger", _rows(rows, "feedback", number, None))
        if rows.height:
            client.insert("texts", _texts(rows.with_row_index("off"), number))
        close(client, rows, number, DAY, DAY + hours * 3_600)


def close(client: ClickHouse, rows: pl.DataFrame, part: int, start: int, end: int) -> None:
    """Frontiers of every window: up to the last answer before its end."""
    ends = np.arange(start + WINDOW, end + 1, WINDOW)
    offsets = np.searchsorted(rows["moment"].to_numpy(), ends, side="left") - 1
    frame = pl.DataFrame(
        {"window_end": ends, "topic": "feedback", "epoch": 1, "part": part, "off": offsets, "ver": 1},
        schema_overrides={"window_end": pl.UInt32, "epoch": pl.UInt16, "part": pl.UInt16, "ver": pl.UInt64},
    )
    client.insert(
        "frontiers", frame.with_columns((pl.col("window_end").cast(pl.Int64) * 1000 + 61_000).alias("closed_ms"))
    )


def late(client: ClickHouse, moment: int, count: int, off: int) -> None:
    """Terrible answers of a window that was closed long ago: they must change no verdict."""
    rows = pl.DataFrame(
        {"moment": [moment] * count, "bin": [0] * count, "touchpoint": ["delivery"] * count}
    ).with_columns(pl.lit("u01").alias("unit"), pl.lit("web").alias("channel"))
    client.insert("ledger", _rows(rows, "feedback", 0, DAY * 1000 + 86_400_000, first=off))


def shout(client: ClickHouse, moment: int, reaches: Sequence[int]) -> None:
    """Terrible posts on social media within one window, which is closed; nothing else was ever said there."""
    rows = pl.DataFrame({"moment": [moment] * len(reaches), "bin": [0] * len(reaches), "value": map(float, reaches)})
    rows = rows.with_columns(unit=pl.lit(""), touchpoint=pl.lit("checkout"), channel=pl.lit("social"))
    client.insert("ledger", _rows(rows, "feedback", 0, None).with_columns(rows["value"], label=pl.lit("")))
    start = moment // WINDOW * WINDOW
    for number in range(PARTS):
        close(client, rows if number == 0 else rows.clear(), number, start, start + WINDOW)


def _answers(seed: int, count: int, start: int, end: int, fall: Fall | None) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    moment = np.sort(random.integers(start, end, count))
    touchpoint = random.choice(["delivery", "checkout", "support_call"], count)
    answer = np.where(random.random(count) < 0.2, random.integers(0, 7, count), random.integers(7, 11, count))
    if fall is not None:
        hour = (moment - DAY) / 3600
        hit = (touchpoint == fall.touchpoint) & (hour >= fall.hour) & (hour < fall.until)
        answer = np.where(hit & (random.random(count) < fall.bad), random.integers(0, 4, count), answer)
    return pl.DataFrame(
        {
            "moment": moment,
            "bin": answer,
            "touchpoint": touchpoint,
            "unit": random.choice(["u01", "u02"], count),
            "channel": random.choice(["web", "call"], count),
        }
    )


def _rows(answers: pl.DataFrame, topic: str, part: int, ingest_ms: int | None, first: int = 0) -> pl.DataFrame:
    constants: dict[str, Any] = {
        "topic": pl.lit(topic),
        "epoch": pl.lit(1, pl.UInt16),
        "part": pl.lit(part, pl.UInt16),
        "ver": pl.lit(1, pl.UInt64),
        "disposition": pl.lit("aggregated"),
        "reason": pl.lit(""),
        "event_hash": pl.lit(1, pl.UInt64),
        "payload_hash": pl.lit(1, pl.UInt64),
        "key_id": pl.lit(1, pl.UInt8),
        "customer": pl.lit(1, pl.UInt64),
        "source": pl.lit("survey"),
        "metric": pl.lit("nps"),
        "scale": pl.lit("0-10"),
        "brand": pl.lit("acme"),
    }
    occurred = pl.col("moment").cast(pl.Int64) * 1000
    return answers.select(
        (pl.int_range(pl.len(), dtype=pl.Int64) + first).alias("off"),
        (occurred + 500 if ingest_ms is None else pl.lit(ingest_ms, pl.Int64)).alias("ingest_ms"),
        occurred.alias("occurred_ms"),
        pl.col("bin").cast(pl.Int16).alias("answer"),
        pl.col("bin").cast(pl.Int8),
        "unit",
        "channel",
        "touchpoint",
        pl.when(pl.col("bin") <= 3).then(pl.lit("negative")).otherwise(pl.lit("")).alias("label"),
        pl.lit("minilm").alias("tier"),
        *(value.alias(name) for name, value in constants.items()),
    )


def _texts(rows: pl.DataFrame, part: int) -> pl.DataFrame:
    touchpoint = pl.col("touchpoint")
    return rows.select(
        pl.lit("feedback").alias("topic"),
        pl.lit(1, pl.UInt16).alias("epoch"),
        pl.lit(part, pl.UInt16).alias("part"),
        pl.col("off").cast(pl.Int64),
        pl.lit(1, pl.UInt64).alias("ver"),
        (pl.col("moment").cast(pl.Int64) * 1000 + 500).alias("ingest_ms"),
        pl.format("Waited for days about {}" + ", and days" * 30, "touchpoint").alias("text"),
        pl.when(touchpoint == "delivery").then(pl.lit("waiting,delivery")).otherwise(touchpoint).alias("topics"),
        pl.lit("of-test").alias("taxonomy"),
    )
