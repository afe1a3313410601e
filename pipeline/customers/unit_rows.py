"""The registry's units in the table `units` [I/O]: what reading by the tree and analysts stand on."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.customers.units import Unit

_COLUMNS = {
    "unit": pl.String,
    "parent": pl.String,
    "valid_from": pl.UInt32,
    "valid_to": pl.UInt32,
    "name": pl.String,
}


def write_units(client: ClickHouse, units: Sequence[Unit]) -> int:
    """Brings the table to what the registry says; how many lines were written.

    A line that the registry no longer has is kept as one that holds for no time: nothing is ever deleted there.
    """
    there = client.query(f"SELECT {', '.join(_COLUMNS)} FROM units FINAL")
    known = there.cast(_COLUMNS) if there.width else pl.DataFrame(schema=_COLUMNS)  # type: ignore[arg-type]
    wanted = pl.DataFrame(
        [(u.unit, u.parent, u.valid_from, u.valid_to, u.name) for u in units], schema=_COLUMNS, orient="row"
    )
    gone = known.join(wanted, on=["unit", "valid_from"], how="anti").with_columns(
        pl.col("valid_from").alias("valid_to")
    )
    changed = pl.concat([wanted, gone]).join(known, on=list(_COLUMNS), how="anti")
    if changed.is_empty():
        return 0
    ver = client.query("SELECT toUInt64(toUnixTimestamp64Milli(now64(3))) AS ver")["ver"][0]
    client.insert("units", changed.with_columns(pl.lit(ver, pl.UInt64).alias("ver")))
    return changed.height
