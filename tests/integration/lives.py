"""What customers did and said, as ledger rows and the windows they make: for tests that read both."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.customers.registry import Registry
from pipeline.customers.watcher import read_registry
from pipeline.scores.recompute import Part, recompute
from pipeline.slices import LEDGER
from tests.rows import ledger_like

#: 2026-05-01 00:00 UTC.
START = 1_777_593_600
HOUR, DAY = 3_600, 86_400
_BINS = {"": 0, "ok": 1, "fail": 2, "abandon": 3}
#: A ledger row in which nothing is said.
_BLANK = {
    **{name: values[0] for name, values in ledger_like(1, seed=0).select(LEDGER).to_dict(as_series=False).items()},
    **dict.fromkeys(("reason", "unit", "segments", "language", "label", "tier", "product", "metric", "scale"), ""),
    **{"disposition": "aggregated", "brand": "acme", "old_off": -1, "p": 0},
}
_OLD = {name: "" if isinstance(value, str) else 0 for name, value in _BLANK.items() if name.startswith("old_")}


class Lives:
    """Collects rows; `write` puts them into the ledger and makes the windows of the answers."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._texts: list[dict[str, Any]] = []
        self._registry = registry or read_registry()

    def did(self, customer: int, at: float, touchpoint: str, outcome: str = "ok", **other: Any) -> None:
        """A touchpoint at `at` seconds."""
        self._add(customer, at, touchpoint, {"metric": "volume", "scale": "outcome", "bin": _BINS[outcome]}, other)

    def said(self, customer: int, at: float, answer: int, touchpoint: str = "", **other: Any) -> None:
        """An NPS answer, or another one by `metric` and `scale`; without a touchpoint it is about the brand."""
        known = {"metric": "nps", "scale": "0-10", "answer": answer, "bin": answer, "channel": "survey"}
        self._add(customer, at, touchpoint, known | {"source": "survey"}, other)

    def wrote(self, topics: str, taxonomy: str = "of-test", text: str = "So it was.") -> None:
        """The last thing that was said has a text, in which these topics (a comma between) were found."""
        row = {name: self.rows[-1][name] for name in ("off", "ingest_ms")}
        self._texts.append(row | {"text": text, "topics": topics, "taxonomy": taxonomy})

    def _add(self, customer: int, at: float, touchpoint: str, own: dict[str, Any], other: dict[str, Any]) -> None:
        entry = self._registry.touchpoints.get(touchpoint)
        off, ms = len(self.rows), int(at * 1000)
        row = _BLANK | _OLD | {"old_off": -1, "old_bin": -1, "off": off, "event_hash": off + 1, "channel": "web"}
        row |= {"customer": customer, "key_id": 1, "ingest_ms": ms + 500, "occurred_ms": ms, "touchpoint": touchpoint}
        row |= {"stage": entry.stage if entry else "unknown", "owner": entry.owner if entry else ""}
        self.rows.append(row | own | other)

    def write(self, client: ClickHouse) -> None:
        """All rows as partition 0 of `touchpoints` (what was done) and of `feedback` (what was said)."""
        schema = ledger_like(1, seed=0).select(LEDGER).schema
        every = pl.DataFrame(self.rows, schema=schema, infer_schema_length=None)
        fence = [
            pl.lit(1, pl.UInt16).alias("epoch"),
            pl.lit(0, pl.UInt16).alias("part"),
            pl.lit(1, pl.UInt64).alias("ver"),
        ]
        for topic, rows in (
            ("touchpoints", every.filter(pl.col("metric") == "volume")),
            ("feedback", every.filter(pl.col("metric") != "volume")),
        ):
            client.insert("ledger", rows.with_columns(pl.lit(topic).alias("topic"), *fence))
            windows = recompute(client, Part(topic, 1, 0, len(self.rows)))
            if windows.width:
                stamp = [pl.lit(1, pl.UInt64).alias("ver"), pl.lit(1, pl.UInt64).alias("seq")]
                client.insert("windows", windows.with_columns(stamp))
        if self._texts:
            client.insert("texts", pl.DataFrame(self._texts).with_columns(pl.lit("feedback").alias("topic"), *fence))
