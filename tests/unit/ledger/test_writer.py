"""The writer against a sink that counts: order, tokens, retries, a lost batch, and the search for a refused row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import polars as pl
import pytest

from pipeline.errors import RefusedRows, Unavailable
from pipeline.ledger.writer import Lost, Writer, dead_letter, ledger_blocks, ledger_rows, side_blocks, token_of
from pipeline.slices import Partition, Slice
from schemas.vocabulary import Reason, Stage
from tests.rows import ledger_like

_DAY_MS = 86_400_000
#: A value that this sink refuses to store.
_REFUSED = -7


def rows(count: int, first: int = 0) -> pl.DataFrame:
    return ledger_like(count, seed=3, first=first).with_columns(
        pl.lit("").alias("text"), pl.lit("").alias("path"), pl.lit("").alias("detail")
    )


def piece(found: pl.DataFrame, part: int = 0, ver: int = 9) -> Slice:
    lo, hi = found["off"][0], found["off"][-1]
    return Slice(Partition("feedback", part), 1, 4, 1, ver, lo, hi, found)


class Sink:
    """Stores whole blocks, once a token; fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls: list[tuple[str, str, int]] = []
        self.stored: dict[str, list[pl.DataFrame]] = {}

    async def insert(self, table: str, rows: pl.DataFrame, token: str) -> None:
        self.calls.append((table, token, rows.height))
        if self.failures:
            self.failures -= 1
            raise Unavailable("down")
        if table == "ledger" and (rows["confidence"] == _REFUSED).any():
            raise RefusedRows("confidence out of range")
        self.stored.setdefault(table, []).append(rows)

    async def publish(self, rows: pl.DataFrame) -> None:
        await self.insert("rejected", rows, "")

    def tables(self) -> list[str]:
        return [table for table, _, _ in self.calls]

    def ledger(self) -> pl.DataFrame:
        return pl.concat(self.stored["ledger"]).sort("off")


class Guard:
    """Holds until a number of questions was asked."""

    def __init__(self, times: int = 1_000_000) -> None:
        self.times = times

    def holds(self, piece: Slice) -> bool:
        self.times -= 1
        return self.times >= 0


def write(
    sink: Sink, batch: Sequence[Slice], guard: Guard | None = None
) -> tuple[Writer, tuple[Slice, ...], list[float]]:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    writer = Writer(sink, sink, guard or Guard(), lambda piece, off: (7, b"sealed %d" % off), wait)
    return writer, asyncio.run(writer.write(batch)), waits


def test_the_ledger_comes_last_after_texts_sealed_bytes_and_the_rejected_topic() -> None:
    found = rows(3).with_columns(
        pl.Series("text", ["fine", "", ""]),
        pl.Series("topics", ["delivery,price", "", ""]),
        pl.Series("sealed", [None, b"x", None], dtype=pl.Binary),
        pl.Series("disposition", ["aggregated", "dead_letter", "aggregated"]),
    )
    sink = Sink()
    _, written, _ = write(sink, [piece(found)])
    assert sink.tables() == ["texts", "sealed", "rejected", "ledger"]
    assert [height for _, _, height in sink.calls] == [1, 1, 1, 3]
    assert written[0].rows.equals(found)
    assert sink.stored["texts"][0].select("off", "text", "topics", "taxonomy").rows() == [
        (0, "fine", "delivery,price", "")
    ]


def test_a_retry_sends_the_same_rows_under_the_same_token_after_growing_waits() -> None:
    sink = Sink(failures=6)
    writer, _, waits = write(sink, [piece(rows(5))])
    assert len(set(sink.calls)) == 1
    assert writer.retries == 6
    assert all(
        low <= wait <= high
        for wait, low, high in zip(waits, (0.1, 0.2, 0.4, 0.8, 1, 1), (0.2, 0.4, 0.8, 1.6, 2, 2), strict=True)
    )


def test_a_token_names_every_run_of_offsets_and_its_fence() -> None:
    one, other = piece(rows(5)), piece(rows(7, first=5), part=1, ver=12)
    assert token_of([other, one]) == "feedback:1:0:0:4:9;feedback:1:1:5:11:12"
    assert token_of([one]) != token_of([piece(rows(4, first=1))])


def test_each_ingest_day_is_a_block_of_its_own_oldest_first() -> None:
    found = rows(4).with_columns(pl.Series("ingest_ms", [_DAY_MS - 1, _DAY_MS, _DAY_MS + 5, 3 * _DAY_MS]))
    blocks = ledger_blocks(ledger_rows([piece(found)]), "t")
    assert [(block.token, block.rows["off"].to_list()) for block in blocks] == [
        ("t|0", [0]),
        ("t|1", [1, 2]),
        ("t|3", [3]),
    ]


def test_rows_of_a_batch_stand_in_order_of_partition_and_offset_with_their_fence() -> None:
    batch = [piece(rows(2), part=1), piece(rows(2, first=2), part=0, ver=12), piece(rows(2), part=0)]
    found = ledger_rows(batch).select("part", "off", "ver").rows()
    assert found == [(0, 0, 9), (0, 1, 9), (0, 2, 12), (0, 3, 12), (1, 0, 9), (1, 1, 9)]


def test_a_batch_that_is_no_longer_ours_is_given_up_before_the_next_try() -> None:
    sink = Sink(failures=100)
    batch = [piece(rows(3))]
    with pytest.raises(Lost) as lost:
        write(sink, batch, Guard(times=2))
    assert lost.value.slices == tuple(batch)
    assert len(sink.calls) == 2
    assert not sink.stored


def test_one_refused_row_of_ten_thousand_is_found_in_28_inserts_and_becomes_a_dead_letter() -> None:
    for bad in (0, 4_999, 5_000, 7_777, 9_999):
        found = rows(10_000).with_columns(
            pl.when(pl.col("off") == bad).then(_REFUSED).otherwise("confidence").cast(pl.Int16).alias("confidence")
        )
        sink = Sink()
        _, written, _ = write(sink, [piece(found)])
        assert sink.tables().count("ledger") <= 28 + 1  # and the dead letter's own row
        stored = sink.ledger()
        assert stored["off"].to_list() == list(range(10_000))
        dead = stored.filter(pl.col("reason") == "refused_by_sink")
        assert dead.select("off", "disposition", "failed_at").rows() == [(bad, "dead_letter", "record")]
        assert sink.stored["sealed"][0].select("off", "key_id", "sealed").rows() == [(bad, 7, b"sealed %d" % bad)]
        assert sink.stored["rejected"][0]["detail"].to_list() == ["ClickHouse refused the row"]
        assert written[0].rows["disposition"].to_list() == stored["disposition"].to_list()
        assert written[0].rows.columns == found.columns


def test_refused_rows_of_several_slices_are_found_in_the_slice_they_are_of() -> None:
    batch = [piece(rows(6)), piece(rows(6), part=1)]
    batch[1] = batch[1].with_rows(
        batch[1].rows.with_columns(pl.Series("confidence", [0, _REFUSED, 0, 0, _REFUSED, 0], dtype=pl.Int16))
    )
    _, written, _ = write(Sink(), batch)
    dead = [part.rows.filter(pl.col("reason") == "refused_by_sink")["off"].to_list() for part in written]
    assert dead == [[], [1, 4]]


def test_a_sink_that_refuses_even_the_dead_letter_stops_the_process() -> None:
    class Wrong(Sink):
        async def insert(self, table: str, rows: pl.DataFrame, token: str) -> None:
            if table == "ledger":
                raise RefusedRows("no such column")

    with pytest.raises(RefusedRows):
        write(Wrong(), [piece(rows(3))])


def test_a_dead_letter_keeps_its_identity_and_nothing_of_the_event() -> None:
    row = ledger_rows([piece(rows(1).with_columns(pl.lit("delivery").alias("topics")))])
    dead = dead_letter(row, Reason.REFUSED_BY_SINK, Stage.RECORD, "why", (7, b"bytes"))
    assert dead.columns == row.columns
    for name in ("topic", "epoch", "part", "ver", "off", "ingest_ms", "event_hash", "payload_hash"):
        assert dead[name].equals(row[name])
    assert dead.select("brand", "metric", "bin", "old_off", "old_bin", "occurred_ms", "text", "topics").row(0) == (
        "",
        "",
        -1,
        -1,
        -1,
        0,
        "",
        "",
    )
    assert dead.select("reason", "failed_at", "detail", "key_id", "sealed").row(0) == (
        "refused_by_sink",
        "record",
        "why",
        7,
        b"bytes",
    )
    assert [block.table for block in side_blocks(dead, "t")] == ["sealed"]
