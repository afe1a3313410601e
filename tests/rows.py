"""Ledger rows for tests: seeded, every kind of contribution, some of them revised answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from pipeline.slices import ACCEPTED, COUNTED, ENRICHED, LABELLED, OLD, TOPICS

#: 2025-10-09T08:53:20Z, any moment will do.
START_MS = 1_760_000_000_000


def ledger_like(count: int, seed: int, *, first: int = 0, minutes: int = 5) -> pl.DataFrame:
    """`count` rows with consecutive offsets and all columns a recorded slice has."""
    random = np.random.default_rng(seed)

    def pick(names: list[str]) -> np.ndarray:
        return random.choice(np.array(names, dtype=object), count)

    metric = pick(["nps", "csat", "ces", "sentiment_only", "volume"])
    scales = {
        "nps": ("0-10", 11),
        "csat": ("1-5", 5),
        "ces": ("1-7", 7),
        "sentiment_only": ("", 0),
        "volume": ("outcome", 4),
    }
    bins = np.array([random.integers(scales[m][1]) if scales[m][1] else -1 for m in metric], dtype=np.int8)
    label = np.where(metric == "volume", "", pick(["", "negative", "neutral", "positive", "unscored"]))
    revised = (random.random(count) < 0.1) & (metric == "nps")
    columns: dict[str, Any] = {
        name: [_empty(name, dtype)] * count for name, dtype in (ACCEPTED | ENRICHED | LABELLED | TOPICS | OLD).items()
    }
    columns |= {
        "off": np.arange(first, first + count),
        "ingest_ms": START_MS + np.arange(count),
        "disposition": pick(["aggregated", "aggregated", "aggregated", "late", "duplicate"]),
        "event_hash": random.integers(1, 2**62, count).astype(np.uint64),
        "occurred_ms": START_MS + random.integers(0, minutes * 60_000, count),
        "metric": metric,
        "scale": [scales[m][0] for m in metric],
        "bin": bins,
        "brand": pick(["acme", "bolt"]),
        "unit": pick(["u01", "u02", ""]),
        "channel": pick(["web", "call"]),
        "touchpoint": pick(["checkout", "delivery", ""]),
        "segments": pick(["", "gold", "gold,young"]),
        "stage": pick(["buy", "use"]),
        "language": pick(["en", "de", ""]),
        "label": label,
        "p": np.where(label == "", 0, random.integers(-10_000, 10_001, count)).astype(np.int16),
        "tier": np.where(label == "", "", pick(["minilm", "static"])),
        "old_off": np.where(revised, 0, -1),
        "others": _others(random, count),
    }
    old: dict[str, Any] = {
        "old_occurred_ms": START_MS + random.integers(0, minutes * 60_000, count),
        "old_metric": ["nps"] * count,
        "old_scale": ["0-10"] * count,
        "old_bin": random.integers(0, 11, count).astype(np.int8),
        "old_label": pick(["", "positive"]),
        "old_p": np.full(count, 1234, dtype=np.int16),
        "old_tier": ["minilm"] * count,
        **{f"old_{name}": columns[name] for name in COUNTED},
        "old_others": _others(random, count),
    }
    columns |= {
        name: [value if there else _empty(name, OLD[name]) for value, there in zip(values, revised, strict=True)]
        for name, values in old.items()
    }
    return pl.DataFrame(columns, schema=ACCEPTED | ENRICHED | LABELLED | TOPICS | OLD, strict=False)


def _others(random: np.random.Generator, count: int) -> np.ndarray:
    """Of some rows, that one or two of their dimensions count under `other`; never the channel."""
    bits = np.array([1 << bit for bit, name in enumerate(COUNTED) if name != "channel"], dtype=np.uint16)
    some = random.choice(bits, count) | random.choice(bits, count)
    return np.where(random.random(count) < 0.1, some, 0).astype(np.uint16)


def _empty(name: str, dtype: pl.DataType) -> object:
    if name in ("sealed", "raw"):
        return None
    if dtype == pl.String:
        return ""
    return -1 if name in ("bin", "old_bin", "old_off") else 0
