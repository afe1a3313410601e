"""The simulator's customers straight into the ledger: what the worker would make of them, without Kafka."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.customers.registry import Registry
from pipeline.intake.cast import CHANNELS, METRICS, TOUCHPOINTS
from pipeline.intake.stories import draw
from pipeline.intake.world import World
from pipeline.scores.recompute import Part, recompute

_SCALES = {("nps", 10): "0-10", ("csat", 5): "1-5", ("csat", 1): "0-1", ("ces", 7): "1-7", ("rating", 5): "1-5"}


def simulate(client: ClickHouse, registry: Registry, journeys: int, start_s: int, days: int) -> int:
    """Writes so many journeys that begin in these days, and the windows of their answers; how many events there are."""
    random = np.random.default_rng(11)
    starts = np.sort(random.integers(start_s * 1000, (start_s + days * 86_400) * 1000, journeys))
    drawn = draw(World(customers=max(journeys // 3, 10)), random, starts, 0)
    names = pl.Series([registry.touchpoints[name].stage for name in TOUCHPOINTS])
    rows = pl.DataFrame(drawn).filter((pl.col("customer") >= 0) & (pl.col("revision") == 0)).sort("time")
    touched = rows["metric"] < 0
    metric = rows["metric"].clip(0)
    kinds = (
        pl.Series(list(METRICS)).gather(metric).zip_with(~touched, pl.Series(["volume"]).new_from_index(0, len(rows)))
    )
    scales = [
        "outcome" if kind == "volume" else _SCALES.get((kind, steps), "")
        for kind, steps in zip(kinds.to_list(), rows["steps"].to_list(), strict=True)
    ]
    lowest = pl.Series([int(scale[0]) if scale[:1].isdigit() else 0 for scale in scales])
    answered = pl.Series([scale != "" for scale in scales])
    frame = rows.select(
        topic=touched.replace_strict({True: "touchpoints", False: "feedback"}),
        epoch=pl.lit(1, pl.UInt16),
        part=pl.lit(0, pl.UInt16),
        off=pl.int_range(pl.len()),
        ver=pl.lit(1, pl.UInt64),
        ingest_ms=pl.col("time") + 400,
        disposition=pl.lit("aggregated"),
        occurred_ms=pl.col("time"),
        key_id=pl.lit(1, pl.UInt8),
        customer=(pl.col("customer") + 1).cast(pl.UInt64),
        event_hash=pl.int_range(pl.len()).cast(pl.UInt64),
        metric=kinds,
        scale=pl.Series(scales),
        answer=pl.col("score").cast(pl.Int16),
        bin=pl.when(touched)
        .then(pl.col("outcome"))
        .when(answered)
        .then(pl.col("score") - lowest)
        .otherwise(-1)
        .cast(pl.Int8),
        brand=pl.lit("acme"),
        channel=pl.Series(list(CHANNELS)).gather(rows["channel"]),
        touchpoint=pl.Series(list(TOUCHPOINTS)).gather(rows["touch"]),
        stage=names.gather(rows["touch"]),
        value=pl.col("value") / 100,
        currency=pl.when(pl.col("value") > 0).then(pl.lit("EUR")).otherwise(pl.lit("")),
    )
    client.insert("ledger", frame)
    windows = recompute(client, Part("feedback", 1, 0, len(frame)))
    stamp = [pl.lit(1, pl.UInt64).alias("ver"), pl.lit(1, pl.UInt64).alias("seq")]
    client.insert("windows", windows.with_columns(stamp))
    return len(frame)
