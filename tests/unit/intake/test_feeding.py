"""Files without Kafka: counting, positions, layouts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import UsageError
from pipeline.intake.feeding import TableImport, Target, feed_lines
from pipeline.intake.sources import Layout, rows_about, rows_of
from pipeline.intake.tables import Plan, When
from pipeline.intake.verdicts import Tally, Verdict

ONLY_JUDGE = Target(None, "history", None)
AT = When(at=datetime(2026, 1, 1, tzinfo=UTC))
SNIPPETS = Plan({"text": "text", "submission_id": "id"}, {"metric": "sentiment_only", "channel": "review"}, AT)


def deaf(_verdicts: list[Verdict], _tally: Tally) -> None:
    pass


def test_a_tab_file_with_stray_quotes_and_no_header_is_read_row_by_row(tmp_path: Path) -> None:
    file = tmp_path / "snippets.txt"
    file.write_bytes(b'1_1\t-0.9\tno "picture, at all.\r\n1_2\t2.5\t"great" thing\r\n\r\n1_3\t0\t"\r\n')
    rows = list(rows_of(file, Layout("\t", ("id", "rating", "text"), "")))
    assert rows == [["1_1", "-0.9", 'no "picture, at all.'], ["1_2", "2.5", '"great" thing'], ["1_3", "0", '"']]


async def test_an_import_counts_rows_by_reason_and_names_the_first(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,text\n1,good\n2,\n3,bad\n4\n", encoding="utf-8")
    table = TableImport(file, Layout(), SNIPPETS, tmp_path)
    told: list[Verdict] = []
    tally = await table.run(ONLY_JUDGE, Tally(), lambda verdicts, _tally: told.extend(verdicts))
    assert (tally.rows, tally.sent, tally.refused) == (4, 2, Counter({"missing_field": 2}))
    assert tally.first_rows == {"missing_field": [2, 4]}
    assert [verdict.row for verdict in told if verdict.rejection] == [2, 4]
    assert any("rows 2, 4" in line for line in tally.lines())


@pytest.mark.parametrize(("form", "rows"), [("csv", 3), ("ndjson", 4), ("parquet", 4)])
def test_the_bar_knows_nearly_how_many_rows_there_are(tmp_path: Path, form: str, rows: int) -> None:
    file = tmp_path / "table"
    file.write_text("id,text\n1,good\n2,\n3,bad\n", encoding="utf-8")
    if form == "parquet":
        pl.DataFrame({"id": [1, 2, 3, 4]}).write_parquet(file)
    assert rows_about(file, Layout(form=form)) == rows


async def test_a_trial_run_leaves_no_position_behind(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,text\n1,good\n", encoding="utf-8")
    table = TableImport(file, Layout(), SNIPPETS, tmp_path / "state")
    await table.run(ONLY_JUDGE, Tally(), deaf)
    assert table.position("history").read() is None


async def test_an_import_goes_on_after_its_position(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in range(1, 11)), encoding="utf-8")
    table = TableImport(file, Layout(), SNIPPETS, tmp_path)
    told: list[Verdict] = []
    tally = await table.run(ONLY_JUDGE, Tally(rows=7, sent=7), lambda verdicts, _tally: told.extend(verdicts))
    assert [verdict.row for verdict in told] == [8, 9, 10]
    assert (tally.rows, tally.sent) == (10, 10)


def test_positions_differ_by_content_mapping_topic_and_layout(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,text\n1,good\n", encoding="utf-8")
    table = TableImport(file, Layout(), SNIPPETS, tmp_path)
    paths = {table.position("history").path, table.position("feedback").path}
    paths.add(TableImport(file, Layout(quote=""), SNIPPETS, tmp_path).position("history").path)
    other = Plan({"text": "text"}, SNIPPETS.constants, AT)
    paths.add(TableImport(file, Layout(), other, tmp_path).position("history").path)
    file.write_text("id,text\n1,better\n", encoding="utf-8")
    paths.add(TableImport(file, Layout(), SNIPPETS, tmp_path).position("history").path)
    assert len(paths) == 5


def test_a_damaged_position_is_no_position(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,text\n1,good\n", encoding="utf-8")
    table = TableImport(file, Layout(), SNIPPETS, tmp_path)
    table.position("history").path.parent.mkdir(parents=True)
    table.position("history").path.write_bytes(b'{"rows": 4')
    assert table.position("history").read() is None


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.csv"):
        TableImport(tmp_path / "nothing.csv", Layout(), SNIPPETS, tmp_path)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(UsageError, match="empty"):
        TableImport(tmp_path / "empty.csv", Layout(), SNIPPETS, tmp_path)


def test_a_tally_survives_being_written_down() -> None:
    tally = Tally(rows=9, sent=7, refused=Counter({"bad_time": 2}), first_rows={"bad_time": [3, 4]}, seconds=1.5)
    assert Tally.loaded(tally.document()) == tally


async def test_lines_are_counted_without_the_empty_ones_and_raw_sends_the_refused_too() -> None:
    good = b'{"event_id":"e","occurred_at":"2026-11-18T11:00:00Z","channel":"web","touchpoint":"checkout"}\n'
    lines = [good, b"\n", b"{\n", good]
    strict = await feed_lines(Target(None, None, None), lines, deaf)
    assert (strict.rows, strict.sent, strict.refused.total()) == (3, 2, 1)
    raw = await feed_lines(Target(None, None, None, raw=True), lines, deaf)
    assert (raw.sent, raw.refused.total()) == (3, 1)
