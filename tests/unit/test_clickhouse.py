"""What leaves for ClickHouse: columns at the table's own default stay here."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from pipeline.clickhouse import LEDGER_DEFAULTS, coded, without_defaults

_RECORD = Path(__file__).resolve().parents[2] / "deploy" / "migrations" / "0001_record.sql"


def _rows(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"off": [1, 2], **columns})


def test_every_default_that_is_left_out_is_the_default_of_the_table() -> None:
    ledger = _RECORD.read_text().partition("row_hash")[0]
    stated = dict(re.findall(r"^    (\w+) \S+ DEFAULT ('[^']*'|-?\d+),$", ledger, re.MULTILINE))
    added = (_RECORD.parent / "0021_names.sql").read_text()
    stated |= dict(re.findall(r"ADD COLUMN IF NOT EXISTS (\w+) \S+ DEFAULT (\d+);", added))
    assert {name: stated.get(name) for name in LEDGER_DEFAULTS} == {
        name: "''" if default == "" else str(default) for name, default in LEDGER_DEFAULTS.items()
    }


def test_a_column_of_nothing_but_defaults_is_left_out() -> None:
    rows = _rows(old_off=[-1, -1], old_bin=[-1, -1], label=["", ""], value=[0.0, 0.0])
    assert without_defaults("ledger", rows).columns == ["off"]


def test_a_column_with_one_other_value_stays_whole() -> None:
    rows = _rows(old_off=[-1, 7], old_bin=[3, -1], label=["", "positive"], value=[0.0, 2.5])
    assert without_defaults("ledger", rows).equals(rows)


def test_a_null_is_no_default() -> None:
    rows = _rows(label=[None, None], tier=["", None])
    assert "label" in without_defaults("ledger", rows).columns
    assert "tier" in without_defaults("ledger", rows).columns


def test_columns_without_a_default_and_other_tables_stay_as_they_are() -> None:
    rows = _rows(bin=[-1, -1], reason=["", ""], owner=["", ""])
    assert without_defaults("ledger", rows).columns == ["off", "bin", "reason"]
    assert without_defaults("texts", rows).columns == rows.columns


def test_words_of_many_rows_go_as_codes_and_stay_the_same_words() -> None:
    rows = pl.DataFrame({"off": range(1_000), "unit": ["a", "b"] * 500, "reason": [""] * 1_000})
    found = coded("ledger", rows)
    assert [dtype.base_type() for dtype in found.dtypes] == [pl.Int64, pl.Categorical, pl.Categorical]
    assert found.cast({"unit": pl.String, "reason": pl.String}).equals(rows)
    assert coded("ledger", rows[:999]).equals(rows[:999])


def test_free_words_are_not_coded() -> None:
    rows = pl.DataFrame({"off": range(1_000), "text": [str(number) for number in range(1_000)]})
    assert coded("texts", rows).schema == rows.schema


def test_every_word_of_the_coded_tables_is_low_cardinality() -> None:
    for name in ("0001_record.sql", "0002_scores.sql"):
        text = _RECORD.with_name(name).read_text()
        for table in ("ledger", "windows"):
            body = re.search(rf"CREATE TABLE IF NOT EXISTS {table} (.*?)ENGINE", text, re.DOTALL)
            assert body is None or not re.search(r"^    \w+ String", body[1], re.MULTILINE)
