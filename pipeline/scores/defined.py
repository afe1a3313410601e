"""The definitions in force [I/O]: the bundled file, or the one that the setting TOUCHLINE_SCORES names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.errors import SettingsError
from pipeline.scores.definitions import Definitions
from pipeline.settings import Settings

#: The definitions that come with the package.
DEFAULT_PATH: Final = Path(__file__).with_name("scores.toml")


def read_definitions(path: Path = DEFAULT_PATH) -> Definitions:
    """Reads and checks a file of definitions; SettingsError, with all that is wrong, when it does not hold."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the definitions of scores {path} cannot be read: {error}") from error
    return Definitions.parse(text, str(path))


def definitions_of(settings: Settings) -> Definitions:
    """The definitions of a deployment."""
    return read_definitions(settings.scores or DEFAULT_PATH)


def write_definitions(client: ClickHouse, definitions: Definitions) -> bool:
    """The definitions into the table that the SQL view reads, where they differ from those there; whether they did."""
    rows = pl.DataFrame(
        [
            (
                *(d.id, d.version, d.metric, scale, d.form, boxes.top, boxes.bottom, boxes.better, d.weighting),
                *(d.minimum_n, int(definitions.leading[d.id] is d), d.about),
            )
            for d in definitions.every
            for scale, boxes in d.scales.items()
        ],
        schema=_TABLE,
        orient="row",
    ).sort("id", "version", "scale")
    names = ", ".join(_TABLE)
    there = client.query(
        f"""SELECT {names} FROM definitions FINAL WHERE written_ms = (SELECT max(written_ms) FROM definitions)
        ORDER BY id, version, scale"""
    )
    if there.height and there.cast(_TABLE).equals(rows):  # type: ignore[arg-type]  # a schema of data types
        return False
    now = client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0]
    client.insert("definitions", rows.with_columns(pl.lit(now, pl.Int64).alias("written_ms")))
    return True


_TABLE: Final[dict[str, pl.DataType]] = {
    "id": pl.String(),
    "version": pl.UInt16(),
    "metric": pl.String(),
    "scale": pl.String(),
    "form": pl.String(),
    "top": pl.List(pl.UInt8),
    "bottom": pl.List(pl.UInt8),
    "better": pl.String(),
    "weighting": pl.String(),
    "minimum_n": pl.UInt32(),
    "in_force": pl.UInt8(),
    "about": pl.String(),
}
